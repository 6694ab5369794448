"""Fourth check, what is watched and what is done about it: monitoring and rollback triggers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import get_args

from proviso.contracts.base import Problem
from proviso.contracts.contract import Contract, QualityGate
from proviso.contracts.metrics import ALWAYS_MONITORED, METRICS, Covers, Metric
from proviso.contracts.paths import in_contract, in_plan, listed, repeated
from proviso.contracts.plan import Plan, Trigger

_MEASURES = {
    "latency": "latency_p95_ms",
    "errors": "http_error_rate",
    "features": "feature_missing_rate",
    "business": "review_rate or approval_rate",
}


@dataclass(frozen=True)
class Bound:
    """`<= 150`, taken apart."""

    sign: str
    limit: float

    @classmethod
    def of(cls, text: str) -> Bound:
        sign = text.rstrip("0123456789. ")
        return cls(sign, float(text[len(sign) :]))

    def holds(self, value: float) -> bool:
        return {
            "<=": value <= self.limit,
            "<": value < self.limit,
            ">=": value >= self.limit,
            ">": value > self.limit,
        }[self.sign]


def monitoring_problems(contract: Contract | None, plan: Plan) -> Iterator[Problem]:
    """Everything about metrics, their bounds, and the triggers over them."""
    metrics = [monitored.metric for monitored in plan.monitoring]
    yield from repeated(in_plan("monitoring"), metrics, "two bounds would contradict each other")
    yield from _unmonitored(contract, set(metrics))
    yield from _unscheduled(contract, metrics)
    for monitored in plan.monitoring:
        place = in_plan(f"monitoring[{monitored.metric}]")
        bound = Bound.of(monitored.threshold)
        yield from _measurable(place, monitored.metric, bound)
        yield from _objective(place, plan, monitored.metric, bound)
        metric = METRICS.get(monitored.metric)
        if metric and metric.bad == "high" and bound.sign not in {"<=", "<"}:
            why = "the threshold states what is fine, and high is bad"
            yield Problem(f"{place}.threshold", monitored.threshold, "an upper bound, <=", why)
    for gate in contract.quality_gates if contract else ():
        yield from _looser(plan, gate)
    for trigger in plan.rollback.triggers:
        yield from _trigger(plan, trigger)
    yield from _uncovered(plan)


def _unmonitored(contract: Contract | None, monitored: set[str]) -> Iterator[Problem]:
    missing = dict.fromkeys(ALWAYS_MONITORED, "an incident would have a cause that nobody sees")
    for gate in contract.quality_gates if contract else ():
        if gate.metric in METRICS:
            missing.setdefault(gate.metric, f"the contract's quality gate {gate.name} bounds it")
    for metric, why in missing.items():
        if metric not in monitored:
            place = in_plan("monitoring")
            yield Problem(place, f"no {metric}", "its threshold, action and owner", why)


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
            yield Problem(in_contract("quality_gates"), f"none of {name}", wanted, why)


def _looser(plan: Plan, gate: QualityGate) -> Iterator[Problem]:
    """What monitoring calls fine must pass the contract's gate too."""
    for monitored in plan.monitoring:
        fine = Bound.of(monitored.threshold)
        too_high = gate.max is not None and fine.sign in {"<=", "<"} and fine.limit > gate.max
        too_low = gate.min is not None and fine.sign in {">=", ">"} and fine.limit < gate.min
        if monitored.metric == gate.metric and (too_high or too_low):
            wanted = f"at most {gate.max:g}" if too_high else f"at least {gate.min:g}"
            why = f"the contract's quality gate {gate.name} bounds it"
            place = in_plan(f"monitoring[{monitored.metric}].threshold")
            yield Problem(place, monitored.threshold, wanted, why)


def _measurable(place: str, name: str, bound: Bound) -> Iterator[Problem]:
    metric = METRICS.get(name)
    if metric is None:
        yield Problem(f"{place}.metric", name, f"one of {listed(METRICS)}", "nothing measures it")
    elif metric.share and bound.limit > 1:
        why = "a rate is a share, not percent"
        yield Problem(f"{place}.threshold", f"{bound.limit:g}", "0 to 1", why)


def _objective(place: str, plan: Plan, name: str, bound: Bound) -> Iterator[Problem]:
    """Bounds over latency are the objective itself."""
    slo = {"latency_p95_ms": plan.latency_slo.p95_ms, "latency_p99_ms": plan.latency_slo.p99_ms}
    wanted = slo.get(name)
    if wanted is not None and bound.limit != wanted:
        key = name.removeprefix("latency_")
        why = "one objective, one number"
        wanted_text = f"latency_slo.{key} {wanted}"
        yield Problem(f"{place}.threshold", f"{bound.limit:g}", wanted_text, why)


def _trigger(plan: Plan, trigger: Trigger) -> Iterator[Problem]:
    place = in_plan(f"rollback.triggers[{trigger.metric}]")
    bound = Bound.of(trigger.threshold)
    yield from _measurable(place, trigger.metric, bound)
    yield from _objective(place, plan, trigger.metric, bound)
    metric = METRICS.get(trigger.metric)
    if metric is None:
        return
    yield from _fires(place, plan, trigger, metric)
    if trigger.covers != metric.covers:
        why = f"{trigger.metric} says nothing else"
        yield Problem(f"{place}.covers", trigger.covers, metric.covers, why)


def _fires(place: str, plan: Plan, trigger: Trigger, metric: Metric) -> Iterator[Problem]:
    bound = Bound.of(trigger.threshold)
    if metric.bad == "high" and bound.sign not in {">", ">="}:
        why = "a trigger states what is bad, and high is bad"
        yield Problem(f"{place}.threshold", trigger.threshold, "a lower bound, >", why)
        return
    monitored = next((m for m in plan.monitoring if m.metric == trigger.metric), None)
    if monitored is None:
        wanted = f"{trigger.metric} under monitoring"
        yield Problem(place, "a metric that nobody monitors", wanted, "nothing would set it off")
    elif metric.covers != "latency" and _contradicts(bound, Bound.of(monitored.threshold)):
        why = "it would fire while monitoring says that all is fine"
        wanted = f"no overlap with the monitored {monitored.threshold}"
        yield Problem(f"{place}.threshold", trigger.threshold, wanted, why)


def _contradicts(trigger: Bound, fine: Bound) -> bool:
    """Whether some value sets the trigger off and is within the monitored bound."""
    upward = trigger.sign in {">", ">="}
    if upward != (fine.sign in {"<", "<="}):
        return False
    if trigger.limit == fine.limit:
        return trigger.holds(fine.limit) and fine.holds(trigger.limit)
    return trigger.limit < fine.limit if upward else trigger.limit > fine.limit


def _covered_by(trigger: Trigger) -> Covers:
    """What a trigger's metric says something about, whatever it claims."""
    metric = METRICS.get(trigger.metric)
    return metric.covers if metric else trigger.covers


def _uncovered(plan: Plan) -> Iterator[Problem]:
    place = in_plan("rollback.triggers")
    for covers in get_args(Covers):
        triggers = [t for t in plan.rollback.triggers if _covered_by(t) == covers]
        if not triggers:
            wanted = f"one, on {_MEASURES[covers]}"
            why = "operators must know when to take the model back"
            yield Problem(place, f"none that covers {covers}", wanted, why)
        elif covers != "features" and all(t.action == "hold" for t in triggers):
            why = "only stale features hurt both releases alike, so only they may hold"
            yield Problem(place, f"only hold for {covers}", "action: rollback", why)
