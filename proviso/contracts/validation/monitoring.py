"""Fourth check, monitoring and rollback: metrics, their bounds, and triggers over them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import get_args

from proviso.contracts.base import Problem
from proviso.contracts.bounds import Bound
from proviso.contracts.contract import Contract, QualityGate
from proviso.contracts.metrics import METRICS, Covers, Metric
from proviso.contracts.paths import in_contract, in_plan, listed, repeated
from proviso.contracts.plan import Plan, Trigger

_FINE_SIDE = {"high": "upper", "low": "lower"}


def monitoring_problems(contract: Contract | None, plan: Plan) -> Iterator[Problem]:
    """Everything about metrics, their bounds, and the triggers over them."""
    metrics = [monitored.metric for monitored in plan.monitoring]
    why = "two bounds of one metric would contradict each other"
    yield from repeated(in_plan("monitoring"), metrics, why)
    yield from _unmonitored(contract, set(metrics))
    yield from _unscheduled(contract, metrics)
    for monitored in plan.monitoring:
        place = in_plan(f"monitoring[{monitored.metric}]")
        yield from _measurable(place, monitored.metric, monitored.threshold)
        yield from _objective(place, plan, monitored.metric, monitored.threshold)
        yield from _fine_side(place, monitored.metric, monitored.threshold)
    for gate in contract.quality_gates if contract else ():
        yield from _looser(plan, gate)
    for trigger in plan.rollback.triggers:
        yield from _trigger(plan, trigger)
    yield from _uncovered(plan)


def metric_unknown(place: str, name: str) -> Problem:
    """The problem of a metric that the registry does not have."""
    wanted = f"one of {listed(METRICS)}"
    return Problem(f"{place}.metric", name, wanted, "nothing measures it", "metric_unknown")


def _unmonitored(contract: Contract | None, monitored: set[str]) -> Iterator[Problem]:
    why = "without it an incident of this kind goes unnoticed"
    missing = {name: why for name, metric in METRICS.items() if metric.always}
    for gate in contract.quality_gates if contract else ():
        if gate.metric in METRICS:
            missing.setdefault(gate.metric, f"the contract's quality gate {gate.name} bounds it")
    for metric, why in missing.items():
        if metric not in monitored:
            wanted = "its threshold, action and owner"
            place = in_plan("monitoring")
            yield Problem(place, f"no {metric}", wanted, why, "metric_unmonitored")


def _unscheduled(contract: Contract | None, monitored: Sequence[str]) -> Iterator[Problem]:
    """Figures about features are measured by jobs, and only the contract says when they run."""
    scheduled = {gate.metric for gate in contract.quality_gates} if contract else set(METRICS)
    if scheduled - set(METRICS):
        return  # the unknown one may be meant, and is a problem of its own
    for name in dict.fromkeys(monitored):
        metric = METRICS.get(name)
        if metric and metric.covers == "features" and name not in scheduled:
            why = "the plan monitors it, and nothing would measure it"
            wanted = "one with its bound, schedule and owner"
            place = in_contract("quality_gates")
            yield Problem(place, f"none of {name}", wanted, why, "metric_unscheduled")


def _looser(plan: Plan, gate: QualityGate) -> Iterator[Problem]:
    """What monitoring calls fine must pass the contract's gate too."""
    for monitored in plan.monitoring:
        fine = monitored.threshold
        if monitored.metric == gate.metric and fine.looser_than(gate.bound):
            why = f"the contract's quality gate {gate.name} bounds it"
            place = in_plan(f"monitoring[{monitored.metric}].threshold")
            wanted = gate.bound.words
            yield Problem(place, str(fine), wanted, why, "threshold_looser_than_gate")


def _measurable(place: str, name: str, bound: Bound) -> Iterator[Problem]:
    metric = METRICS.get(name)
    if metric is None:
        yield metric_unknown(place, name)
    elif metric.unit == "share" and bound.limit > 1:
        why = "a rate is a share, not percent"
        yield Problem(f"{place}.threshold", bound.number, "0 to 1", why, "share_out_of_range")


