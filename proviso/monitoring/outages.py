"""Alerts about what is down or missing: dependencies, identity, targets and data.

They follow the runbook and need no bound of the plan. Only a release whose pair does not match asks
for a rollback: a store that is down affects both releases alike, and moving traffic between them
would not help.
"""

from __future__ import annotations

from proviso.contracts.plan import Plan
from proviso.monitoring.prometheus import AlertRule, RuleGroup
from proviso.monitoring.queries import TRAFFIC, every, selector
from proviso.rollout.deployed import Mode

_REQUESTS = "proviso_requests_total"


def outage_group(plan: Plan, mode: Mode) -> RuleGroup:
    """One group: its expressions are cheap and look at the last minutes."""
    identity = [_identity(plan, traffic, severity) for traffic, severity in _IDENTITY_ACTIONS]
    return RuleGroup(
        name=f"{plan.model_name}-outages",
        interval=every(0),
        rules=[*_dependencies(plan), *identity, *_targets(plan, mode), _no_traffic(plan)],
    )


_IDENTITY_ACTIONS = (("live", "rollback"), ("shadow", "hold"))


def _alert(
    plan: Plan, name: str, expr: str, hold: str | None, summary: str, **labels: str
) -> AlertRule:
    """An alert with the owner and runbook of the plan's rollback."""
    return AlertRule(
        alert=name,
        expr=expr,
        hold=hold,
        labels=labels | {"owner": plan.rollback.owner, "model_name": plan.model_name},
        annotations={"summary": summary, "runbook": plan.rollback.runbook},
    )


def _dependencies(plan: Plan) -> list[AlertRule]:
    """A dependency down for some pod, and the store down for every pod."""
    up = selector(plan, "proviso_dependency_up")
    store = selector(plan, "proviso_dependency_up", dependency="store")
    return [
        _alert(
            plan,
            "DependencyDown",
            f"min by (release, dependency) ({up}) == 0",
            "1m",
            "{{ $labels.release }}: a pod gets no answer from its {{ $labels.dependency }}",
            severity="hold",
            kind="dependency",
        ),
        _alert(
            plan,
            "StoreDown",
            f"max by (model_name) ({store}) == 0",
            "30s",
            "{{ $labels.model_name }}: no pod of any release gets an answer from the store",
            severity="hold",
            kind="dependency",
            dependency="store",
        ),
    ]


def _identity(plan: Plan, traffic: str, severity: str) -> AlertRule:
    """Requests refused because transformer and predictor are of two releases; one is enough."""
    refused = selector(plan, _REQUESTS, traffic=traffic, code="503", reason="identity")
    return _alert(
        plan,
        "IdentityRefused",
        _grew(refused),
        None,
        "{{ $labels.release }} ({{ $labels.traffic }}) refuses requests: "
        "its pair is not one release",
        severity=severity,
        kind="identity",
        traffic=traffic,
    )


def _grew(counter: str) -> str:
    """Counted at all in five minutes. A series that is new counts too: `increase` needs two
    samples and misses what came with the first."""
    by = f"sum by ({', '.join(TRAFFIC)})"
    return f"{by} (increase({counter}[5m])) > 0 or {by} ({counter} unless {counter} offset 5m) > 0"


def _targets(plan: Plan, mode: Mode) -> list[AlertRule]:
    """Pods that are not scraped, not ready or missing. Only ready pods have an address."""
    found = [
        _alert(
            plan,
            "TargetDown",
            f"{selector(plan, 'up')} == 0",
            "1m",
            "{{ $labels.instance }} ({{ $labels.job }}) of {{ $labels.release }} is not scraped",
            severity="hold",
            kind="target",
        ),
        _alert(
            plan,
            "NoTarget",
            f"absent({selector(plan, 'up', job='transformer')})",
            "5m",
            "{{ $labels.model_name }}: Prometheus finds no transformer",
            severity="hold",
            kind="no_data",
        ),
    ]
    return found if mode == "knative" else [*found, _too_few(plan)]


def _too_few(plan: Plan) -> AlertRule:
    """Fewer ready pods than `runtime.instances`, of deployed releases seen in the last 15 minutes.

    Not in mode knative, where pods go to zero without requests.
    """
    up, by = selector(plan, "up"), "by (model_name, release, unit, job)"
    ready = f"count {by} ({up} == 1) or count {by} (max_over_time({up}[15m])) * 0"
    return _alert(
        plan,
        "TooFewReady",
        f"({ready}) < {plan.runtime.instances}",
        "3m",
        "deployed release {{ $labels.unit }} ({{ $labels.job }}) has {{ $value }} ready pods; "
        f"the plan's runtime.instances is {plan.runtime.instances}",
        severity="alert",
        kind="target",
    )


def _no_traffic(plan: Plan) -> AlertRule:
    """Requests within the last hour and none for ten minutes: other figures have no value then."""
    served = selector(plan, _REQUESTS, traffic="live")
    hour, now = (f"sum by (model_name) (increase({served}[{w}])) > 0" for w in ("1h", "10m"))
    return _alert(
        plan,
        "NoTraffic",
        f"{hour} unless ({now})",
        "1m",
        "{{ $labels.model_name }}: served within the last hour, and nothing for ten minutes",
        severity="hold",
        kind="no_data",
        traffic="live",
    )
