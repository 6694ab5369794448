"""What is simply down or missing, a part of rules.py's file: dependencies, identity, targets, data.

No bound of the plan says any of this; they are the entries of the runbook as expressions. Only a
serving release that is not itself asks for a rollback: when the store is down both releases suffer
alike, and moving traffic between them mends nothing.
"""

from __future__ import annotations

from proviso.contracts.plan import Plan
from proviso.manifests.figures import ARM, every, selector
from proviso.manifests.prometheus import AlertRule, RuleGroup

_REQUESTS = "proviso_requests_total"


def outage_group(plan: Plan) -> RuleGroup:
    """One group: all of it is cheap and looks at the last minutes."""
    identity = [_identity(plan, arm, severity) for arm, severity in _IDENTITY_ACTIONS]
    return RuleGroup(
        name=f"{plan.model_name}-outages",
        interval=every(0),
        rules=[*_dependencies(plan), *identity, *_targets(plan), _no_traffic(plan)],
    )


_IDENTITY_ACTIONS = (("serve", "rollback"), ("shadow", "hold"))


def _alert(
    plan: Plan, name: str, expr: str, hold: str | None, summary: str, **labels: str
) -> AlertRule:
    """An alert whose owner and runbook are those of the rollback: somebody is called."""
    return AlertRule(
        alert=name,
        expr=expr,
        hold=hold,
        labels=labels | {"owner": plan.rollback.owner, "model_name": plan.model_name},
        annotations={"summary": summary, "runbook": plan.rollback.runbook},
    )


def _dependencies(plan: Plan) -> list[AlertRule]:
    """A pod that does not reach something, and the store gone for every pod."""
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


def _identity(plan: Plan, arm: str, severity: str) -> AlertRule:
    """Requests refused because transformer and predictor are not one release: any is too many."""
    refused = selector(plan, _REQUESTS, arm=arm, code="503", reason="identity")
    return _alert(
        plan,
        "IdentityRefused",
        _grew(refused),
        None,
        "{{ $labels.release }} ({{ $labels.arm }}) refuses requests: its pair is not one release",
        severity=severity,
        kind="identity",
        arm=arm,
    )


def _grew(counter: str) -> str:
    """Counted at all in five minutes. A series that is new counts too: `increase` needs two
    samples and misses what came with the first."""
    by = f"sum by ({', '.join(ARM)})"
    return f"{by} (increase({counter}[5m])) > 0 or {by} ({counter} unless {counter} offset 5m) > 0"


def _targets(plan: Plan) -> list[AlertRule]:
    """Pods that are not scraped, not ready, or not there."""
    scraped = selector(plan, "up", job="!~readiness")
    unready = selector(plan, "up", job="readiness", ready="!~true")
    front = selector(plan, "up", job="transformer")
    return [
        _alert(
            plan,
            "TargetDown",
            f"{scraped} == 0",
            "1m",
            "{{ $labels.pod }} ({{ $labels.job }}) of {{ $labels.release }} is not scraped",
            severity="hold",
            kind="target",
        ),
        _alert(
            plan,
            "PodNotReady",
            f"max by (release, unit, pod, ready) ({unready}) >= 0",
            "3m",
            "{{ $labels.pod }} of {{ $labels.release }} is not ready",
            severity="alert",
            kind="target",
        ),
        _alert(
            plan,
            "NoTarget",
            f"absent({front})",
            "5m",
            "{{ $labels.model_name }}: Prometheus finds no transformer",
            severity="hold",
            kind="no_data",
        ),
    ]


def _no_traffic(plan: Plan) -> AlertRule:
    """Clients asked within the hour and nobody does now: every other figure is blind."""
    served = selector(plan, _REQUESTS, arm="serve")
    hour, now = (f"sum by (model_name) (increase({served}[{w}])) > 0" for w in ("1h", "10m"))
    return _alert(
        plan,
        "NoTraffic",
        f"{hour} unless ({now})",
        "1m",
        "{{ $labels.model_name }}: served within the last hour, and nothing for ten minutes",
        severity="hold",
        kind="no_data",
        arm="serve",
    )
