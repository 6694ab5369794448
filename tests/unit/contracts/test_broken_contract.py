"""Broken contracts, all but aggregates and services: one defect, one review comment."""

from __future__ import annotations

from datetime import date

import pytest

from tests.unit.contracts.edits import (
    IN_LOAD,
    IN_PAIR,
    LOAD,
    PAIR,
    SERVICE,
    Edit,
    Wrong,
    again,
    both,
    contract,
    payload,
    problems_after,
    without,
)

VARIANTS: dict[str, tuple[Edit, Wrong]] = {
    "unknown key": (
        contract("owner", "x"),
        Wrong(
            "key_unknown",
            "feature_store_contract.yml: owner",
            "an unknown key",
            "only keys that the format knows",
        ),
    ),
    "missing source delay": (
        without(f"{LOAD}/source_delay"),
        Wrong(
            "key_missing",
            f"{IN_LOAD}.source_delay",
            "nothing",
            "a value",
        ),
    ),
    "duration in months": (
        contract(f"{LOAD}/source_delay", "P1M"),
        Wrong(
            "duration_invalid",
            f"{IN_LOAD}.source_delay",
            "'P1M'",
            "an ISO 8601 duration in days, hours, minutes, seconds (P7D, PT10M)",
        ),
    ),
    "duration of zero": (
        contract(f"{LOAD}/online_ttl", "PT0S"),
        Wrong(
            "invalid_value",
            f"{IN_LOAD}.online_ttl",
            "'PT0S'",
            "greater than 0",
        ),
    ),
    "name with a quote": (
        contract(f"{LOAD}/name", 'x"y'),
        Wrong(
            "invalid_value",
            'feature_store_contract.yml: feature_views[x"y].name',
            "'x\"y'",
            "a name of small letters, digits and _",
        ),
    ),
    "entity twice": (
        again("entities/zone"),
        Wrong(
            "name_repeated",
            "feature_store_contract.yml: entities",
            "zone 2 times",
            "every name once",
        ),
    ),
    "default without approval": (
        contract(f"{PAIR}/features/visits_30d/default", {"policy": "default", "value": 0}),
        Wrong(
            "default_unapproved",
            f"{IN_PAIR}.features[visits_30d].default",
            "policy default without approved_by and reason",
            "both",
        ),
    ),
    "default without value": (
        contract(
            f"{PAIR}/features/visits_30d/default",
            {"policy": "default", "approved_by": "a@b.example", "reason": "x"},
        ),
        Wrong(
            "default_value_mismatch",
            f"{IN_PAIR}.features[visits_30d].default",
            "policy default with value None",
            "a value for `default` and none otherwise",
        ),
    ),
    "deprecated without an end": (
        contract(f"{PAIR}/deprecation", {"status": "deprecated"}),
        Wrong(
            "retire_on_missing",
            f"{IN_PAIR}.deprecation",
            "deprecated without retire_on",
            "the date of its end",
        ),
    ),
    "publication without duration": (
        contract(f"{PAIR}/publication", {"schedule": "P1D"}),
        Wrong(
            "key_missing",
            f"{IN_PAIR}.publication.duration",
            "nothing",
            "a value",
        ),
    ),
    "gate with two bounds": (
        contract("quality_gates/no_skew/min", 0),
        Wrong(
            "gate_bounds_ambiguous",
            "feature_store_contract.yml: quality_gates[no_skew]",
            "min 0.0 and max 0.0",
            "exactly one bound",
        ),
    ),
    "entity unknown": (
        contract(f"{PAIR}/entities", ["courier", "district"]),
        Wrong(
            "entity_unknown",
            f"{IN_PAIR}.entities",
            "district",
            "one of courier, zone",
        ),
    ),
    "column of two meanings": (
        contract("source/arrival_timestamp", "fee"),
        Wrong(
            "name_repeated",
            "feature_store_contract.yml: source",
            "fee 2 times",
            "every name once",
        ),
    ),
    "view twice": (
        again(PAIR),
        Wrong(
            "name_repeated",
            "feature_store_contract.yml: feature_views",
            "courier_zone_daily 2 times",
            "every name once",
        ),
    ),
    "model of two services": (
        again(SERVICE, name="late_delivery_service_v2"),
        Wrong(
            "name_repeated",
            "feature_store_contract.yml: feature_services",
            "late_delivery_xgboost:1.0.0 2 times",
            "every name once",
        ),
    ),
    "gate twice": (
        again("quality_gates/no_skew"),
        Wrong(
            "name_repeated",
            "feature_store_contract.yml: quality_gates",
            "no_skew 2 times",
            "every name once",
        ),
    ),
    "feature twice": (
        again(f"{LOAD}/features/fees_24h"),
        Wrong(
            "name_repeated",
            f"{IN_LOAD}.features",
            "fees_24h 2 times",
            "every name once",
        ),
    ),
    "aggregate twice": (
        again(f"{LOAD}/aggregates/all_7d"),
        Wrong(
            "name_repeated",
            f"{IN_LOAD}.aggregates",
            "all_7d 2 times",
            "every name once",
        ),
    ),
    "reserved feature name": (
        both(
            again(f"{PAIR}/features/visits_30d", name="status", sql="visits_30d + 1"),
            payload(2, "values/status", 1),
        ),
        Wrong(
            "name_taken",
            f"{IN_PAIR}.features",
            "status",
            "another name",
        ),
    ),
    "feature named like an aggregate": (
        contract(f"{PAIR}/features/visits_30d/sql", "visits_30d + late_30d"),
        Wrong(
            "name_taken",
            f"{IN_PAIR}.features[visits_30d].name",
            "an aggregate's name",
            "another name",
        ),
    ),
    "key pattern": (
        contract(f"{LOAD}/online_store/key_pattern", "fs:courier:<courier_id>:v1"),
        Wrong(
            "key_pattern_mismatch",
            f"{IN_LOAD}.online_store.key_pattern",
            "fs:courier:<courier_id>:v1",
            "fs:{courier:<courier_id>}:courier_load_6h:<schema>",
        ),
    ),
    "ttl beyond lookback": (
        contract(f"{LOAD}/temporal_join_lookback", "PT8H"),
        Wrong(
            "ttl_beyond_lookback",
            f"{IN_LOAD}.online_ttl",
            "PT8H",
            "less than temporal_join_lookback PT8H",
        ),
    ),
    "ttl without room": (
        both(
            contract(f"{LOAD}/online_ttl", "PT6H30M"), contract(f"{LOAD}/freshness_slo", "PT6H25M")
        ),
        Wrong(
            "ttl_too_short",
            f"{IN_LOAD}.online_ttl",
            "PT6H30M",
            "at least PT6H39M",
        ),
    ),
    "slo below a cycle": (
        contract(f"{LOAD}/freshness_slo", "PT6H"),
        Wrong(
            "slo_too_short",
            f"{IN_LOAD}.freshness_slo",
            "PT6H",
            "at least PT6H20M",
        ),
    ),
    "slo beyond ttl": (
        contract(f"{LOAD}/freshness_slo", "PT9H"),
        Wrong(
            "slo_beyond_ttl",
            f"{IN_LOAD}.freshness_slo",
            "PT9H",
            "at most online_ttl PT8H",
        ),
    ),
    "run longer than schedule": (
        contract(f"{LOAD}/publication", {"schedule": "PT10M", "duration": "PT10M"}),
        Wrong(
            "run_longer_than_schedule",
            f"{IN_LOAD}.publication.duration",
            "PT10M",
            "less than schedule PT10M",
        ),
    ),
    "schedule too dense": (
        contract(f"{LOAD}/publication", {"schedule": "PT10S", "duration": "PT5S"}),
        Wrong(
            "schedule_too_dense",
            f"{IN_LOAD}.publication.schedule",
            "PT10S",
            "at most 64 rows of one key that are written and not readable yet",
        ),
    ),
    "population below lookback": (
        both(
            contract(f"{LOAD}/temporal_join_lookback", "P20D"),
            contract(f"{LOAD}/population", "P10D"),
        ),
        Wrong(
            "population_too_short",
            f"{IN_LOAD}.population",
            "P10D",
            "at least temporal_join_lookback P20D",
        ),
    ),
    "population below window": (
        contract(f"{PAIR}/population", "P20D"),
        Wrong(
            "population_too_short",
            f"{IN_PAIR}.population",
            "P20D",
            "at least P30D, as far as visits_30d counts",
        ),
    ),
    "lineage elsewhere": (
        contract(f"{LOAD}/lineage/sources", ["tours"]),
        Wrong(
            "lineage_without_source",
            f"{IN_LOAD}.lineage.sources",
            "tours",
            "deliveries among them",
        ),
    ),
    "approval expired": (
        contract(f"{LOAD}/features/fees_24h/default/expires", date(2026, 11, 24)),
        Wrong(
            "default_expired",
            f"{IN_LOAD}.features[fees_24h].default.expires",
            "an approval that ended on 2026-11-24",
            "a day after 2026-11-24, or a new approval by dispatch@parcels.example",
        ),
    ),
    "critical feature on event": (
        contract(f"{LOAD}/publication", {"on": "event", "delay": "PT20M"}),
        Wrong(
            "reject_on_event",
            f"{IN_LOAD}.features[deliveries_24h].default.policy",
            "reject in a view published on event",
            "an approved default or nan",
        ),
    ),
    "on event before the source": (
        contract(f"{PAIR}/publication", {"on": "event", "delay": "PT14M"}),
        Wrong(
            "delay_below_source",
            f"{IN_PAIR}.publication.delay",
            "PT14M",
            "at least source_delay PT15M",
        ),
    ),
    "on event beyond the slo": (
        contract(f"{PAIR}/publication", {"on": "event", "delay": "P1DT2H"}),
        Wrong(
            "slo_too_short",
            f"{IN_PAIR}.freshness_slo",
            "P1DT1H",
            "at least delay P1DT2H",
        ),
    ),
    "scale of a count": (
        contract("source/columns/parcels/scale", 2),
        Wrong(
            "scale_not_money",
            "feature_store_contract.yml: source.columns.parcels.scale",
            "2 of int64",
            "no scale",
        ),
    ),
    "infinite tolerance": (
        contract(f"{PAIR}/features/visits_30d/tolerance/absolute", float("inf")),
        Wrong(
            "invalid_value",
            f"{IN_PAIR}.features[visits_30d].tolerance.absolute",
            "inf",
            "a finite number",
        ),
    ),
}


@pytest.mark.parametrize("name", VARIANTS)
def test_one_defect_is_one_review_comment(name: str) -> None:
    edit, expected = VARIANTS[name]
    assert problems_after(edit) == [expected]
