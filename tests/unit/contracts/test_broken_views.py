"""Broken version 2 contracts: one defect in views, services or shorthands, one comment."""

from __future__ import annotations

import pytest

from proviso.contracts.loading import CONTRACT_FILE, parse_yaml
from tests.unit.contracts.edits import Wrong
from tests.unit.contracts.flights_case import flights, found, put, told
from tests.unit.contracts.flights_edits import (
    APPROVED,
    BOOKINGS,
    DAILY,
    IN_DAILY,
    IN_RATINGS,
    IN_SERVICE,
    RATINGS,
    SERVICE,
    Edit,
    at,
    both,
    without,
    wrong,
)

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


@pytest.mark.parametrize("name", VIEWS)
def test_one_defect_is_one_review_comment(name: str) -> None:
    edit, expected = VIEWS[name]
    assert found(edit(flights())) == [expected]


@pytest.mark.parametrize("cut", ["Fees, net", "Fees, in euro: net", "Fees, in euro"])
def test_a_text_that_a_comma_has_cut_is_told_to_be_quoted(cut: str) -> None:
    item = parse_yaml(CONTRACT_FILE, f"{{dtype: int64, description: {cut}}}")
    [problem] = told(put(flights(), "sources/weather/columns/wind", item))
    assert problem.code == "key_unknown"
    assert "quote that text" in problem.why
