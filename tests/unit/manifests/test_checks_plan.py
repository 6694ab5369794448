"""A plan or contract that is wrong, or that a release was not made from: nothing is rendered."""

from __future__ import annotations

from pathlib import Path

import pytest

from proviso.contracts.loading import load_contract
from tests.unit.manifests.release_case import (
    CONTRACTS,
    Rejection,
    contract,
    good,
    plan,
    refusals,
)

SERVICE = "feature_services/fraud_risk_service_v3"
VELOCITY = "feature_views/customer_velocity_1h"
IN_PLAN = "serving_release_plan.yml"
IN_CONTRACT = "feature_store_contract.yml"
IN_RELEASE = "2.5.0/release.yml"
IN_CONFIG = "2.5.0/fraud_risk_xgboost/config.pbtxt"
FEATURES = [str(name) for name in load_contract(CONTRACTS).feature_services[1].features]

PLANS = {
    "canary that falls": Rejection(
        plan("canary/steps", [25, 5, 100]),
        f"{IN_PLAN}: canary.steps",
        "[25, 5, 100]",
        "strictly rising from above 0",
    ),
    "canary that ends early": Rejection(
        plan("canary/steps", [5, 25, 90]),
        f"{IN_PLAN}: canary.steps",
        "90 at the end",
        "100 at the end",
    ),
    "deadline that no objective fits into": Rejection(
        plan("latency_slo/deadline_ms", 200),
        f"{IN_PLAN}: latency_slo.deadline_ms",
        "200",
        "at least p99_ms 300",
    ),
    "deadline longer than a pod has to stop": Rejection(
        plan("latency_slo/deadline_ms", 60_000),
        f"{IN_PLAN}: latency_slo.deadline_ms",
        "60000",
        "below 50000",
    ),
    "batches smaller than a request": Rejection(
        plan("batching/max_batch_size", 32),
        f"{IN_PLAN}: batching.max_batch_size",
        "32",
        "at least limits.max_batch 64",
    ),
    "more waiting than latency": Rejection(
        plan("batching/max_queue_delay_us", 90_000),
        f"{IN_PLAN}: batching.max_queue_delay_us",
        "90000",
        "at most 75000",
    ),
    "no image for the predictor": Rejection(
        plan("runtime/base_images", {"transformer": "python:3.11-slim"}),
        f"{IN_PLAN}: runtime.base_images",
        "transformer",
        "predictor, transformer",
    ),
    "knative with the pair apart": Rejection(
        plan("runtime/mode", "knative"),
        f"{IN_PLAN}: topology",
        "separate",
        "collocated in mode knative",
    ),
    "sign-off missing": Rejection(
        plan("stakeholders/platform/signed_off_by", None),
        f"{IN_PLAN}: stakeholders[platform]",
        "no sign-off",
        "signed_off_by platform@turanmart.example and signed_off_on",
    ),
    "sign-off to come": Rejection(
        plan(
            "stakeholders/platform",
            {"role": "platform", "owner": "platform@turanmart.example", "signed_off_by": None},
        ),
        f"{IN_PLAN}: stakeholders[platform]",
        "no sign-off",
        "signed_off_by platform@turanmart.example and signed_off_on",
    ),
    "fallback that no client knows": Rejection(
        plan("fallback/decision", "BLOCK"),
        f"{IN_PLAN}: fallback.decision",
        "BLOCK",
        "one of APPROVE, REVIEW",
    ),
    "records gone before labels come": Rejection(
        plan("prediction_log/retention", "P1D"),
        f"{IN_PLAN}: prediction_log.retention",
        "P1D",
        "more than the label's delay P7D",
    ),
    "clients' clocks better than ours": Rejection(
        plan("max_client_skew", "PT30S"),
        f"{IN_PLAN}: max_client_skew",
        "PT30S",
        "at least clock_margin PT1M",
    ),
    "contract that counts a feature twice": Rejection(
        contract(f"{SERVICE}/features/0", FEATURES[1]),
        f"{IN_CONTRACT}: feature_services[fraud_risk_service_v3].features",
        f"{FEATURES[1]} 2 times",
        "every name once",
    ),
    "contract with another key pattern": Rejection(
        contract(f"{VELOCITY}/online_store/key_pattern", "fs:{customer:<id>}"),
        f"{IN_CONTRACT}: feature_views[customer_velocity_1h].online_store.key_pattern",
        "fs:{customer:<id>}",
        "fs:{customer:<customer_id>}:customer_velocity_1h:<schema>",
    ),
}

