"""Broken feature services and quality gates: one defect, one review comment."""

from __future__ import annotations

from datetime import date

import pytest

from tests.unit.contracts.edits import (
    PAIR,
    SERVICE,
    Edit,
    again,
    contract,
    problems_after,
    without,
)

VARIANTS: dict[str, tuple[Edit, str]] = {
    "feature unknown to the view": (
        contract(f"{SERVICE}/features/courier_zone_daily:visits_30d", "courier_zone_daily:visits"),
        (
            "feature_store_contract.yml: "
            "feature_services[late_delivery_service_v1].features[courier_zone_daily:visits]: "
            "found no such feature, wanted one of courier_zone_daily:late_share_30d, "
            "courier_zone_daily:parcels_30d, courier_zone_daily:visits_30d"
        ),
    ),
    "feature consumed twice": (
        contract(
            f"{SERVICE}/features/courier_zone_daily:visits_30d", "courier_zone_daily:parcels_30d"
        ),
        (
            "feature_store_contract.yml: feature_services[late_delivery_service_v1].features: "
            "found courier_zone_daily:parcels_30d 2 times, wanted every name once (the vector "
            "has one place for each)"
        ),
    ),
    "retired feature": (
        contract(f"{PAIR}/features/visits_30d/deprecation", {"status": "retired"}),
        (
            "feature_store_contract.yml: "
            "feature_services[late_delivery_service_v1].features[courier_zone_daily:visits_30d]: "
            "found a retired feature, wanted an active one (nobody keeps a retired feature right)"
        ),
    ),
    "feature past its end": (
        contract(
            f"{PAIR}/features/visits_30d/deprecation",
            {
                "status": "deprecated",
                "retire_on": date(2026, 11, 24),
                "replacement": "courier_zone_daily:parcels_30d",
            },
        ),
        (
            "feature_store_contract.yml: "
            "feature_services[late_delivery_service_v1].features[courier_zone_daily:visits_30d]: "
            "found a feature retired since 2026-11-24, wanted an active one, "
            "courier_zone_daily:parcels_30d in its place (nobody keeps a retired feature right)"
        ),
    ),
    "field that no column has": (
        contract(f"{SERVICE}/fields", ["parcels", "distance_km", "weight"]),
        (
            "feature_store_contract.yml: feature_services[late_delivery_service_v1].fields: "
            "found weight, wanted one of distance_km, fee, parcels (training must find in the "
            "source what a request carries)"
        ),
    ),
    "request feature of no field": (
        contract(f"{SERVICE}/fields", ["distance_km"]),
        (
            "feature_store_contract.yml: "
            "feature_services[late_delivery_service_v1].request_features[parcels].field: found "
            "parcels, wanted one of the fields distance_km"
        ),
    ),
    "request feature named like a column": (
        contract(f"{SERVICE}/request_features/hour_of_day/name", "fee"),
        (
            "feature_store_contract.yml: "
            "feature_services[late_delivery_service_v1].request_features[fee].name: found a "
            "column's name, wanted another name (the dataset has a column of that name already)"
        ),
    ),
    "derived of something unknown": (
        contract(f"{SERVICE}/derived_features/against_usual/inputs/0", "fees"),
        (
            "feature_store_contract.yml: "
            "feature_services[late_delivery_service_v1].derived_features[against_usual].inputs: "
            "found fees, wanted a request feature's name or a view:feature that the service "
            "consumes (the encoder computes it from what the vector holds)"
        ),
    ),
    "derived of too few": (
        contract(f"{SERVICE}/derived_features/against_usual/function", "zscore"),
        (
            "feature_store_contract.yml: "
            "feature_services[late_delivery_service_v1].derived_features[against_usual].inputs: "
            "found 2 inputs, wanted 3 for zscore"
        ),
    ),
    "gate on an unknown figure": (
        contract("quality_gates/no_skew/metric", "mood"),
        (
            "feature_store_contract.yml: quality_gates[no_skew].metric: found mood, wanted one "
            "of approval_rate, default_used_rate, feature_drift_psi, feature_missing_rate, "
            "feature_null_rate, freshness_breach_rate, http_error_rate, latency_p95_ms, "
            "latency_p99_ms, review_rate, skew_failure_rate (nothing measures it)"
        ),
    ),
    "gate in percent": (
        contract("quality_gates/features_fresh/max", 5),
        (
            "feature_store_contract.yml: quality_gates[features_fresh].max: found 5, wanted 0 to "
            "1 (a rate is a share, not percent)"
        ),
    ),
    "gate that nobody monitors": (
        again("quality_gates/no_skew", name="no_drift", metric="feature_drift_psi"),
        (
            "serving_release_plan.yml: monitoring: found no feature_drift_psi, wanted its "
            "threshold, action and owner (the contract's quality gate no_drift bounds it)"
        ),
    ),
    "monitor without a schedule": (
        without("quality_gates/no_skew"),
        (
            "feature_store_contract.yml: quality_gates: found none of skew_failure_rate, wanted "
            "one with its bound, schedule and owner (the plan monitors it, and nothing would "
            "measure it)"
        ),
    ),
}


@pytest.mark.parametrize("name", VARIANTS)
def test_one_defect_is_one_review_comment(name: str) -> None:
    edit, expected = VARIANTS[name]
    assert problems_after(edit) == [expected]
