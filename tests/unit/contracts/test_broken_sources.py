"""Broken version 2 contracts: one defect in sources, times, tables or shorthands, one comment."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from proviso.contracts.loading import CONTRACT_FILE, parse_yaml
from proviso.contracts.paths import in_contract
from tests.unit.contracts.edits import Wrong
from tests.unit.contracts.flights_case import drop, flights, found, put, told

Edit = Callable[[dict[str, Any]], dict[str, Any]]


def at(path: str, value: Any) -> Edit:
    return lambda data: put(data, path, value)


def without(path: str) -> Edit:
    return lambda data: drop(data, path)


def added(path: str, value: Any) -> Edit:
    """One more item of a list."""

    def edit(data: dict[str, Any]) -> dict[str, Any]:
        *steps, last = path.split("/")
        here: Any = data
        for step in (*steps, last):
            here = here[step] if isinstance(here, dict) else _named(here, step)
        return put(data, path, [*here, value])

    return edit


def _named(items: list[Any], name: str) -> Any:
    return next(item for item in items if item["name"] == name)


def both(first: Edit, second: Edit) -> Edit:
    return lambda data: second(first(data))


def wrong(code: str, path: str, found: str, wanted: str) -> Wrong:
    return Wrong(code, in_contract(path), found, wanted)


LANDINGS, BOOKINGS = "sources/landings", "sources/bookings"
DAILY, RATINGS = "feature_views/carrier_daily", "feature_views/carrier_ratings"
SERVICE = "feature_services/late_service_v1"
IN_DAILY, IN_RATINGS = "feature_views[carrier_daily]", "feature_views[carrier_ratings]"
IN_SERVICE = "feature_services[late_service_v1]"
OBSERVED = {"kind": "observations", "name": "seen", "rows_of": "landings", "label": "late"}
APPROVED = {"policy": "default", "approved_by": "ops@flights.example", "reason": "Agreed."}
EVENTS = {
    "kind": "events",
    "name": "swaps",
    "id": "swap_id",
    "event_timestamp": "at",
    "entities": ["carrier"],
}

SOURCES: dict[str, tuple[Edit, Wrong]] = {
    "time zone": (
        at("time_zone", "Mars/Olympus"),
        wrong(
            "time_zone_unknown",
            "time_zone",
            "Mars/Olympus",
            "an IANA time zone such as America/New_York",
        ),
    ),
    "no kind": (
        without("sources/weather/kind"),
        wrong(
            "source_kind_unknown",
            "sources[weather].kind",
            "nothing",
            "events, table or observations",
        ),
    ),
    "another kind": (
        at("sources/weather/kind", "stream"),
        wrong(
            "source_kind_unknown",
            "sources[weather].kind",
            "'stream'",
            "events, table or observations",
        ),
    ),
    "events without id": (
        without("sources/weather/id"),
        wrong("key_missing", "sources[weather].id", "nothing", "a value"),
    ),
    "table without the moment of creation": (
        without("sources/ratings/created_timestamp"),
        wrong("key_missing", "sources[ratings].created_timestamp", "nothing", "a value"),
    ),
    "observations without label": (
        without(f"{BOOKINGS}/label"),
        wrong("key_missing", "sources[bookings].label", "nothing", "a value"),
    ),
    "source without entities": (
        at("sources/weather/entities", []),
        wrong("invalid_value", "sources[weather].entities", "[]", "at least 1 items"),
    ),
    "rows of another source with columns of their own": (
        both(
            added("sources", {**OBSERVED, "columns": {}}),
            at(f"{SERVICE}/observations", "bookings"),
        ),
        wrong(
            "key_unknown",
            "sources[seen].columns",
            "an unknown key",
            "only keys that the format knows",
        ),
    ),
    "source twice": (
        added("sources", {**EVENTS, "name": "weather", "kind": "events"}),
        wrong("name_repeated", "sources", "weather 2 times", "every name once"),
    ),
    "entity of a source": (
        at("sources/weather/entities", ["airport", "runway"]),
        wrong("entity_unknown", "sources[weather].entities", "runway", "one of airport, carrier"),
    ),
    "key of another entity": (
        at("sources/weather/keys", {"carrier": "by"}),
        wrong(
            "entity_unknown",
            "sources[weather].keys.carrier",
            "carrier",
            "one of the source's entities airport",
        ),
    ),
    "entity of a source twice": (
        at("sources/weather/entities", ["airport", "airport"]),
        wrong("name_repeated", "sources[weather].entities", "airport 2 times", "every name once"),
    ),
    "one column as two keys": (
        at(f"{LANDINGS}/keys", {"airport": "carrier_id"}),
        wrong("name_repeated", "sources[landings]", "carrier_id 2 times", "every name once"),
    ),
    "one column of the file under two names": (
        at(f"{LANDINGS}/columns/tail/column", "distance"),
        wrong("name_repeated", "sources[landings]", "distance 2 times", "every name once"),
    ),
    "a key as a column": (
        at("sources/weather/columns/airport_id", {"dtype": "string"}),
        wrong("name_repeated", "sources[weather]", "airport_id 2 times", "every name once"),
    ),
    "event and creation in one column": (
        at("sources/ratings/created_timestamp", "as_of"),
        wrong("name_repeated", "sources[ratings]", "as_of 2 times", "every name once"),
    ),
    "dtype": (
        at("sources/weather/columns/wind/dtype", "float"),
        wrong(
            "invalid_value",
            "sources[weather].columns.wind.dtype",
            "'float'",
            "'int64', 'float64', 'money', 'bool', 'string' or 'timestamp'",
        ),
    ),
    "a share of all rows": (
        at(f"{LANDINGS}/quarantine", 1),
        wrong("invalid_value", "sources[landings].quarantine", "1", "less than 1"),
    ),
    "a share below nothing": (
        at("sources/weather/quarantine", -0.01),
        wrong(
            "invalid_value", "sources[weather].quarantine", "-0.01", "greater than or equal to 0"
        ),
    ),
    "a share as text": (
        at(f"{BOOKINGS}/quarantine", "1%"),
        wrong("invalid_value", "sources[bookings].quarantine", "'1%'", "a valid number"),
    ),
    "quarantine of rows that are another source's": (
        added("sources", OBSERVED | {"quarantine": 0.1}),
        wrong(
            "key_unknown",
            "sources[seen].quarantine",
            "an unknown key",
            "only keys that the format knows",
        ),
    ),
    "quarantine of columns": (
        at(f"{LANDINGS}/columns/tail/quarantine", 0.1),
        wrong(
            "key_unknown",
            "sources[landings].columns.tail.quarantine",
            "an unknown key",
            "only keys that the format knows",
        ),
    ),
    "scale of a string": (
        at(f"{LANDINGS}/columns/tail/scale", 2),
        wrong("scale_not_money", "sources[landings].columns.tail.scale", "2 of string", "no scale"),
    ),
    "column called like one of ours": (
        at(f"{BOOKINGS}/columns/event_ts", {"dtype": "timestamp"}),
        wrong("name_taken", "sources[bookings].columns.event_ts", "event_ts", "another name"),
    ),
    "location of nothing": (
        at("sources/weather/location", {"place": "s3://b/weather"}),
        wrong(
            "key_unknown",
            "sources[weather].location.place",
            "an unknown key",
            "only keys that the format knows",
        ),
    ),
}

TIMES: dict[str, tuple[Edit, Wrong]] = {
    "known at nothing": (
        at(f"{LANDINGS}/columns/late/known_at", {}),
        wrong(
            "known_at_empty",
            "sources[landings].columns.late.known_at",
            "neither column nor delay",
            "a column, a delay, or both",
        ),
    ),
    "known after months": (
        at(f"{LANDINGS}/columns/late/known_at", {"delay": "P1M"}),
        wrong(
            "duration_invalid",
            "sources[landings].columns.late.known_at.delay",
            "'P1M'",
            "an ISO 8601 duration in days, hours, minutes, seconds (P7D, PT10M)",
        ),
    ),
    "known at a number": (
        at(f"{LANDINGS}/columns/late/known_at", "distance"),
        wrong(
            "known_at_not_timestamp",
            "sources[landings].columns.late.known_at",
            "distance, which is float64",
            "a timestamp",
        ),
    ),
    "a moment to come that is known at once": (
        at(f"{LANDINGS}/columns/landed_at", {"dtype": "timestamp", "nullable": True}),
        wrong(
            "known_at_column_early",
            "sources[landings].columns.landed_at.known_at",
            "nothing",
            "landed_at",
        ),
    ),
    "a table's column known later": (
        at("sources/ratings/columns/rating/known_at", "P1D"),
        wrong(
            "table_column_late",
            "sources[ratings].columns.rating.known_at",
            "known_at in a table",
            "none",
        ),
    ),
    "label that is no column": (
        at(f"{BOOKINGS}/label", "delayed"),
        wrong(
            "label_unknown",
            "sources[bookings].label",
            "delayed",
            "one of the columns distance, gate_delay, late, planned",
        ),
    ),
    "label that is known at once": (
        without(f"{BOOKINGS}/columns/late/known_at"),
        wrong(
            "label_known_at_missing",
            "sources[bookings].columns.late.known_at",
            "nothing",
            "a column, a delay, or both",
        ),
    ),
    "label that is a number": (
        at(f"{BOOKINGS}/columns/late/dtype", "int64"),
        wrong(
            "label_not_bool",
            "sources[bookings].columns.late.dtype",
            "int64",
            "bool, the dtype of a label",
        ),
    ),
    "rows of a table as observations": (
        both(
            added("sources", {**OBSERVED, "rows_of": "ratings"}),
            at(f"{SERVICE}/observations", "bookings"),
        ),
        wrong(
            "source_unknown",
            "sources[seen].rows_of",
            "ratings",
            "an events source, one of landings, weather",
        ),
    ),
    "two observations and no choice": (
        added("sources", OBSERVED),
        wrong(
            "observations_unknown",
            f"{IN_SERVICE}.observations",
            "nothing",
            "a source of observations, one of bookings, seen",
        ),
    ),
    "events as observations": (
        at(f"{SERVICE}/observations", "landings"),
        wrong(
            "observations_unknown",
            f"{IN_SERVICE}.observations",
            "landings",
            "a source of observations, one of bookings",
        ),
    ),
    "late value in a condition at the event": (
        at(f"{DAILY}/aggregates/flights/where", "arr_delay > 15"),
        wrong(
            "value_known_later",
            f"{IN_DAILY}.aggregates[flights].where",
            "arr_delay in an aggregate dated by event",
            "dated: known",
        ),
    ),
    "late value summed at the event": (
        at(f"{DAILY}/aggregates/fares_7d_minor/of", "arr_delay"),
        wrong(
            "value_known_later",
            f"{IN_DAILY}.aggregates[fares_7d_minor].of",
            "arr_delay in an aggregate dated by event",
            "dated: known",
        ),
    ),
    "nothing that is known later": (
        at(f"{DAILY}/aggregates/flights/dated", "known"),
        wrong(
            "nothing_known_later",
            f"{IN_DAILY}.aggregates[flights].dated",
            "known",
            "event; or `of` or `where` with one of: arr_delay, late",
        ),
    ),
    "nothing that is known later in a source that has no such column": (
        at("feature_views/airport_weather/aggregates/readings_1d/dated", "known"),
        wrong(
            "nothing_known_later",
            "feature_views[airport_weather].aggregates[readings_1d].dated",
            "known",
            "event",
        ),
    ),
    "late value as a request field": (
        at(f"{SERVICE}/fields", ["distance", "gate_delay"]),
        wrong(
            "value_known_later",
            f"{IN_SERVICE}.fields",
            "gate_delay, which is known later",
            "what is known when a request is made",
        ),
    ),
    "label as a request field": (
        at(f"{SERVICE}/fields", ["distance", "late"]),
        wrong(
            "label_leak",
            f"{IN_SERVICE}.fields",
            "the label late",
            "what is known when a request is made",
        ),
    ),
}

VIEWS: dict[str, tuple[Edit, Wrong]] = {
    "view over nothing": (
        at(f"{DAILY}/source", "tickets"),
        wrong(
            "view_source_unknown",
            f"{IN_DAILY}.source",
            "tickets",
            "a source of events or of a table, one of landings, ratings, weather",
        ),
    ),
    "view over observations": (
        at(f"{DAILY}/source", "bookings"),
        wrong(
            "view_source_unknown",
            f"{IN_DAILY}.source",
            "bookings",
            "a source of events or of a table, one of landings, ratings, weather",
        ),
    ),
    "two sources of events and no choice": (
        without(f"{DAILY}/source"),
        wrong(
            "view_source_unknown",
            f"{IN_DAILY}.source",
            "nothing",
            "a source of events or of a table, one of landings, ratings, weather",
        ),
    ),
    "view by an entity that its source lacks": (
        at("feature_views/airport_weather/entities", ["carrier"]),
        wrong(
            "view_entity_not_in_source",
            "feature_views[airport_weather].entities",
            "carrier",
            "one of airport",
        ),
    ),
    "view by an entity that observations lack": (
        both(
            at(f"{BOOKINGS}/entities", ["airport"]),
            at(f"{SERVICE}/features", ["carrier_daily:late_7d"]),
        ),
        wrong(
            "service_entity_missing",
            f"{IN_SERVICE}.features",
            "carrier_daily, whose rows are those of carrier",
            "views of airport",
        ),
    ),
    "aggregates over a table": (
        at(f"{RATINGS}/aggregates", [{"name": "rows_1d", "function": "count", "window": "P1D"}]),
        wrong(
            "table_view_aggregates",
            f"{IN_RATINGS}.aggregates",
            "aggregates over the table ratings",
            "none",
        ),
    ),
    "events without aggregates": (
        both(
            at("feature_views/airport_weather/aggregates", []),
            at(
                "feature_views/airport_weather/features",
                [{"name": "one", "description": "One.", "sql": "1"}],
            ),
        ),
        wrong(
            "aggregates_missing",
            "feature_views[airport_weather].aggregates",
            "nothing",
            "at least one",
        ),
    ),
    "feature that the table lacks": (
        at(f"{RATINGS}/features", ["rating", "stars"]),
        wrong(
            "feature_not_in_table",
            f"{IN_RATINGS}.features[stars].name",
            "stars",
            "one of alliance, debt, founded, rating",
        ),
    ),
    "view over a part of the table's key": (
        at("sources/ratings/entities", ["carrier", "airport"]),
        wrong("table_view_entities", f"{IN_RATINGS}.entities", "no airport", "airport, carrier"),
    ),
    "sql over a table": (
        at(f"{RATINGS}/features", [{"name": "rating", "description": "R.", "sql": "rating + 1"}]),
        wrong("table_view_sql", f"{IN_RATINGS}.features[rating].sql", "sql over a table", "none"),
    ),
    "feature of another dtype than the table's": (
        at(f"{RATINGS}/features", [{"name": "rating", "dtype": "int64"}]),
        wrong(
            "table_feature_type_mismatch",
            f"{IN_RATINGS}.features[rating].dtype",
            "int64",
            "float64, as the column is stored",
        ),
    ),
    "moment as a feature": (
        at(f"{RATINGS}/features", ["rating", {"name": "founded", "dtype": "int64"}]),
        wrong(
            "table_feature_type_mismatch",
            f"{IN_RATINGS}.features[founded].dtype",
            "int64",
            "another column",
        ),
    ),
    "tolerance of a string": (
        at(
            f"{RATINGS}/features",
            ["rating", {"name": "alliance", "tolerance": {"absolute": 0.5, "relative": 0}}],
        ),
        wrong(
            "tolerance_not_numeric",
            f"{IN_RATINGS}.features[alliance].tolerance",
            "absolute 0.5, relative 0",
            "absolute 0 and relative 0",
        ),
    ),
    "number as the default of a string": (
        at(
            f"{RATINGS}/features",
            ["rating", {"name": "alliance", "default": {**APPROVED, "value": 0}}],
        ),
        wrong(
            "default_type_mismatch",
            f"{IN_RATINGS}.features[alliance].default.value",
            "0",
            "text",
        ),
    ),
    "text as the default of a number": (
        at(
            f"{RATINGS}/features",
            [{"name": "rating", "default": {**APPROVED, "value": "A"}}],
        ),
        wrong(
            "default_type_mismatch",
            f"{IN_RATINGS}.features[rating].default.value",
            "A",
            "a number",
        ),
    ),
    "list as a default": (
        at("defaults/default/value", [1]),
        wrong(
            "default_value_invalid",
            "defaults.default.value",
            "[1]",
            "a number, true, false or text",
        ),
    ),
    "shared tolerance, told once": (
        at("defaults/tolerance/absolute", -1),
        wrong(
            "invalid_value",
            "defaults.tolerance.absolute",
            "-1",
            "greater than or equal to 0",
        ),
    ),
    "shared approval that has ended, told once": (
        at("defaults/default/expires", "2026-01-31"),
        wrong(
            "default_expired",
            "defaults.default.expires",
            "an approval that ended on 2026-01-31",
            "a day after 2026-11-24, or a new approval by ops@flights.example",
        ),
    ),
    "unknown default": (
        at("defaults/schedule", "P1D"),
        wrong(
            "key_unknown",
            "defaults.schedule",
            "an unknown key",
            "only keys that the format knows",
        ),
    ),
    "shared owner, told once": (
        at("defaults/owner", "?"),
        wrong(
            "invalid_value",
            "defaults.owner",
            "'?'",
            "text that matches ^[A-Za-z0-9][A-Za-z0-9._@:/ -]{0,126}$",
        ),
    ),
    "windows and a window": (
        at(f"{DAILY}/aggregates/flights/window", "P1D"),
        wrong(
            "key_unknown",
            f"{IN_DAILY}.aggregates[flights].windows",
            "an unknown key",
            "only keys that the format knows",
        ),
    ),
    "window of a month among windows": (
        at(f"{DAILY}/aggregates/late/windows", ["P7D", "P1M"]),
        wrong(
            "duration_invalid",
            f"{IN_DAILY}.aggregates[late].window",
            "'P1M'",
            "an ISO 8601 duration in days, hours, minutes, seconds (P7D, PT10M)",
        ),
    ),
    "feature that is no aggregate": (
        at(f"{DAILY}/features", ["flights", "late_7d", "delays"]),
        wrong(
            "sql_missing",
            f"{IN_DAILY}.features[delays].sql",
            "no sql and no aggregate of that name",
            "sql or one of fares_7d_minor, flights_1d, flights_7d, late_1d, late_7d",
        ),
    ),
    "text that a comma has cut": (
        at("sources/weather/columns/wind/and so on", None),
        wrong(
            "key_unknown",
            "sources[weather].columns.wind.and so on",
            "an unknown key",
            "only keys that the format knows",
        ),
    ),
    "version 1's source beside sources": (
        at("source", {"name": "x"}),
        wrong("key_unknown", "source", "an unknown key", "only keys that the format knows"),
    ),
}

VARIANTS = {**SOURCES, **TIMES, **VIEWS}


def test_the_contract_passes() -> None:
    assert found(flights()) == []


@pytest.mark.parametrize("name", VARIANTS)
def test_one_defect_is_one_review_comment(name: str) -> None:
    edit, expected = VARIANTS[name]
    assert found(edit(flights())) == [expected]


@pytest.mark.parametrize("cut", ["Fees, net", "Fees, in euro: net", "Fees, in euro"])
def test_a_text_that_a_comma_has_cut_is_told_to_be_quoted(cut: str) -> None:
    item = parse_yaml(CONTRACT_FILE, f"{{dtype: int64, description: {cut}}}")
    [problem] = told(put(flights(), "sources/weather/columns/wind", item))
    assert problem.code == "key_unknown"
    assert "quote that text" in problem.why
