"""Forms of a plan that mean the same: thresholds that are left out, and keys of older files.

A bound over a metric that the plan has an objective for (`latency_slo`, `error_budget`) may leave
its threshold out. Files that still state it, or state a key that no code obeys any more, load as
before; `deprecations` says what to remove.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from proviso.contracts.base import Problem
from proviso.contracts.bounds import Bound
from proviso.contracts.paths import in_plan


def error_share(availability_percent: float) -> float:
    """The share of requests, 0 to 1, that may fail; rounded, so that 99.9% leaves 0.001."""
    return round(1 - availability_percent / 100, 9)


@dataclass(frozen=True)
class Objective:
    """Where the plan states what a metric must keep to, as an upper limit."""

    section: str
    key: str
    limit: Callable[[float], float] = float

    @property
    def path(self) -> str:
        return f"{self.section}.{self.key}"

    def bound(self, plan: Mapping[str, Any]) -> Bound | None:
        """The objective of plain data; None when the data has no such number."""
        number = _mapping(plan.get(self.section)).get(self.key)
        if isinstance(number, bool) or not isinstance(number, int | float):
            return None
        return Bound.at_most(self.limit(number))


OBJECTIVES: Mapping[str, Objective] = {
    "latency_p95_ms": Objective("latency_slo", "p95_ms"),
    "latency_p99_ms": Objective("latency_slo", "p99_ms"),
    "http_error_rate": Objective("error_budget", "availability_percent", error_share),
}
"""Metrics that the plan has an objective for."""

REMOVED: Mapping[tuple[str, str], str] = {
    ("latency_slo", "window"): "each entry of `monitoring` states its own window",
    ("runtime", "protocol"): "transformer and predictor of a release always speak gRPC V2",
    ("stress_test", "tool"): "`proviso check load` measures what the gate reads",
}
"""Keys of older files that decide nothing; a file that has them still loads."""


def current_form(data: Any) -> Any:
    """Plain data of a plan without removed keys and with every threshold that was left out."""
    if not isinstance(data, dict):
        return data
    plan = dict(data)
    for section, key in REMOVED:
        if isinstance(plan.get(section), dict):
            plan[section] = {k: v for k, v in plan[section].items() if k != key}
    if isinstance(plan.get("monitoring"), list):
        plan["monitoring"] = [_complete(data, entry) for entry in plan["monitoring"]]
    triggers = _mapping(plan.get("rollback")).get("triggers")
    if isinstance(triggers, list):
        complete = [_complete(data, entry, trigger=True) for entry in triggers]
        plan["rollback"] = {**plan["rollback"], "triggers": complete}
    return plan


def deprecations(data: Any) -> list[Problem]:
    """What an older file states and a new one leaves out, in the plan's order."""
    if not isinstance(data, dict):
        return []
    return [*_removed_keys(data), *_copied_thresholds(data)]


def _complete(plan: Mapping[str, Any], entry: Any, *, trigger: bool = False) -> Any:
    """An entry with its threshold. Without a valid objective, which is a problem of its own, the
    number does not matter: no plan comes of it."""
    objective = OBJECTIVES.get(_metric(entry))
    if objective is None or "threshold" in entry:
        return entry
    bound = objective.bound(plan) or Bound.at_most(0)
    return {**entry, "threshold": bound.negated() if trigger else bound}


def _removed_keys(plan: Mapping[str, Any]) -> Iterator[Problem]:
    for (section, key), why in REMOVED.items():
        if key in _mapping(plan.get(section)):
            path = in_plan(f"{section}.{key}")
            yield Problem(path, "a key without effect", "no such key", why, "key_deprecated")


def _copied_thresholds(plan: Mapping[str, Any]) -> Iterator[Problem]:
    """Thresholds that repeat an objective. Over errors another one is a bound of its own."""
    triggers = _mapping(plan.get("rollback")).get("triggers")
    for place, entries in (("monitoring", plan.get("monitoring")), ("rollback.triggers", triggers)):
        for entry in entries if isinstance(entries, list) else ():
            objective = OBJECTIVES.get(_metric(entry))
            stated = entry.get("threshold") if objective else None
            if objective and isinstance(stated, str) and _repeats(plan, objective, stated):
                path = in_plan(f"{place}[{entry['metric']}].threshold")
                wanted = "no threshold"
                why = f"left out, it follows {objective.path}"
                yield Problem(path, stated, wanted, why, "threshold_deprecated")


def _repeats(plan: Mapping[str, Any], objective: Objective, stated: str) -> bool:
    bound = objective.bound(plan)
    try:
        return bound is not None and Bound.parse(stated).limit == bound.limit
    except ValueError:
        return False


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _metric(entry: Any) -> str:
    metric = _mapping(entry).get("metric")
    return metric if isinstance(metric, str) else ""
