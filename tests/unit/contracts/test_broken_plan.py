"""Broken plans: one defect, one review comment."""

from __future__ import annotations

from datetime import date

import pytest

from tests.unit.contracts.edits import Edit, again, contract, plan, problems_after, without

VARIANTS: dict[str, tuple[Edit, str]] = {
    "plan of another model": (
        plan("model", "late_delivery_xgboost:1.1.0"),
        (
            "serving_release_plan.yml: model: found late_delivery_xgboost:1.1.0, wanted "
            "late_delivery_xgboost:1.0.0 (the contract's late_delivery_service_v1 serves that "
            "model version and no other)"
        ),
    ),
    "plan of another service": (
        plan("service", "late_delivery_service_v2"),
        (
            "serving_release_plan.yml: service: found late_delivery_service_v2, wanted one of "
            "late_delivery_service_v1 (the contract defines what the model consumes)"
        ),
    ),
    "canary that falls": (
        plan("canary/steps", [10, 5, 100]),
        (
            "serving_release_plan.yml: canary.steps: found [10, 5, 100], wanted strictly rising "
            "from above 0 (each step shows the candidate to more than the one before)"
        ),
    ),
    "canary that ends early": (
        plan("canary/steps", [10, 50, 90]),
        (
            "serving_release_plan.yml: canary.steps: found 90 at the end, wanted 100 at the end "
            "(the last step is the promotion)"
        ),
    ),
    "canary of two steps": (
        plan("canary/steps", [50, 100]),
        "serving_release_plan.yml: canary.steps: found [50, 100], wanted at least 3 items",
    ),
    "monitor without owner": (
        without("plan:monitoring/latency_p95_ms/owner"),
        (
            "serving_release_plan.yml: monitoring[latency_p95_ms].owner: found nothing, wanted a "
            "value (an incident must find somebody)"
        ),
    ),
    "monitor with prose": (
        plan("monitoring/http_error_rate/threshold", "low"),
        (
            "serving_release_plan.yml: monitoring[http_error_rate].threshold: found 'low', "
            "wanted a bound such as <= 150"
        ),
    ),
    "monitor in percent": (
        plan("monitoring/approval_rate/threshold", ">= 70"),
        (
            "serving_release_plan.yml: monitoring[approval_rate].threshold: found 70, wanted 0 "
            "to 1 (a rate is a share, not percent)"
        ),
    ),
    "monitor looser than the gate": (
        plan("monitoring/freshness_breach_rate/threshold", "<= 0.2"),
        (
            "serving_release_plan.yml: monitoring[freshness_breach_rate].threshold: found <= "
            "0.2, wanted at most 0.01 (the contract's quality gate features_fresh bounds it)"
        ),
    ),
    "monitor the wrong way round": (
        plan("monitoring/skew_failure_rate/threshold", ">= 0"),
        (
            "serving_release_plan.yml: monitoring[skew_failure_rate].threshold: found >= 0, "
            "wanted an upper bound, <= (the threshold states what is fine, and high is bad)"
        ),
    ),
    "monitor of another objective": (
        plan("monitoring/latency_p95_ms/threshold", "<= 250"),
        (
            "serving_release_plan.yml: monitoring[latency_p95_ms].threshold: found 250, wanted "
            "latency_slo.p95_ms 200 (one objective, one number)"
        ),
    ),
    "no monitor of freshness": (
        without("plan:monitoring/freshness_breach_rate"),
        (
            "serving_release_plan.yml: monitoring: found no freshness_breach_rate, wanted its "
            "threshold, action and owner (an incident would have a cause that nobody sees)"
        ),
    ),
    "no trigger for errors": (
        without("plan:rollback/triggers/http_error_rate"),
        (
            "serving_release_plan.yml: rollback.triggers: found none that covers errors, wanted "
            "one, on http_error_rate (operators must know when to take the model back)"
        ),
    ),
    "no trigger for business": (
        without("plan:rollback/triggers/approval_rate"),
        (
            "serving_release_plan.yml: rollback.triggers: found none that covers business, "
            "wanted one, on review_rate or approval_rate (operators must know when to take the "
            "model back)"
        ),
    ),
    "no trigger for latency": (
        without("plan:rollback/triggers/latency_p95_ms"),
        (
            "serving_release_plan.yml: rollback.triggers: found none that covers latency, wanted "
            "one, on latency_p95_ms (operators must know when to take the model back)"
        ),
    ),
    "no trigger for features": (
        without("plan:rollback/triggers/feature_missing_rate"),
        (
            "serving_release_plan.yml: rollback.triggers: found none that covers features, "
            "wanted one, on feature_missing_rate (operators must know when to take the model "
            "back)"
        ),
    ),
    "trigger that covers something else": (
        plan("rollback/triggers/feature_missing_rate/covers", "errors"),
        (
            "serving_release_plan.yml: rollback.triggers[feature_missing_rate].covers: found "
            "errors, wanted features (feature_missing_rate says nothing else)"
        ),
    ),
    "trigger the wrong way round": (
        plan("rollback/triggers/http_error_rate/threshold", "< 0.005"),
        (
            "serving_release_plan.yml: rollback.triggers[http_error_rate].threshold: found < "
            "0.005, wanted a lower bound, > (a trigger states what is bad, and high is bad)"
        ),
    ),
    "trigger on an unknown figure": (
        again("plan:rollback/triggers/approval_rate", metric="mood"),
        (
            "serving_release_plan.yml: rollback.triggers[mood].metric: found mood, wanted one of "
            "approval_rate, default_used_rate, feature_drift_psi, feature_missing_rate, "
            "feature_null_rate, freshness_breach_rate, http_error_rate, latency_p95_ms, "
            "latency_p99_ms, review_rate, skew_failure_rate (nothing measures it)"
        ),
    ),
    "monitor twice": (
        again("plan:monitoring/approval_rate"),
        (
            "serving_release_plan.yml: monitoring: found approval_rate 2 times, wanted every "
            "name once (two bounds would contradict each other)"
        ),
    ),
    "trigger within the bound": (
        plan("rollback/triggers/http_error_rate/threshold", "> 0.001"),
        (
            "serving_release_plan.yml: rollback.triggers[http_error_rate].threshold: found > "
            "0.001, wanted no overlap with the monitored <= 0.005 (it would fire while "
            "monitoring says that all is fine)"
        ),
    ),
    "trigger of another objective": (
        plan("rollback/triggers/latency_p95_ms/threshold", "> 300"),
        (
            "serving_release_plan.yml: rollback.triggers[latency_p95_ms].threshold: found 300, "
            "wanted latency_slo.p95_ms 200 (one objective, one number)"
        ),
    ),
    "trigger that only holds": (
        plan("rollback/triggers/approval_rate/action", "hold"),
        (
            "serving_release_plan.yml: rollback.triggers: found only hold for business, wanted "
            "action: rollback (only stale features hurt both releases alike, so only they may hold)"
        ),
    ),
    "trigger that nothing sets off": (
        again("plan:rollback/triggers/approval_rate", metric="review_rate"),
        (
            "serving_release_plan.yml: rollback.triggers[review_rate]: found a metric that "
            "nobody monitors, wanted review_rate under monitoring (nothing would set it off)"
        ),
    ),
    "p99 below p95": (
        plan("latency_slo/p99_ms", 100),
        "serving_release_plan.yml: latency_slo: found p99_ms 100, wanted at least p95_ms 200",
    ),
    "deadline below p99": (
        plan("latency_slo/deadline_ms", 300),
        (
            "serving_release_plan.yml: latency_slo.deadline_ms: found 300, wanted at least "
            "p99_ms 400 (a request given up sooner cannot meet it)"
        ),
    ),
    "batch smaller than a request": (
        plan("batching/max_batch_size", 16),
        (
            "serving_release_plan.yml: batching.max_batch_size: found 16, wanted at least "
            "limits.max_batch 32 (the model must take the largest request whole)"
        ),
    ),
    "queue delay eats the budget": (
        plan("batching/max_queue_delay_us", 150_000),
        (
            "serving_release_plan.yml: batching.max_queue_delay_us: found 150000, wanted at most "
            "100000 (more than half of p95_ms 200 would go into waiting)"
        ),
    ),
    "queue delay without batching": (
        plan("batching", {"max_batch_size": 64, "dynamic": False, "max_queue_delay_us": 100}),
        (
            "serving_release_plan.yml: batching.max_queue_delay_us: found 100 with dynamic: "
            "false, wanted 0 (nothing waits where nothing is batched)"
        ),
    ),
    "client skew below the margin": (
        plan("max_client_skew", "PT30S"),
        (
            "serving_release_plan.yml: max_client_skew: found PT30S, wanted at least "
            "clock_margin PT1M (a client's clock may be as far off as our own are)"
        ),
    ),
    "decisions that are one": (
        plan("decision/at_or_above", "PROCEED"),
        (
            "serving_release_plan.yml: decision.below: found PROCEED, wanted another decision "
            "than PROCEED (the score would decide nothing)"
        ),
    ),
    "fallback unknown to clients": (
        plan("fallback/decision", "SHRUG"),
        (
            "serving_release_plan.yml: fallback.decision: found SHRUG, wanted one of PROCEED, "
            "RESCHEDULE (clients know no other answer)"
        ),
    ),
    "fallback with another code": (
        plan("fallback/http", 418),
        "serving_release_plan.yml: fallback.http: found 418, wanted 200 or 503",
    ),
    "runbook not given": (
        plan("runbook", " "),
        "serving_release_plan.yml: runbook: found ' ', wanted words, not blanks",
    ),
    "image missing": (
        without("plan:runtime/base_images/predictor"),
        (
            "serving_release_plan.yml: runtime.base_images: found transformer, wanted predictor, "
            "transformer (a release's identity holds both)"
        ),
    ),
    "pairs split": (
        plan("runtime/mode", "knative"),
        (
            "serving_release_plan.yml: topology: found separate, wanted collocated in mode "
            "knative (Knative splits transformer and predictor apart, and a pair must never mix)"
        ),
    ),
    "log forgotten too soon": (
        contract("source/label/delay", "P30D"),
        (
            "serving_release_plan.yml: prediction_log.retention: found P30D, wanted more than "
            "the label's delay P30D (a prediction must still be on record when its label is "
            "known)"
        ),
    ),
    "stakeholder missing": (
        without("plan:stakeholders/business"),
        (
            "serving_release_plan.yml: stakeholders: found 0 of business, wanted exactly one (a "
            "release needs each of the four once)"
        ),
    ),
    "stakeholder twice": (
        again("plan:stakeholders/platform"),
        (
            "serving_release_plan.yml: stakeholders: found 2 of platform, wanted exactly one (a "
            "release needs each of the four once)"
        ),
    ),
    "not signed": (
        without("plan:stakeholders/business/signed_off_by"),
        (
            "serving_release_plan.yml: stakeholders[business]: found no sign-off, wanted "
            "signed_off_by dispatch@parcels.example and signed_off_on (no release without all "
            "four)"
        ),
    ),
    "signed by another": (
        plan("stakeholders/business/signed_off_by", "platform@parcels.example"),
        (
            "serving_release_plan.yml: stakeholders[business].signed_off_by: found "
            "platform@parcels.example, wanted dispatch@parcels.example (nobody signs for another)"
        ),
    ),
    "signed tomorrow": (
        plan("stakeholders/business/signed_off_on", date(2026, 11, 25)),
        (
            "serving_release_plan.yml: stakeholders[business].signed_off_on: found 2026-11-25, "
            "wanted a day up to 2026-11-24"
        ),
    ),
}


@pytest.mark.parametrize("name", VARIANTS)
def test_one_defect_is_one_review_comment(name: str) -> None:
    edit, expected = VARIANTS[name]
    assert problems_after(edit) == [expected]