MADE_FROM_OTHERS = {
    "service that the contract lost": Rejection(
        contract(f"{SERVICE}/name", "other_service"),
        f"{IN_RELEASE}: service.name",
        "fraud_risk_service_v3",
        "one of fraud_risk_service_v2, other_service",
    ),
    "version that the contract replaced": Rejection(
        contract(f"{SERVICE}/model", "fraud_risk_xgboost:2.5.1"),
        f"{IN_RELEASE}: model",
        "fraud_risk_xgboost:2.5.0",
        "fraud_risk_xgboost:2.5.1",
    ),
    "model that the contract replaced": Rejection(
        contract(f"{SERVICE}/model", "fraud_net:2.5.0"),
        f"{IN_RELEASE}: triton_model",
        "fraud_risk_xgboost",
        "fraud_net",
    ),
    "public name that the plan changed": Rejection(
        plan("model_name", "risk"), f"{IN_RELEASE}: model_name", "fraud-risk", "risk"
    ),
    "transformer's base image": Rejection(
        plan("runtime/base_images/transformer", "python:3.12-slim"),
        f"{IN_RELEASE}: base_images.transformer",
        "python:3.11-slim",
        "python:3.12-slim",
    ),
    "predictor's base image": Rejection(
        plan("runtime/base_images/predictor", "python:3.12-slim"),
        f"{IN_RELEASE}: base_images.predictor",
        "python:3.11-slim",
        "python:3.12-slim",
    ),
    "order of features": Rejection(
        contract(f"{SERVICE}/features", [FEATURES[1], FEATURES[0], *FEATURES[2:]]),
        f"{IN_RELEASE}: service.features[0]",
        FEATURES[0],
        FEATURES[1],
    ),
    "number of features": Rejection(
        contract(f"{SERVICE}/features", FEATURES[:-1]),
        f"{IN_RELEASE}: service.features[{len(FEATURES) - 1}]",
        FEATURES[-1],
        "nothing",
    ),
    "width of the vector": Rejection(
        contract(f"{SERVICE}/features", FEATURES[:-1]),
        f"{IN_CONFIG}: input[features].dims",
        "40",
        "39",
    ),
    "schema of a view": Rejection(
        contract(f"{VELOCITY}/features/chargeback_count_30d/dtype", "float64"),
        f"{IN_RELEASE}: service.views[customer_velocity_1h].schema",
        "*",
        "*",
    ),
    "life of a value": Rejection(
        contract(f"{VELOCITY}/online_ttl", "PT4H"),
        f"{IN_RELEASE}: service.views[customer_velocity_1h].online_ttl",
        "PT2H",
        "PT4H",
    ),
    "value for a missing feature": Rejection(
        contract(f"{VELOCITY}/features/txn_count_1h/default/value", 1),
        f"{IN_RELEASE}: service.views[customer_velocity_1h].features[txn_count_1h].policy.value",
        "0.0",
        "1.0",
    ),
    "join key": Rejection(
        contract("entities/customer/join_key", "client_id"),
        f"{IN_RELEASE}: service.entities[customer].join_key",
        "customer_id",
        "client_id",
    ),
    "decision threshold": Rejection(
        plan("decision/threshold", 0.6),
        f"{IN_RELEASE}: service.decision.threshold",
        "0.5",
        "0.6",
    ),
    "status of a rejection": Rejection(
        plan("fallback/http", 503), f"{IN_RELEASE}: service.decision.fallback_http", "200", "503"
    ),
    "largest request": Rejection(
        plan("limits/max_batch", 65), f"{IN_RELEASE}: service.limits.max_batch", "64", "65"
    ),
    "deadline": Rejection(
        plan("latency_slo/deadline_ms", 900),
        f"{IN_RELEASE}: service.limits.deadline_ms",
        "1000",
        "900",
    ),
    "clock margin": Rejection(
        plan("clock_margin", "PT2M"), f"{IN_RELEASE}: service.limits.clock_margin", "PT1M", "PT2M"
    ),
    "hashing of keys": Rejection(
        plan("prediction_log/hash_entity_keys", True),
        f"{IN_RELEASE}: service.hash_entity_keys",
        "False",
        "True",
    ),
    "batch size": Rejection(
        plan("batching/max_batch_size", 256), f"{IN_CONFIG}: max_batch_size", "128", "256"
    ),
    "instances": Rejection(
        plan("runtime/instances", 4), f"{IN_CONFIG}: instance_group.count", "2", "4"
    ),
    "threads": Rejection(
        plan("runtime/intra_op_threads", 2),
        f"{IN_CONFIG}: parameters[intra_op_thread_count].string_value",
        "1",
        "2",
    ),
    "batching at all": Rejection(
        plan("batching/dynamic", False),
        f"{IN_CONFIG}: dynamic_batching",
        "{}",
        "nothing",
    ),
    "waiting for a batch": Rejection(
        plan("batching/max_queue_delay_us", 100),
        f"{IN_CONFIG}: dynamic_batching.max_queue_delay_microseconds",
        "nothing",
        "100",
    ),
}


@pytest.mark.parametrize("refusal", PLANS.values(), ids=PLANS)
def test_a_wrong_plan_or_contract_renders_nothing(refusal: Rejection, tmp_path: Path) -> None:
    problems = refusals(refusal.by(good(tmp_path)))
    assert refusal.said(problems), problems


@pytest.mark.parametrize("refusal", MADE_FROM_OTHERS.values(), ids=MADE_FROM_OTHERS)
def test_a_release_of_another_plan_or_contract_is_refused(
    refusal: Rejection, tmp_path: Path
) -> None:
    problems = refusals(refusal.by(good(tmp_path)))
    assert refusal.said(problems), problems


def test_all_problems_come_at_once(tmp_path: Path) -> None:
    case = good(tmp_path)
    for refusal in (PLANS["canary that falls"], MADE_FROM_OTHERS["order of features"]):
        case = refusal.by(case)
    case = MADE_FROM_OTHERS["instances"].by(case)
    assert [path for path, _, _ in refusals(case)] == [
        f"{IN_PLAN}: canary.steps",
        f"{IN_RELEASE}: service.features[0]",
        f"{IN_CONFIG}: instance_group.count",
    ]
