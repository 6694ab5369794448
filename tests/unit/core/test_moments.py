"""Text becomes a moment by RFC 3339 alone, for the pod and for the control plane."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feature_runtime.core.moments import (
    format_moment,
    parse_day,
    parse_duration,
    parse_moment,
    representable,
    to_microseconds,
)
from proviso.cli.console import day, moment
from proviso.contracts.base import InputError
from proviso.training.weeks import parse_days

NOON = parse_moment("2018-06-20T12:00:00Z")

SAME = [
    "2018-06-20t12:00:00z",
    "2018-06-20 12:00:00Z",
    "2018-06-20T12:00:00",
    "2018-06-20T12:00:00+00:00",
    "2018-06-20T12:00:00-00:00",
    "2018-06-20T12:00:00.000000000000Z",
    "2018-06-20T12:00:00.0000009+00:00",
    "2018-06-21T11:59:00+23:59",
    "2018-06-19t12:01:00-23:59",
]

REFUSED = {
    "nothing": "",
    "a NUL for the T": "2018-06-20\x0012:00:00Z",
    "a NUL behind": "2018-06-20T12:00:00Z\x00",
    "a newline behind": "2018-06-20T12:00:00Z\n",
    "a week date": "2018-W25-3T12:00:00Z",
    "an ordinal date": "2018-171T12:00:00Z",
    "the basic form": "20180620T120000Z",
    "a comma": "2018-06-20T12:00:00,5Z",
    "a point without digits": "2018-06-20T12:00:00.Z",
    "seconds in the offset": "2018-06-20T12:00:00+01:00:30",
    "an offset without a colon": "2018-06-20T12:00:00+0100",
    "an offset of hours alone": "2018-06-20T12:00:00+01",
    "an offset of 75 minutes": "2018-06-20T12:00:00+01:75",
    "an offset of 24 hours": "2018-06-20T12:00:00+24:00",
    "no seconds": "2018-06-20T12:00Z",
    "a date alone": "2018-06-20",
    "hour 24": "2018-06-20T24:00:00Z",
    "a leap second": "2016-12-31T23:59:60Z",
    "February 30": "2018-02-30T12:00:00Z",
    "the year 0": "0000-06-20T12:00:00Z",
    "five digits of a year": "12018-06-20T12:00:00Z",
    "a sign": "+2018-06-20T12:00:00Z",
    "another separator": "2018-06-20_12:00:00Z",
    "digits of another script": "\u0662\u0660\u0661\u0668-06-20T12:00:00Z",
    "a minus that is none": "2018-06-20T12:00:00\u221201:00",
    "before the year 1 by its offset": "0001-01-01T00:00:00+12:00",
    "after the year 9999 by its offset": "9999-12-31T23:59:59-12:00",
    "too many digits": "2018-06-20T12:00:00." + "0" * 5_000 + "Z",
    "two of them": "2018-06-20T12:00:00Z2018-06-20T12:00:00Z",
}


@pytest.mark.parametrize("text", SAME)
def test_these_are_the_same_moment(text: str) -> None:
    assert parse_moment(text) == NOON


@pytest.mark.parametrize("text", REFUSED.values(), ids=REFUSED.keys())
def test_these_are_no_moments(text: str) -> None:
    with pytest.raises(ValueError, match="wanted an RFC 3339 moment"):
        parse_moment(text)
    if len(text) > 10:
        with pytest.raises(InputError) as refused:
            moment("--end", text)
        assert [(p.code, p.path) for p in refused.value.problems] == [("invalid_moment", "--end")]


NO_DAYS = ["2018-W25-3", "20180620", "2018-6-20", "2018-06-20T12:00:00Z", ""]


@pytest.mark.parametrize("text", NO_DAYS)
def test_a_day_has_one_spelling(text: str) -> None:
    with pytest.raises(ValueError, match="wanted an RFC 3339 moment"):
        parse_day(text)
    with pytest.raises(ValueError, match="wanted an RFC 3339 moment"):
        parse_days([text, "2018-06-20"])
    with pytest.raises(InputError):
        day("--train-start", text)
    assert parse_day("2018-06-20") == day("--train-start", "2018-06-20")


def test_the_first_and_the_last_moment_are_kept() -> None:
    for text in ("0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z"):
        found = parse_moment(text)
        assert format_moment(found) == text
    assert representable(found)
    assert not representable(found + 1)
    assert not representable(parse_moment("0001-01-01T00:00:00Z") - 1)


@given(
    st.datetimes(min_value=datetime.min.replace(day=3), max_value=datetime.max.replace(day=29)),  # noqa: DTZ901
    st.integers(-1439, 1439),
    st.sampled_from("Tt "),
)
def test_any_datetime_comes_back(when: datetime, minutes: int, separator: str) -> None:
    aware = when.replace(tzinfo=timezone(timedelta(minutes=minutes)))
    found = parse_moment(aware.isoformat(sep=separator))
    assert found == to_microseconds(aware)
    assert parse_moment(format_moment(found)) == found
    assert parse_moment(when.isoformat()) == to_microseconds(when.replace(tzinfo=UTC))


@given(st.text(max_size=40) | st.text("0123456789-+:.,TtZzW ", min_size=15, max_size=30))
def test_any_text_is_a_representable_moment_or_refused(text: str) -> None:
    try:
        found = parse_moment(text)
    except ValueError:
        return
    assert parse_moment(format_moment(found)) == found


def test_a_duration_has_plain_digits() -> None:
    assert parse_duration("PT10M") == 600_000_000
    with pytest.raises(ValueError, match="wanted an ISO 8601 duration"):
        parse_duration("PT\u0661M")
