"""Strings as values: their statuses, their bound, and their bytes in a key of the store."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feature_runtime.core import timeline
from feature_runtime.core.availability import Row, Status, ViewTimes, availability
from feature_runtime.core.timeline import TimelineError
from feature_runtime.core.values import MAX_TEXT_BYTES, feature_statuses, valid_text, value_status

SCHEMA = "00112233445566aa"
LONG = "é" * (MAX_TEXT_BYTES // 2)
TEXT = st.text(max_size=20) | st.sampled_from(["", "\0", "5", "e\u0301", "\U0001f6e9", LONG])


@pytest.mark.parametrize(
    ("value", "dtype", "status"),
    [
        ("AA", "string", Status.OK),
        ("", "string", Status.OK),
        ("\0", "string", Status.OK),
        (LONG, "string", Status.OK),
        (LONG + "x", "string", Status.TYPE),
        ("\ud800", "string", Status.TYPE),
        (None, "string", Status.NULL),
        (5, "string", Status.TYPE),
        (True, "string", Status.TYPE),
        (5.0, "string", Status.TYPE),
        ("5", "int64", Status.TYPE),
        ("true", "bool", Status.TYPE),
        (True, "bool", Status.OK),
        (1, "bool", Status.TYPE),
        (True, "int64", Status.TYPE),
        (1.5, "float64", Status.OK),
    ],
)
def test_a_value_has_the_status_of_its_type(value: Any, dtype: str, status: Status) -> None:
    assert value_status(value, dtype) is status
    row = Row(0, 0, (value,))
    assert feature_statuses(Status.OK, row, [dtype]) == (status,)
    assert feature_statuses(Status.STALE, row, [dtype]) == (Status.STALE,)
    assert feature_statuses(Status.OK, None, [dtype]) == (Status.OK,)


@given(st.lists(st.none() | TEXT | st.integers(-5, 5) | st.booleans(), min_size=1, max_size=5))
def test_a_row_of_strings_comes_back_as_it_was(values: list[Any]) -> None:
    row = Row(10, 20, tuple(values), 3)
    [back] = timeline.unpack(SCHEMA, timeline.pack(SCHEMA, [row]))
    assert back == row
    assert list(map(type, back.values)) == list(map(type, values))
    assert availability(ViewTimes(0, 100, 100), [back], 50)[0] == row


@pytest.mark.parametrize("value", [LONG + "x", "x" * 5000, "\ud800"])
def test_a_string_beyond_the_bound_is_never_cut(value: str) -> None:
    assert not valid_text(value)
    with pytest.raises(TimelineError) as refused:
        timeline.pack(SCHEMA, [Row(0, 0, (value,))])
    assert refused.value.code == "timeline_string_invalid"


def test_bytes_with_a_longer_string_are_no_timeline() -> None:
    blob = timeline.pack(SCHEMA, [Row(0, 0, ("x" * MAX_TEXT_BYTES,))])
    length = (MAX_TEXT_BYTES).to_bytes(4, "little")
    assert blob.count(length) == 1
    longer = blob.replace(length, (MAX_TEXT_BYTES + 1).to_bytes(4, "little")) + b"x"
    row = len(timeline.MAGIC) + 8
    size = int.from_bytes(longer[row : row + 4], "little") + 1
    longer = longer[:row] + size.to_bytes(4, "little") + longer[row + 4 :]
    with pytest.raises(TimelineError) as refused:
        timeline.unpack(SCHEMA, longer)
    assert refused.value.code == "timeline_string_invalid"
