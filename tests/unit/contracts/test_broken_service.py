"""Broken feature services and quality gates: one defect, one review comment."""

from __future__ import annotations

from datetime import date

import pytest

from proviso.contracts.metrics import METRICS
from proviso.contracts.paths import listed
from tests.unit.contracts.edits import (
    IN_SERVICE,
    PAIR,
    SERVICE,
    Edit,
    Wrong,
    again,
    contract,
    problems_after,
    without,
)

VARIANTS: dict[str, tuple[Edit, Wrong]] = {
    "feature unknown to the view": (
        contract(f"{SERVICE}/features/courier_zone_daily:visits_30d", "courier_zone_daily:visits"),
        Wrong(
            "feature_unknown",
            f"{IN_SERVICE}.features[courier_zone_daily:visits]",
            "no such feature",
            "one of courier_zone_daily:late_share_30d, courier_zone_daily:parcels_30d, "
            "courier_zone_daily:visits_30d",
        ),
    ),
    "feature consumed twice": (
        contract(
            f"{SERVICE}/features/courier_zone_daily:visits_30d", "courier_zone_daily:parcels_30d"
        ),
        Wrong(
            "name_repeated",
            f"{IN_SERVICE}.features",
            "courier_zone_daily:parcels_30d 2 times",
            "every name once",
        ),
    ),
    "retired feature": (
        contract(f"{PAIR}/features/visits_30d/deprecation", {"status": "retired"}),
        Wrong(
            "feature_retired",
            f"{IN_SERVICE}.features[courier_zone_daily:visits_30d]",
            "a retired feature",
            "an active one",
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
        Wrong(
            "feature_retired",
            f"{IN_SERVICE}.features[courier_zone_daily:visits_30d]",
            "a feature retired since 2026-11-24",
            "an active one, courier_zone_daily:parcels_30d in its place",
        ),
    ),
    "field that no column has": (
        contract(f"{SERVICE}/fields", ["parcels", "distance_km", "weight"]),
        Wrong(
            "field_unknown",
            f"{IN_SERVICE}.fields",
            "weight",
            "one of distance_km, fee, parcels",
        ),
    ),
    "request feature of no field": (
        contract(f"{SERVICE}/fields", ["distance_km"]),
        Wrong(
            "field_unknown",
            f"{IN_SERVICE}.request_features[parcels].field",
            "parcels",
            "one of the fields distance_km",
        ),
    ),
    "request feature named like a column": (
        contract(f"{SERVICE}/request_features/hour_of_day/name", "fee"),
        Wrong(
            "name_taken",
            f"{IN_SERVICE}.request_features[fee].name",
            "fee",
            "another name",
        ),
    ),
    "derived of something unknown": (
        contract(f"{SERVICE}/derived_features/against_usual/inputs/0", "fees"),
        Wrong(
            "input_unknown",
            f"{IN_SERVICE}.derived_features[against_usual].inputs",
            "fees",
            "a request feature's name or a view:feature that the service consumes",
        ),
    ),
    "derived of too few": (
        contract(f"{SERVICE}/derived_features/against_usual/function", "zscore"),
        Wrong(
            "input_count",
            f"{IN_SERVICE}.derived_features[against_usual].inputs",
            "2 inputs",
            "3 for zscore",
        ),
    ),
    "gate on an unknown figure": (
        contract("quality_gates/no_skew/metric", "mood"),
        Wrong(
            "metric_unknown",
            "feature_store_contract.yml: quality_gates[no_skew].metric",
            "mood",
            f"one of {listed(METRICS)}",
        ),
    ),
    "gate in percent": (
        contract("quality_gates/features_fresh/max", 5),
        Wrong(
            "share_out_of_range",
            "feature_store_contract.yml: quality_gates[features_fresh].max",
            "5",
            "0 to 1",
        ),
    ),
    "gate that nobody monitors": (
        again("quality_gates/no_skew", name="no_drift", metric="feature_drift_psi"),
        Wrong(
            "metric_unmonitored",
            "serving_release_plan.yml: monitoring",
            "no feature_drift_psi",
            "its threshold, action and owner",
        ),
    ),
    "monitor without a schedule": (
        without("quality_gates/no_skew"),
        Wrong(
            "metric_unscheduled",
            "feature_store_contract.yml: quality_gates",
            "none of skew_failure_rate",
            "one with its bound, schedule and owner",
        ),
    ),
}


@pytest.mark.parametrize("name", VARIANTS)
def test_one_defect_is_one_review_comment(name: str) -> None:
    edit, expected = VARIANTS[name]
    assert problems_after(edit) == [expected]
