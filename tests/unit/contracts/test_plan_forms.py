"""Forms of a plan: objectives stated once, and keys of older files."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from proviso.checks.lab import judge
from proviso.contracts.bounds import Bound
from proviso.contracts.plan import Plan
from proviso.contracts.plan_forms import OBJECTIVES, REMOVED, deprecations
from tests.unit.contracts.edits import TODAY, Wrong, good, plan, problems_after

OLD_KEYS: dict[tuple[str, str], Any] = {
    ("latency_slo", "window"): "P30D",
    ("runtime", "protocol"): "grpc-v2",
    ("stress_test", "tool"): "perf_analyzer",
}


def stated(**objectives: str) -> dict[str, Any]:
    """The plan of `proviso init` with these thresholds, monitored and (negated) as triggers."""
    data: dict[str, Any] = copy.deepcopy(good().plan)
    for entries, negate in ((data["monitoring"], False), (data["rollback"]["triggers"], True)):
        for entry in entries:
            if entry["metric"] in objectives:
                bound = Bound.parse(objectives[entry["metric"]])
                entry["threshold"] = str(bound.negated() if negate else bound)
    return data


def old_plan() -> dict[str, Any]:
    """The plan of `proviso init` in the form of earlier releases."""
    data = stated(latency_p95_ms="<= 200", http_error_rate="<= 0.005")
    for (section, key), value in OLD_KEYS.items():
        data[section] = {**data[section], key: value}
    return data


def thresholds(data: Any, metric: str) -> list[str]:
    typed = Plan.model_validate(data)
    monitored = [str(m.threshold) for m in typed.monitoring if m.metric == metric]
    triggers = [str(t.threshold) for t in typed.rollback.triggers if t.metric == metric]
    return [*monitored, *triggers]


def test_the_objectives_are_stated_once() -> None:
    for entry in (*good().plan["monitoring"], *good().plan["rollback"]["triggers"]):
        assert ("threshold" in entry) == (entry["metric"] not in OBJECTIVES)


def test_bounds_without_a_threshold_follow_the_objective() -> None:
    data = copy.deepcopy(good().plan)
    data["latency_slo"]["p95_ms"] = 120
    data["error_budget"]["availability_percent"] = 99.9
    assert thresholds(data, "latency_p95_ms") == ["<= 120", "> 120"]
    assert thresholds(data, "http_error_rate") == ["<= 0.001", "> 0.001"]


def test_a_plan_in_the_older_form_is_the_same_plan() -> None:
    assert OLD_KEYS.keys() == REMOVED.keys()
    assert Plan.model_validate(old_plan()) == Plan.model_validate(good().plan)


def test_what_the_older_form_states_is_a_warning_each() -> None:
    found = [(p.code, p.path.partition(": ")[2]) for p in deprecations(old_plan())]
    assert found == [
        ("key_deprecated", "latency_slo.window"),
        ("key_deprecated", "runtime.protocol"),
        ("key_deprecated", "stress_test.tool"),
        ("threshold_deprecated", "monitoring[latency_p95_ms].threshold"),
        ("threshold_deprecated", "monitoring[http_error_rate].threshold"),
        ("threshold_deprecated", "rollback.triggers[latency_p95_ms].threshold"),
        ("threshold_deprecated", "rollback.triggers[http_error_rate].threshold"),
    ]
    assert deprecations(good().plan) == []


def test_warnings_leave_a_check_passed() -> None:
    lab = good()
    old = type(lab)(lab.contract, old_plan(), lab.payloads, lab.skew_cases)
    *_, check = judge(old, TODAY)
    assert check.passed
    assert len(check.warnings) == 7


def test_a_latency_bound_that_contradicts_the_objective_is_a_problem() -> None:
    lab = good()
    data = stated(latency_p95_ms="<= 250")
    problems = judge(type(lab)(lab.contract, data, lab.payloads, lab.skew_cases), TODAY)[3].problems
    assert {p.code for p in problems} == {"threshold_contradicts_objective"}
    assert len(problems) == 2


def test_a_bound_over_errors_may_be_another_than_the_budget() -> None:
    """A short window may be held to less than the budget of thirty days."""
    data = stated(http_error_rate="<= 0.02")
    assert thresholds(data, "http_error_rate") == ["<= 0.02", "> 0.02"]
    assert deprecations(data) == []


def test_any_other_metric_needs_its_threshold() -> None:
    data = copy.deepcopy(good().plan["monitoring"])
    entry = next(e for e in data if e["metric"] == "feature_missing_rate")
    del entry["threshold"]
    place = "serving_release_plan.yml: monitoring[feature_missing_rate].threshold"
    assert problems_after(plan("monitoring", data)) == [
        Wrong("key_missing", place, "nothing", "a value")
    ]


@pytest.mark.parametrize("value", ["fast", None, True, [1]])
def test_a_wrong_objective_is_one_problem(value: Any) -> None:
    (problem,) = problems_after(plan("latency_slo/p95_ms", value))
    assert problem.path == "serving_release_plan.yml: latency_slo.p95_ms"


@pytest.mark.parametrize("data", [None, [], "x", {"monitoring": 3}, {"rollback": [1]}, {"a": 1}])
def test_no_plan_at_all_has_no_deprecations(data: Any) -> None:
    assert deprecations(data) == []