def _objective(place: str, plan: Plan, name: str, bound: Bound) -> Iterator[Problem]:
    """A bound over latency is the objective itself."""
    slo = {"latency_p95_ms": plan.latency_slo.p95_ms, "latency_p99_ms": plan.latency_slo.p99_ms}
    objective = slo.get(name)
    if objective is not None and bound.limit != objective:
        wanted = f"latency_slo.{name.removeprefix('latency_')} {objective}"
        why = "the objective is stated once; leave the threshold out and it follows"
        code = "threshold_contradicts_objective"
        yield Problem(f"{place}.threshold", bound.number, wanted, why, code)


def _fine_side(place: str, name: str, fine: Bound) -> Iterator[Problem]:
    metric = METRICS.get(name)
    side = _FINE_SIDE.get(metric.bad) if metric else None
    if metric and side and fine.side != side:
        why = f"the threshold states what is fine, and {metric.bad} is bad"
        wanted = "an upper bound, <=" if side == "upper" else "a lower bound, >="
        yield Problem(f"{place}.threshold", str(fine), wanted, why, "threshold_wrong_side")


def _trigger(plan: Plan, trigger: Trigger) -> Iterator[Problem]:
    place = in_plan(f"rollback.triggers[{trigger.metric}]")
    yield from _measurable(place, trigger.metric, trigger.threshold)
    yield from _objective(place, plan, trigger.metric, trigger.threshold)
    metric = METRICS.get(trigger.metric)
    if metric is None:
        return
    yield from _fires(place, plan, trigger, metric)
    if trigger.covers != metric.covers:
        why = f"{trigger.metric} measures {metric.covers}"
        code = "trigger_covers_mismatch"
        yield Problem(f"{place}.covers", trigger.covers, metric.covers, why, code)


def _fires(place: str, plan: Plan, trigger: Trigger, metric: Metric) -> Iterator[Problem]:
    bound = trigger.threshold
    if bound.side == _FINE_SIDE.get(metric.bad):
        why = f"a trigger states what is bad, and {metric.bad} is bad"
        wanted = "a lower bound, >" if metric.bad == "high" else "an upper bound, <"
        yield Problem(f"{place}.threshold", str(bound), wanted, why, "trigger_wrong_side")
        return
    monitored = next((m for m in plan.monitoring if m.metric == trigger.metric), None)
    if monitored is None:
        wanted = f"{trigger.metric} under monitoring"
        why = "the trigger would never fire"
        yield Problem(place, "a metric that is not monitored", wanted, why, "trigger_unmonitored")
    elif metric.covers != "latency" and bound.overlaps(monitored.threshold):
        why = "it would fire while the metric is within its monitored bound"
        wanted = f"no overlap with the monitored {monitored.threshold}"
        code = "trigger_within_bound"
        yield Problem(f"{place}.threshold", str(bound), wanted, why, code)


def _covered_by(trigger: Trigger) -> Covers:
    """What a trigger's metric measures, whatever its `covers` says."""
    metric = METRICS.get(trigger.metric)
    return metric.covers if metric else trigger.covers


def _uncovered(plan: Plan) -> Iterator[Problem]:
    place = in_plan("rollback.triggers")
    for covers in get_args(Covers):
        triggers = [t for t in plan.rollback.triggers if _covered_by(t) == covers]
        if not triggers:
            wanted = f"one, on {_triggering(covers)}"
            why = "operators must know when to take the model back"
            yield Problem(place, f"none that covers {covers}", wanted, why, "trigger_missing")
        elif covers != "features" and all(t.action == "hold" for t in triggers):
            why = "only stale features hurt both releases alike, so only they may hold"
            found = f"only hold for {covers}"
            yield Problem(place, found, "action: rollback", why, "trigger_only_holds")


def _triggering(covers: Covers) -> str:
    """The metrics that a trigger of this kind usually watches."""
    live = {n: m for n, m in METRICS.items() if m.covers == covers and not m.not_live}
    always = [name for name, metric in live.items() if metric.always]
    return " or ".join(always or sorted(live, reverse=True))
