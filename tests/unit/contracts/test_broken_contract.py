"""Broken contracts, all but what a service takes: one defect, one review comment."""

from __future__ import annotations

from datetime import date

import pytest

from tests.unit.contracts.edits import (
    LOAD,
    PAIR,
    SERVICE,
    Edit,
    again,
    both,
    contract,
    payload,
    problems_after,
    without,
)

VARIANTS: dict[str, tuple[Edit, str]] = {
    "unknown key": (
        contract("owner", "x"),
        (
            "feature_store_contract.yml: owner: found an unknown key, wanted only keys that the "
            "format knows"
        ),
    ),
    "missing source delay": (
        without(f"{LOAD}/source_delay"),
        (
            "feature_store_contract.yml: feature_views[courier_load_6h].source_delay: found "
            "nothing, wanted a value (without it nobody knows when the source is complete, and "
            "training leaks)"
        ),
    ),
    "duration in months": (
        contract(f"{LOAD}/source_delay", "P1M"),
        (
            "feature_store_contract.yml: feature_views[courier_load_6h].source_delay: found "
            "'P1M', wanted an ISO 8601 duration in days, hours, minutes, seconds (P7D, PT10M)"
        ),
    ),
    "duration of zero": (
        contract(f"{LOAD}/online_ttl", "PT0S"),
        (
            "feature_store_contract.yml: feature_views[courier_load_6h].online_ttl: found "
            "'PT0S', wanted greater than 0"
        ),
    ),
    "name with a quote": (
        contract(f"{LOAD}/name", 'x"y'),
        (
            "feature_store_contract.yml: feature_views[x\"y].name: found 'x\"y', wanted a name of "
            "small letters, digits and _"
        ),
    ),
    "entity twice": (
        again("entities/zone"),
        (
            "feature_store_contract.yml: entities: found zone 2 times, wanted every name once (a "
            "name must mean one thing)"
        ),
    ),
    "default without approval": (
        contract(f"{PAIR}/features/visits_30d/default", {"policy": "default", "value": 0}),
        (
            "feature_store_contract.yml: "
            "feature_views[courier_zone_daily].features[visits_30d].default: found policy "
            "default without approved_by and reason, wanted both"
        ),
    ),
    "default without value": (
        contract(
            f"{PAIR}/features/visits_30d/default",
            {"policy": "default", "approved_by": "a@b.example", "reason": "x"},
        ),
        (
            "feature_store_contract.yml: "
            "feature_views[courier_zone_daily].features[visits_30d].default: found policy "
            "default with value None, wanted a value for `default` and none otherwise"
        ),
    ),
    "deprecated without an end": (
        contract(f"{PAIR}/deprecation", {"status": "deprecated"}),
        (
            "feature_store_contract.yml: feature_views[courier_zone_daily].deprecation: found "
            "deprecated without retire_on, wanted the date of its end"
        ),
    ),
    "publication without duration": (
        contract(f"{PAIR}/publication", {"schedule": "P1D"}),
        (
            "feature_store_contract.yml: feature_views[courier_zone_daily].publication.duration: "
            "found nothing, wanted a value (until a run is done its rows cannot be read)"
        ),
    ),
    "gate with two bounds": (
        contract("quality_gates/no_skew/min", 0),
        (
            "feature_store_contract.yml: quality_gates[no_skew]: found min 0.0 and max 0.0, "
            "wanted exactly one bound"
        ),
    ),
    "entity unknown": (
        contract(f"{PAIR}/entities", ["courier", "district"]),
        (
            "feature_store_contract.yml: feature_views[courier_zone_daily].entities: found "
            "district, wanted one of courier, zone (a view needs keys to be read by)"
        ),
    ),
    "column of two meanings": (
        contract("source/arrival_timestamp", "fee"),
        (
            "feature_store_contract.yml: source: found fee 2 times, wanted every name once (a "
            "column must have one meaning)"
        ),
    ),
    "view twice": (
        again(PAIR),
        (
            "feature_store_contract.yml: feature_views: found courier_zone_daily 2 times, wanted "
            "every name once (a name must mean one thing)"
        ),
    ),
    "model of two services": (
        again(SERVICE, name="late_delivery_service_v2"),
        (
            "feature_store_contract.yml: feature_services: found late_delivery_xgboost:1.0.0 2 "
            "times, wanted every name once (one feature service per model version)"
        ),
    ),
    "gate twice": (
        again("quality_gates/no_skew"),
        (
            "feature_store_contract.yml: quality_gates: found no_skew 2 times, wanted every name "
            "once (a name must mean one thing)"
        ),
    ),
    "feature twice": (
        again(f"{LOAD}/features/fees_24h"),
        (
            "feature_store_contract.yml: feature_views[courier_load_6h].features: found fees_24h "
            "2 times, wanted every name once (a name must mean one thing)"
        ),
    ),
    "aggregate twice": (
        again(f"{LOAD}/aggregates/all_7d"),
        (
            "feature_store_contract.yml: feature_views[courier_load_6h].aggregates: found all_7d "
            "2 times, wanted every name once (a name must mean one thing)"
        ),
    ),
    "reserved feature name": (
        both(
            again(f"{PAIR}/features/visits_30d", name="status", sql="visits_30d + 1"),
            payload(2, "values/status", 1),
        ),
        (
            "feature_store_contract.yml: feature_views[courier_zone_daily].features: found "
            "status, wanted another name (history and dataset have a column of that name already)"
        ),
    ),
    "feature named like an aggregate": (
        contract(f"{PAIR}/features/visits_30d/sql", "visits_30d + late_30d"),
        (
            "feature_store_contract.yml: "
            "feature_views[courier_zone_daily].features[visits_30d].name: found an aggregate's "
            "name, wanted another name (a name must mean one thing)"
        ),
    ),
    "key pattern": (
        contract(f"{LOAD}/online_store/key_pattern", "fs:courier:<courier_id>:v1"),
        (
            "feature_store_contract.yml: "
            "feature_views[courier_load_6h].online_store.key_pattern: found "
            "fs:courier:<courier_id>:v1, wanted "
            "fs:{courier:<courier_id>}:courier_load_6h:<schema> (writer and pod build exactly "
            "this key)"
        ),
    ),
    "ttl beyond lookback": (
        contract(f"{LOAD}/temporal_join_lookback", "PT8H"),
        (
            "feature_store_contract.yml: feature_views[courier_load_6h].online_ttl: found PT8H, "
            "wanted less than temporal_join_lookback PT8H (past the lookback a stale row cannot "
            "be told from a missing key)"
        ),
    ),
    "ttl without room": (
        both(
            contract(f"{LOAD}/online_ttl", "PT6H30M"), contract(f"{LOAD}/freshness_slo", "PT6H25M")
        ),
        (
            "feature_store_contract.yml: feature_views[courier_load_6h].online_ttl: found "
            "PT6H30M, wanted at least PT6H39M (schedule + source_delay + duration = PT6H20M and "
            "5% of room, or a fresh row turns stale before the next one is readable)"
        ),
    ),
    "slo below a cycle": (
        contract(f"{LOAD}/freshness_slo", "PT6H"),
        (
            "feature_store_contract.yml: feature_views[courier_load_6h].freshness_slo: found "
            "PT6H, wanted at least PT6H20M (schedule + source_delay + duration = PT6H20M: a row "
            "is that old when the next one is readable, with nothing late)"
        ),
    ),
    "slo beyond ttl": (
        contract(f"{LOAD}/freshness_slo", "PT9H"),
        (
            "feature_store_contract.yml: feature_views[courier_load_6h].freshness_slo: found "
            "PT9H, wanted at most online_ttl PT8H (the objective must be missed before values "
            "are refused)"
        ),
    ),
    "run longer than schedule": (
        contract(f"{LOAD}/publication", {"schedule": "PT10M", "duration": "PT10M"}),
        (
            "feature_store_contract.yml: feature_views[courier_load_6h].publication.duration: "
            "found PT10M, wanted less than schedule PT10M (runs would pile up)"
        ),
    ),
    "schedule too dense": (
        contract(f"{LOAD}/publication", {"schedule": "PT10S", "duration": "PT5S"}),
        (
            "feature_store_contract.yml: feature_views[courier_load_6h].publication.schedule: "
            "found PT10S, wanted at most 64 rows of a key on their way (92 runs start before the "
            "first of them is readable)"
        ),
    ),
    "population below lookback": (
        both(
            contract(f"{LOAD}/temporal_join_lookback", "P20D"),
            contract(f"{LOAD}/population", "P10D"),
        ),
        (
            "feature_store_contract.yml: feature_views[courier_load_6h].population: found P10D, "
            "wanted at least temporal_join_lookback P20D (an entity that still counts would have "
            "no row, so MISSING_KEY)"
        ),
    ),
    "population below window": (
        contract(f"{PAIR}/population", "P20D"),
        (
            "feature_store_contract.yml: feature_views[courier_zone_daily].population: found "
            "P20D, wanted at least P30D, as far as visits_30d counts (an entity that still "
            "counts would have no row, so MISSING_KEY)"
        ),
    ),
    "lineage elsewhere": (
        contract(f"{LOAD}/lineage/sources", ["tours"]),
        (
            "feature_store_contract.yml: feature_views[courier_load_6h].lineage.sources: found "
            "tours, wanted deliveries among them (every value is computed from that source)"
        ),
    ),
    "label in a where": (
        contract(f"{LOAD}/aggregates/big_7d/where", "parcels >= 5 and is_late"),
        (
            "feature_store_contract.yml: "
            "feature_views[courier_load_6h].aggregates[big_7d].where: found the label is_late in "
            "an aggregate dated by event, wanted dated: label (leakage: on the event's day "
            "nobody knows its label)"
        ),
    ),
    "sum of the label": (
        contract(
            f"{LOAD}/aggregates/late_7d",
            {"name": "late_7d", "function": "sum", "of": "is_late", "window": "P7D"},
        ),
        (
            "feature_store_contract.yml: feature_views[courier_load_6h].aggregates[late_7d].of: "
            "found the label is_late, wanted count with dated: label (leakage: a label is "
            "counted when it is known)"
        ),
    ),
    "sum of doubles": (
        contract(f"{LOAD}/aggregates/fees_24h_minor/of", "distance_km"),
        (
            "feature_store_contract.yml: "
            "feature_views[courier_load_6h].aggregates[fees_24h_minor].of: found float64 column "
            "distance_km, wanted money, int64 or bool (a sum of doubles depends on the order of "
            "its rows)"
        ),
    ),
    "sum of nothing known": (
        contract(f"{LOAD}/aggregates/fees_24h_minor/of", "weight"),
        (
            "feature_store_contract.yml: "
            "feature_views[courier_load_6h].aggregates[fees_24h_minor].of: found weight, wanted "
            "one of fee, parcels"
        ),
    ),
    "sum without column": (
        without(f"{LOAD}/aggregates/fees_24h_minor/of"),
        (
            "feature_store_contract.yml: "
            "feature_views[courier_load_6h].aggregates[fees_24h_minor]: found sum of None, "
            "wanted a column for sums and none for count"
        ),
    ),
    "where that is no condition": (
        contract(f"{LOAD}/aggregates/big_7d/where", "parcels"),
        (
            "feature_store_contract.yml: "
            "feature_views[courier_load_6h].aggregates[big_7d].where: found `parcels`, wanted a "
            "condition, true or false"
        ),
    ),
    "where over an unknown column": (
        contract(f"{LOAD}/aggregates/big_7d/where", "weight > 3"),
        (
            "feature_store_contract.yml: "
            "feature_views[courier_load_6h].aggregates[big_7d].where: found column weight, "
            "wanted one of distance_km, fee, is_late, parcels"
        ),
    ),
    "feature without a source": (
        without(f"{LOAD}/features/fees_24h/sql"),
        (
            "feature_store_contract.yml: feature_views[courier_load_6h].features[fees_24h].sql: "
            "found no sql and no aggregate of that name, wanted sql or one of all_7d, big_7d, "
            "deliveries_24h, fees_24h_minor, judged_7d, late_7d"
        ),
    ),
    "feature of another type": (
        contract(f"{PAIR}/features/late_share_30d/dtype", "int64"),
        (
            "feature_store_contract.yml: "
            "feature_views[courier_zone_daily].features[late_share_30d].sql: found `late_30d / "
            "nullif(visits_30d, 0)`, which is float64, wanted what dtype int64 says (the pod "
            "refuses a stored value of another type)"
        ),
    ),
    "two divisions": (
        contract(f"{LOAD}/features/big_share_7d/sql", "big_7d / nullif(all_7d, 0) / 100"),
        (
            "feature_store_contract.yml: "
            "feature_views[courier_load_6h].features[big_share_7d].sql: found arithmetic on "
            "`big_7d / NULLIF(all_7d, 0)`, wanted exact integers up to at most one division, "
            "which ends the arithmetic (batch, incremental and streamed results must be equal to "
            "the bit)"
        ),
    ),
    "function in sql": (
        contract(f"{LOAD}/features/big_share_7d/sql", "ln(big_7d)"),
        (
            "feature_store_contract.yml: "
            "feature_views[courier_load_6h].features[big_share_7d].sql: found `LN(big_7d)`, "
            "wanted + - * /, comparisons, and/or/not, is null, case, coalesce, nullif, abs, "
            "sqrt, greatest, least, cast to double or bigint, numbers, true, false, null (what "
            "is not on this list may differ between engines)"
        ),
    ),
    "subquery in sql": (
        contract(f"{LOAD}/features/big_share_7d/sql", "(select max(x) from secrets)"),
        (
            "feature_store_contract.yml: "
            "feature_views[courier_load_6h].features[big_share_7d].sql: found `(SELECT MAX(x) "
            "FROM secrets)`, wanted + - * /, comparisons, and/or/not, is null, case, coalesce, "
            "nullif, abs, sqrt, greatest, least, cast to double or bigint, numbers, true, false, "
            "null (what is not on this list may differ between engines)"
        ),
    ),
    "default of another type": (
        contract(f"{PAIR}/features/visits_30d/default/value", 0.5),
        (
            "feature_store_contract.yml: "
            "feature_views[courier_zone_daily].features[visits_30d].default.value: found 0.5, "
            "wanted a whole number (the feature is int64)"
        ),
    ),
    "approval expired": (
        contract(f"{LOAD}/features/fees_24h/default/expires", date(2026, 11, 24)),
        (
            "feature_store_contract.yml: "
            "feature_views[courier_load_6h].features[fees_24h].default.expires: found an "
            "approval that ended on 2026-11-24, wanted a day after 2026-11-24, or a new approval "
            "by dispatch@parcels.example (past it the feature rejects in place of defaulting)"
        ),
    ),
    "critical feature on event": (
        contract(f"{LOAD}/publication", {"on": "event", "delay": "PT20M"}),
        (
            "feature_store_contract.yml: "
            "feature_views[courier_load_6h].features[deliveries_24h].default.policy: found "
            "reject in a view published on event, wanted an approved default or nan (an idle "
            "entity ages into STALE though nothing is late)"
        ),
    ),
    "on event before the source": (
        contract(f"{PAIR}/publication", {"on": "event", "delay": "PT14M"}),
        (
            "feature_store_contract.yml: feature_views[courier_zone_daily].publication.delay: "
            "found PT14M, wanted at least source_delay PT15M (a row cannot be readable before "
            "its source is complete)"
        ),
    ),
    "on event beyond the slo": (
        contract(f"{PAIR}/publication", {"on": "event", "delay": "P1DT2H"}),
        (
            "feature_store_contract.yml: feature_views[courier_zone_daily].freshness_slo: found "
            "P1DT1H, wanted at least delay P1DT2H (a row is that old when it becomes readable, "
            "with nothing late)"
        ),
    ),
    "scale of a count": (
        contract("source/columns/parcels/scale", 2),
        (
            "feature_store_contract.yml: source.columns.parcels.scale: found 2 of int64, wanted "
            "no scale (only money has minor units)"
        ),
    ),
    "infinite tolerance": (
        contract(f"{PAIR}/features/visits_30d/tolerance/absolute", float("inf")),
        (
            "feature_store_contract.yml: "
            "feature_views[courier_zone_daily].features[visits_30d].tolerance.absolute: found "
            "inf, wanted a finite number"
        ),
    ),
}


@pytest.mark.parametrize("name", VARIANTS)
def test_one_defect_is_one_review_comment(name: str) -> None:
    edit, expected = VARIANTS[name]
    assert problems_after(edit) == [expected]
