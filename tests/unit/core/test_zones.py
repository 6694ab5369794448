"""Time zones: wall clocks by the pinned data, held to zoneinfo reading the same files."""

from __future__ import annotations

import zoneinfo
from datetime import UTC, datetime, timedelta
from importlib import resources

import numpy as np
import pytest

from feature_runtime.core.functions import CLOCK_FUNCTIONS
from feature_runtime.core.moments import DAY, HOUR, MISSING, format_moment, parse_moment
from feature_runtime.core.zones import ZoneError, pinned_zone, zone

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
FIRST, LAST = parse_moment("0001-01-03T00:00:00Z"), parse_moment("9999-12-29T00:00:00Z")
FUTURE = parse_moment("2255-01-01T00:00:00Z")
NAMES = tuple(resources.files("tzdata").joinpath("zones").read_text(encoding="utf-8").split())


def reference(name: str) -> zoneinfo.ZoneInfo:
    """zoneinfo over the file that the table is made of, not the operating system's."""
    with resources.files("tzdata").joinpath("zoneinfo", *name.split("/")).open("rb") as file:
        return zoneinfo.ZoneInfo.from_file(file, key=name)


def by_zoneinfo(name: str, at: list[int]) -> list[int]:
    zone_of = reference(name)
    walls = ((EPOCH + t * MICROSECOND).astimezone(zone_of).replace(tzinfo=UTC) for t in at)
    return [(wall - EPOCH) // MICROSECOND for wall in walls]


@pytest.mark.parametrize("part", range(8))
def test_every_zone_at_any_moment(part: int) -> None:
    """At random moments of all years, and around every change until 2255."""
    draw = np.random.default_rng(part)
    for name in NAMES[part::8]:
        made = zone(name)
        changes = made.transitions[made.transitions < FUTURE]
        chosen = draw.choice(changes, min(12, len(changes))) if len(changes) else changes
        at = np.concatenate(
            [draw.integers(FIRST, LAST, 12), draw.integers(0, FUTURE, 12), chosen, chosen - 1]
        )
        assert made.local(at).tolist() == by_zoneinfo(name, at.tolist()), name


@pytest.mark.parametrize(
    ("name", "moment", "wall"),
    [
        # The clock jumps from 02:00 to 03:00, and shows the hour from 01:00 twice.
        ("America/New_York", "2013-03-10T06:59:59Z", "2013-03-10T01:59:59Z"),
        ("America/New_York", "2013-03-10T07:00:00Z", "2013-03-10T03:00:00Z"),
        ("America/New_York", "2013-11-03T05:30:00Z", "2013-11-03T01:30:00Z"),
        ("America/New_York", "2013-11-03T06:30:00Z", "2013-11-03T01:30:00Z"),
        ("America/New_York", "2254-07-04T12:00:00Z", "2254-07-04T08:00:00Z"),
        ("Asia/Kolkata", "2026-01-01T00:00:00Z", "2026-01-01T05:30:00Z"),
        ("Asia/Kathmandu", "2026-01-01T00:00:00Z", "2026-01-01T05:45:00Z"),
        ("Australia/Lord_Howe", "2026-04-04T14:59:59Z", "2026-04-05T01:59:59Z"),
        ("Australia/Lord_Howe", "2026-04-04T15:00:00Z", "2026-04-05T01:30:00Z"),
        # Samoa left out 30 December 2011.
        ("Pacific/Apia", "2011-12-30T09:59:59Z", "2011-12-29T23:59:59Z"),
        ("Pacific/Apia", "2011-12-30T10:00:00Z", "2011-12-31T00:00:00Z"),
        # Summer time that is negative, and local time before zones.
        ("Europe/Dublin", "2026-01-01T12:00:00Z", "2026-01-01T12:00:00Z"),
        ("Europe/Amsterdam", "1800-01-01T00:00:00Z", "1800-01-01T00:17:30Z"),
        ("Etc/GMT-14", "2026-12-31T10:00:00Z", "2027-01-01T00:00:00Z"),
    ],
)
def test_walls(name: str, moment: str, wall: str) -> None:
    [found] = zone(name).local(np.array([parse_moment(moment)])).tolist()
    assert format_moment(found) == wall


def test_utc_changes_nothing() -> None:
    at = np.array([FIRST, -1, 0, LAST, MISSING])
    assert zone("UTC").local(at) is at


def test_a_missing_moment_stays_missing() -> None:
    for name in ("America/New_York", "Asia/Kolkata", "Etc/GMT+5"):
        assert zone(name).local(np.array([0, MISSING]))[1] == MISSING


@pytest.mark.parametrize(
    "name", ["", "Mars/Base", "America", "../UTC", "america/new_york", "tzdata.zi", "x" * 5000]
)
def test_unknown_zones_are_refused(name: str) -> None:
    with pytest.raises(ZoneError) as raised:
        zone(name)
    assert raised.value.code == "time_zone_unknown"


def test_a_zone_with_other_rules_is_refused() -> None:
    own = zone("America/New_York").digest
    assert pinned_zone("America/New_York", own).digest == own
    with pytest.raises(ZoneError) as raised:
        pinned_zone("America/Chicago", own)
    assert raised.value.code == "time_zone_rules_mismatch"


CALENDAR = {
    "hour_of_day": lambda wall: wall.hour,
    "day_of_week": lambda wall: wall.weekday(),
    "is_weekend": lambda wall: wall.weekday() >= 5,
    "is_night": lambda wall: wall.hour < 6,
    "month": lambda wall: wall.month,
    "day_of_month": lambda wall: wall.day,
    "day_of_year": lambda wall: wall.timetuple().tm_yday,
}


@pytest.mark.parametrize("name", CALENDAR)
def test_calendar_functions_of_a_zone(name: str) -> None:
    """Around leap days and midnights of a zone, and at any moment."""
    assert set(CALENDAR) == set(CLOCK_FUNCTIONS)
    leap = [parse_moment(f"{year}-02-28T00:00:00Z") for year in (1900, 2000, 2024, 2026, 2100)]
    hours = np.arange(0, 4 * DAY, HOUR // 2)
    at = np.concatenate([day + hours for day in leap])
    at = np.concatenate([at, np.random.default_rng(2).integers(FIRST, LAST, 500)])
    for place in ("UTC", "America/New_York", "Asia/Kolkata"):
        zone_of = reference(place)
        walls = [(EPOCH + int(t) * MICROSECOND).astimezone(zone_of) for t in at]
        wanted = [float(CALENDAR[name](wall)) for wall in walls]
        assert CLOCK_FUNCTIONS[name](zone(place).local(at)).tolist() == wanted


@pytest.mark.parametrize("name", CALENDAR)
def test_a_missing_moment_has_no_date(name: str) -> None:
    found = CLOCK_FUNCTIONS[name](np.array([MISSING, 0]))
    assert np.isnan(found).tolist() == [True, False]
