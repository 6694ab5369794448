"""Broken plans: one defect, one review comment."""

from __future__ import annotations

from datetime import date

import pytest

from proviso.contracts.metrics import METRICS
from proviso.contracts.paths import listed
from tests.unit.contracts.edits import Edit, Wrong, again, contract, plan, problems_after, without

VARIANTS: dict[str, tuple[Edit, Wrong]] = {
    "plan of another model": (
        plan("model", "late_delivery_xgboost:1.1.0"),
        Wrong(
            "model_mismatch",
            "serving_release_plan.yml: model",
            "late_delivery_xgboost:1.1.0",
            "late_delivery_xgboost:1.0.0",
        ),
    ),
    "plan of another service": (
        plan("service", "late_delivery_service_v2"),
        Wrong(
            "service_unknown",
            "serving_release_plan.yml: service",
            "late_delivery_service_v2",
            "one of late_delivery_service_v1",
        ),
    ),
    "canary that falls": (
        plan("canary/steps", [10, 5, 100]),
        Wrong(
            "canary_not_rising",
            "serving_release_plan.yml: canary.steps",
            "[10, 5, 100]",
            "strictly rising from above 0",
        ),
    ),
    "canary that ends early": (
        plan("canary/steps", [10, 50, 90]),
        Wrong(
            "canary_incomplete",
            "serving_release_plan.yml: canary.steps",
            "90 at the end",
            "100 at the end",
        ),
    ),
    "canary of two steps": (
        plan("canary/steps", [50, 100]),
        Wrong(
            "invalid_value",
            "serving_release_plan.yml: canary.steps",
            "[50, 100]",
            "at least 3 items",
        ),
    ),
    "monitor without owner": (
        without("plan:monitoring/latency_p95_ms/owner"),
        Wrong(
            "key_missing",
            "serving_release_plan.yml: monitoring[latency_p95_ms].owner",
            "nothing",
            "a value",
        ),
    ),
    "monitor with prose": (
        plan("monitoring/http_error_rate/threshold", "low"),
        Wrong(
            "bound_invalid",
            "serving_release_plan.yml: monitoring[http_error_rate].threshold",
            "'low'",
            "a bound such as <= 150",
        ),
    ),
    "monitor in percent": (
        plan("monitoring/approval_rate/threshold", ">= 70"),
        Wrong(
            "share_out_of_range",
            "serving_release_plan.yml: monitoring[approval_rate].threshold",
            "70",
            "0 to 1",
        ),
    ),
    "monitor looser than the gate": (
        plan("monitoring/freshness_breach_rate/threshold", "<= 0.2"),
        Wrong(
            "threshold_looser_than_gate",
            "serving_release_plan.yml: monitoring[freshness_breach_rate].threshold",
            "<= 0.2",
            "at most 0.01",
        ),
    ),
    "monitor the wrong way round": (
        plan("monitoring/skew_failure_rate/threshold", ">= 0"),
        Wrong(
            "threshold_wrong_side",
            "serving_release_plan.yml: monitoring[skew_failure_rate].threshold",
            ">= 0",
            "an upper bound, <=",
        ),
    ),
    "monitor of another objective": (
        plan("monitoring/latency_p95_ms/threshold", "<= 250"),
        Wrong(
            "threshold_contradicts_objective",
            "serving_release_plan.yml: monitoring[latency_p95_ms].threshold",
            "250",
            "latency_slo.p95_ms 200",
        ),
    ),
    "no monitor of freshness": (
        without("plan:monitoring/freshness_breach_rate"),
        Wrong(
            "metric_unmonitored",
            "serving_release_plan.yml: monitoring",
            "no freshness_breach_rate",
            "its threshold, action and owner",
        ),
    ),
    "no trigger for errors": (
        without("plan:rollback/triggers/http_error_rate"),
        Wrong(
            "trigger_missing",
            "serving_release_plan.yml: rollback.triggers",
            "none that covers errors",
            "one, on http_error_rate",
        ),
    ),
    "no trigger for business": (
        without("plan:rollback/triggers/approval_rate"),
        Wrong(
            "trigger_missing",
            "serving_release_plan.yml: rollback.triggers",
            "none that covers business",
            "one, on review_rate or approval_rate",
        ),
    ),
    "no trigger for latency": (
        without("plan:rollback/triggers/latency_p95_ms"),
        Wrong(
            "trigger_missing",
            "serving_release_plan.yml: rollback.triggers",
            "none that covers latency",
            "one, on latency_p95_ms",
        ),
    ),
    "no trigger for features": (
        without("plan:rollback/triggers/feature_missing_rate"),
        Wrong(
            "trigger_missing",
            "serving_release_plan.yml: rollback.triggers",
            "none that covers features",
            "one, on feature_missing_rate",
        ),
    ),
    "trigger that covers something else": (
        plan("rollback/triggers/feature_missing_rate/covers", "errors"),
        Wrong(
            "trigger_covers_mismatch",
            "serving_release_plan.yml: rollback.triggers[feature_missing_rate].covers",
            "errors",
            "features",
        ),
    ),
    "trigger the wrong way round": (
        plan("rollback/triggers/http_error_rate/threshold", "< 0.005"),
        Wrong(
            "trigger_wrong_side",
            "serving_release_plan.yml: rollback.triggers[http_error_rate].threshold",
            "< 0.005",
            "a lower bound, >",
        ),
    ),
    "trigger on an unknown figure": (
        again("plan:rollback/triggers/approval_rate", metric="mood"),
        Wrong(
            "metric_unknown",
            "serving_release_plan.yml: rollback.triggers[mood].metric",
            "mood",
            f"one of {listed(METRICS)}",
        ),
    ),
    "monitor twice": (
        again("plan:monitoring/approval_rate"),
        Wrong(
            "name_repeated",
            "serving_release_plan.yml: monitoring",
            "approval_rate 2 times",
            "every name once",
        ),
    ),
    "trigger within the bound": (
        plan("rollback/triggers/http_error_rate/threshold", "> 0.001"),
        Wrong(
            "trigger_within_bound",
            "serving_release_plan.yml: rollback.triggers[http_error_rate].threshold",
            "> 0.001",
            "no overlap with the monitored <= 0.005",
        ),
    ),
    "trigger of another objective": (
        plan("rollback/triggers/latency_p95_ms/threshold", "> 300"),
        Wrong(
            "threshold_contradicts_objective",
            "serving_release_plan.yml: rollback.triggers[latency_p95_ms].threshold",
            "300",
            "latency_slo.p95_ms 200",
        ),
    ),
    "trigger that only holds": (
        plan("rollback/triggers/approval_rate/action", "hold"),
        Wrong(
            "trigger_only_holds",
            "serving_release_plan.yml: rollback.triggers",
            "only hold for business",
            "action: rollback",
        ),
    ),
    "trigger that nothing sets off": (
        again("plan:rollback/triggers/approval_rate", metric="review_rate"),
        Wrong(
            "trigger_unmonitored",
            "serving_release_plan.yml: rollback.triggers[review_rate]",
            "a metric that is not monitored",
            "review_rate under monitoring",
        ),
    ),
    "p99 below p95": (
        plan("latency_slo/p99_ms", 100),
        Wrong(
            "percentiles_fall",
            "serving_release_plan.yml: latency_slo",
            "p99_ms 100",
            "at least p95_ms 200",
        ),
    ),
    "deadline below p99": (
        plan("latency_slo/deadline_ms", 300),
        Wrong(
            "deadline_too_short",
            "serving_release_plan.yml: latency_slo.deadline_ms",
            "300",
            "at least p99_ms 400",
        ),
    ),
    "batch smaller than a request": (
        plan("batching/max_batch_size", 16),
        Wrong(
            "batch_too_small",
            "serving_release_plan.yml: batching.max_batch_size",
            "16",
            "at least limits.max_batch 32",
        ),
    ),
    "queue delay eats the budget": (
        plan("batching/max_queue_delay_us", 150_000),
        Wrong(
            "queue_delay_too_long",
            "serving_release_plan.yml: batching.max_queue_delay_us",
            "150000",
            "at most 100000",
        ),
    ),
    "queue delay without batching": (
        plan("batching", {"max_batch_size": 64, "dynamic": False, "max_queue_delay_us": 100}),
        Wrong(
            "queue_delay_without_batching",
            "serving_release_plan.yml: batching.max_queue_delay_us",
            "100 with dynamic: false",
            "0",
        ),
    ),
    "client skew below the margin": (
        plan("max_client_skew", "PT30S"),
        Wrong(
            "client_skew_too_small",
            "serving_release_plan.yml: max_client_skew",
            "PT30S",
            "at least clock_margin PT1M",
        ),
    ),
    "decisions that are one": (
        plan("decision/at_or_above", "PROCEED"),
        Wrong(
            "decisions_equal",
            "serving_release_plan.yml: decision.below",
            "PROCEED",
            "another decision than PROCEED",
        ),
    ),
    "fallback unknown to clients": (
        plan("fallback/decision", "SHRUG"),
        Wrong(
            "fallback_unknown",
            "serving_release_plan.yml: fallback.decision",
            "SHRUG",
            "one of PROCEED, RESCHEDULE",
        ),
    ),
    "fallback with another code": (
        plan("fallback/http", 418),
        Wrong(
            "invalid_value",
            "serving_release_plan.yml: fallback.http",
            "418",
            "200 or 503",
        ),
    ),
    "runbook not given": (
        plan("runbook", " "),
        Wrong(
            "invalid_value",
            "serving_release_plan.yml: runbook",
            "' '",
            "text that is not blank",
        ),
    ),
    "image missing": (
        without("plan:runtime/base_images/predictor"),
        Wrong(
            "base_images_mismatch",
            "serving_release_plan.yml: runtime.base_images",
            "transformer",
            "predictor, transformer",
        ),
    ),
    "pairs split": (
        plan("runtime/mode", "knative"),
        Wrong(
            "topology_mismatch",
            "serving_release_plan.yml: topology",
            "separate",
            "collocated in mode knative",
        ),
    ),
    "log forgotten too soon": (
        contract("source/label/delay", "P30D"),
        Wrong(
            "retention_too_short",
            "serving_release_plan.yml: prediction_log.retention",
            "P30D",
            "more than the label's delay P30D",
        ),
    ),
    "stakeholder missing": (
        without("plan:stakeholders/business"),
        Wrong(
            "stakeholder_count",
            "serving_release_plan.yml: stakeholders",
            "0 of business",
            "exactly one",
        ),
    ),
    "stakeholder twice": (
        again("plan:stakeholders/platform"),
        Wrong(
            "stakeholder_count",
            "serving_release_plan.yml: stakeholders",
            "2 of platform",
            "exactly one",
        ),
    ),
    "not signed": (
        without("plan:stakeholders/business/signed_off_by"),
        Wrong(
            "owner_signature_missing",
            "serving_release_plan.yml: stakeholders[business]",
            "no sign-off",
            "signed_off_by dispatch@parcels.example and signed_off_on",
        ),
    ),
    "signed by another": (
        plan("stakeholders/business/signed_off_by", "platform@parcels.example"),
        Wrong(
            "signer_not_owner",
            "serving_release_plan.yml: stakeholders[business].signed_off_by",
            "platform@parcels.example",
            "dispatch@parcels.example",
        ),
    ),
    "signed tomorrow": (
        plan("stakeholders/business/signed_off_on", date(2026, 11, 25)),
        Wrong(
            "signature_in_future",
            "serving_release_plan.yml: stakeholders[business].signed_off_on",
            "2026-11-25",
            "a day up to 2026-11-24",
        ),
    ),
}


@pytest.mark.parametrize("name", VARIANTS)
def test_one_defect_is_one_review_comment(name: str) -> None:
    edit, expected = VARIANTS[name]
    assert problems_after(edit) == [expected]
