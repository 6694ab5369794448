"""The rules of a plan as a file: every bound has its alerts, and what they read exists.

What the expressions mean is promtool's to say, tests/cluster/test_promtool.py.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from feature_runtime.serving import metrics as pod_metrics
from proviso.checks.registry import all_checks
from proviso.contracts.loading import load_plan, parse_yaml
from proviso.contracts.metrics import METRICS
from proviso.contracts.plan import Plan
from proviso.contracts.starter import template_text
from proviso.monitoring.budget import BURNS
from proviso.monitoring.prometheus import AlertRule, RecordingRule, RuleFile
from proviso.monitoring.queries import LIVE, every, prometheus_span
from proviso.monitoring.rules import not_live, patience, recorded, rules, rules_text

ROOT = Path(__file__).parents[3]
MINUTE, HOUR, DAY = 60_000_000, 3_600_000_000, 86_400_000_000


@cache
def example() -> Plan:
    return load_plan(ROOT / "contracts")


@cache
def starter() -> Plan:
    name = "serving_release_plan.yml"
    return Plan.model_validate(parse_yaml(name, template_text(name)))


def changed(**keys: Any) -> Plan:
    return Plan.model_validate(example().model_dump(mode="json") | keys)


PLANS = pytest.mark.parametrize("plan", [example(), starter()], ids=["example", "starter"])


def alerts(file: RuleFile) -> list[AlertRule]:
    return [rule for group in file.groups for rule in group.rules if isinstance(rule, AlertRule)]


def recordings(file: RuleFile) -> list[RecordingRule]:
    return [r for group in file.groups for r in group.rules if isinstance(r, RecordingRule)]


def expressions(file: RuleFile) -> list[str]:
    return [rule.expr for group in file.groups for rule in group.rules]


def of_kind(file: RuleFile, kind: str) -> list[AlertRule]:
    return [alert for alert in alerts(file) if alert.labels["kind"] == kind]


def test_every_metric_of_a_plan_is_either_live_or_measured_elsewhere() -> None:
    assert LIVE.keys() == {name for name, metric in METRICS.items() if not metric.not_live}
    measured = {figure for check in all_checks() for figure in check.figures}
    assert measured >= METRICS.keys() - LIVE.keys()


@PLANS
def test_every_live_bound_has_an_alert_an_arm(plan: Plan) -> None:
    found = {
        (a.labels["metric"], a.labels["traffic"])
        for a in of_kind(rules(plan, "standard"), "monitoring")
    }
    live = [m.metric for m in plan.monitoring if m.metric in LIVE]
    assert found == {(metric, traffic) for metric in live for traffic in ("live", "shadow")}


@PLANS
def test_every_trigger_has_one_alert_for_the_serving_arm(plan: Plan) -> None:
    found = of_kind(rules(plan, "standard"), "trigger")
    said = {(a.labels["metric"], a.labels["severity"], a.labels["traffic"]) for a in found}
    assert said == {(t.metric, t.action, "live") for t in plan.rollback.triggers}
    assert {a.labels["owner"] for a in found} == {plan.rollback.owner}


@PLANS
def test_a_shadow_is_never_rolled_back(plan: Plan) -> None:
    for alert in alerts(rules(plan, "standard")):
        if alert.labels["severity"] == "rollback":
            assert alert.labels["traffic"] == "live"
            assert 'traffic="live"' in alert.expr
            assert "shadow" not in alert.expr


@PLANS
def test_every_live_monitored_figure_has_an_alert_for_its_absence(plan: Plan) -> None:
    absent = of_kind(rules(plan, "standard"), "no_data")
    found = {a.labels["metric"] for a in absent if "metric" in a.labels}
    assert found == {m.metric for m in plan.monitoring if m.metric in LIVE}
    assert {"NoTraffic", "NoTarget"} <= {a.alert for a in absent}


@PLANS
def test_whoever_is_called_knows_whose_it_is_and_what_to_read(plan: Plan) -> None:
    for alert in alerts(rules(plan, "standard")):
        assert alert.labels["severity"] in {"alert", "hold", "rollback"}
        assert "@" in alert.labels["owner"]
        assert alert.annotations["runbook"] == plan.runbook
        assert alert.annotations["summary"]


@PLANS
def test_alerts_read_only_series_that_are_recorded(plan: Plan) -> None:
    file = rules(plan, "standard")
    made = [rule.record for rule in recordings(file)]
    assert len(made) == len(set(made))
    for alert in alerts(file):
        assert set(re.findall(r"\b[a-z_]+:[a-z0-9_]+:[a-z0-9]+", alert.expr)) <= set(made)


@PLANS
def test_expressions_read_only_series_that_a_pod_has(plan: Plan) -> None:
    source = Path(str(pod_metrics.__file__)).read_text(encoding="utf-8")
    there = set(re.findall(r'"(proviso_[a-z_]+)"', source))
    for expression in expressions(rules(plan, "standard")):
        for series in re.findall(r"proviso_[a-z_]+", expression):
            assert re.sub(r"_(bucket|count)$", "", series) in there


@PLANS
def test_every_expression_is_about_this_plan_s_model(plan: Plan) -> None:
    for expression in expressions(rules(plan, "standard")):
        selectors = re.findall(r"[a-z0-9_:]+\{([^}]*)\}", expression)
        assert selectors
        assert all(f'model_name="{plan.model_name}"' in inside for inside in selectors)


def test_what_no_pod_can_count_is_said_on_top_and_has_no_rule() -> None:
    text = rules_text(example(), "standard")
    missing = ["freshness_breach_rate", "skew_failure_rate", "feature_drift_psi"]
    assert not_live(example()) == missing
    for metric in missing:
        assert f"# No rule for {metric}:" in text
        assert metric not in text.partition("groups:")[2]


def test_the_text_is_the_rules_and_the_same_every_time() -> None:
    text = rules_text(example(), "standard")
    assert text == rules_text(example(), "standard")
    assert text.startswith("# Generated by `proviso render`")
    assert RuleFile.model_validate(yaml.safe_load(text)) == rules(example(), "standard")


def test_another_bound_is_another_rule_only() -> None:
    monitoring = example().model_dump(mode="json")["monitoring"]
    monitoring[0]["threshold"] = "<= 120.5"
    before, after = (
        rules_text(plan, "standard").splitlines()
        for plan in (example(), changed(monitoring=monitoring))
    )
    differing = [new for old, new in zip(before, after, strict=True) if old != new]
    assert all("120.5" in line for line in differing)
    assert sum("expr:" in line for line in differing) == 2


def test_a_lower_bound_fires_below_it() -> None:
    (found,) = (
        a for a in alerts(rules(starter(), "standard")) if a.alert == "RollbackOnApprovalRate"
    )
    series = 'release_traffic:approval_rate:1h{model_name="late-delivery", traffic="live"}'
    assert found.expr.startswith(f"{series} < 0.7 and on (release, traffic)")


def test_where_pods_may_go_to_zero_their_number_is_no_alert() -> None:
    def names(mode: Any) -> set[str]:
        return {alert.alert for alert in alerts(rules(example(), mode))}

    assert names("standard") - names("knative") == {"TooFewReady"}


def test_burn_rates_are_the_workbook_s_for_thirty_days() -> None:
    assert [round(burn.rate(30 * DAY), 3) for burn in BURNS] == [14.4, 6, 1]
    assert [burn.long / burn.short for burn in BURNS] == [12, 12, 12]
    limits = [
        re.findall(r"> ([\d.]+)", a.expr)
        for a in of_kind(rules(example(), "standard"), "error_budget")
    ]
    assert limits == [["0.0144"] * 2, ["0.006"] * 2, ["0.001"] * 2]


def test_a_budget_that_no_failure_can_burn_so_fast_has_no_such_alert() -> None:
    loose = changed(error_budget={"availability_percent": 90.0, "window": "P30D"})
    short = changed(error_budget={"availability_percent": 99.9, "window": "P1D"})
    names = [
        [a.alert for a in of_kind(rules(p, "standard"), "error_budget")] for p in (loose, short)
    ]
    assert names == [
        ["ErrorBudgetBurns6h", "ErrorBudgetBurns3d"],
        ["ErrorBudgetBurns1h", "ErrorBudgetBurns6h"],
    ]


@pytest.mark.parametrize(
    ("span", "text"),
    [(5 * MINUTE, "5m"), (90 * MINUTE, "1h30m"), (DAY, "1d"), (DAY + 1_000_000, "1d1s")],
)
def test_a_span_in_prometheus_s_words(span: int, text: str) -> None:
    assert prometheus_span(span) == text
    assert recorded("review_rate", span) == f"release_traffic:review_rate:{text}"


def test_long_windows_are_computed_seldom_but_before_they_go_stale() -> None:
    assert [every(w) for w in (5 * MINUTE, HOUR, DAY)] == ["15s", "30s", "2m"]
    assert [patience(w) for w in (5 * MINUTE, 30 * MINUTE, DAY)] == ["1m", "3m", "15m"]


def test_a_rule_that_prometheus_does_not_know_is_refused() -> None:
    with pytest.raises(ValidationError):
        RecordingRule.model_validate({"record": "review_rate", "expr": "1"})
    with pytest.raises(ValidationError):
        AlertRule.model_validate({"alert": "A", "expr": "1", "labels": {}, "annotation": {}})
