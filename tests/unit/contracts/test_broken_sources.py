"""Broken version 2 contracts: one defect in the sources or their times, one comment."""

from __future__ import annotations

import pytest

from tests.unit.contracts.edits import Wrong
from tests.unit.contracts.flights_case import flights, found
from tests.unit.contracts.flights_edits import (
    BOOKINGS,
    DAILY,
    EVENTS,
    IN_DAILY,
    IN_SERVICE,
    LANDINGS,
    OBSERVED,
    SERVICE,
    Edit,
    added,
    at,
    both,
    without,
    wrong,
)

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

VARIANTS = {**SOURCES, **TIMES}


def test_the_contract_passes() -> None:
    assert found(flights()) == []


@pytest.mark.parametrize("name", VARIANTS)
def test_one_defect_is_one_review_comment(name: str) -> None:
    edit, expected = VARIANTS[name]
    assert found(edit(flights())) == [expected]
