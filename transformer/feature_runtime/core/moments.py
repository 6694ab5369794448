"""Moments and durations: the only place where text becomes time.

Every moment inside proviso is an integer count of microseconds since the epoch, UTC; every
duration an integer count of microseconds. Text is read at the edges (contract, request,
command line) and written at the edges (record, answer, report).
"""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime, timedelta

SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR

MISSING = -(2**63)
"""A moment that is not there, in arrays of moments; NumPy's NaT."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_MOMENT = re.compile(
    r"\d{4}-\d\d-\d\d[Tt ]([01]\d|2[0-3]):\d\d:\d\d(\.\d+)?([Zz]|[+-]([01]\d|2[0-3]):[0-5]\d)?",
    re.ASCII,
)
_LONGEST = 64
_DURATION = re.compile(
    r"P(?:(?P<days>\d{1,6})D)?"
    r"(?:T(?=\d)(?:(?P<hours>\d{1,6})H)?(?:(?P<minutes>\d{1,6})M)?(?:(?P<seconds>\d{1,8})S)?)?",
    re.ASCII,
)


def parse_duration(text: str) -> int:
    """Microseconds of an ISO 8601 duration in days, hours, minutes and seconds.

    Months and years are refused: they have no fixed length. Raises ValueError.
    """
    match = _DURATION.fullmatch(text)
    if match is None or text == "P":
        raise ValueError(
            f"found {text!r}, wanted an ISO 8601 duration in days, hours, minutes, seconds "
            "(P7D, PT10M)"
        )
    part = {name: int(value or 0) for name, value in match.groupdict().items()}
    return (
        part["days"] * DAY
        + part["hours"] * HOUR
        + part["minutes"] * MINUTE
        + part["seconds"] * SECOND
    )


def format_duration(microseconds: int) -> str:
    """The canonical ISO 8601 text of a non-negative duration of whole seconds."""
    seconds, fraction = divmod(microseconds, SECOND)
    if microseconds < 0 or fraction:
        raise ValueError(f"found {microseconds} us, wanted whole non-negative seconds")
    days, rest = divmod(seconds, 86_400)
    hours, rest = divmod(rest, 3_600)
    minutes, left = divmod(rest, 60)
    clock = "".join(f"{n}{unit}" for n, unit in ((hours, "H"), (minutes, "M"), (left, "S")) if n)
    if not days and not clock:
        return "PT0S"
    return "P" + (f"{days}D" if days else "") + (f"T{clock}" if clock else "")


def parse_moment(text: str) -> int:
    """Microseconds since the epoch of an RFC 3339 moment; without a zone it is UTC.

    Digits beyond the microsecond are cut off. Raises ValueError for anything else: a date without a
    time, a leap second, a moment that its offset moves out of the years 1 to 9999.
    """
    try:
        if len(text) > _LONGEST or not _MOMENT.fullmatch(text):
            raise ValueError
        moment = to_microseconds(datetime.fromisoformat(text.upper()))
        if not representable(moment):
            raise ValueError
    except ValueError:
        raise ValueError(
            f"found {text[:_LONGEST]!r}, wanted an RFC 3339 moment (2018-06-20T12:00:00Z)"
        ) from None
    return moment


def parse_day(text: str) -> int:
    """Microseconds of the midnight, UTC, of a day as RFC 3339 writes it. Raises ValueError."""
    return parse_moment(f"{text}T00:00:00Z")


def representable(microseconds: int) -> bool:
    """Whether a count of microseconds is a moment of the years 1 to 9999, which text can say."""
    return _FIRST <= microseconds <= _LAST


def to_microseconds(moment: datetime) -> int:
    """Exact integer microseconds of a datetime; a naive one is UTC."""
    aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return (aware - _EPOCH) // _MICROSECOND


_FIRST = to_microseconds(datetime.min.replace(tzinfo=UTC))
_LAST = to_microseconds(datetime.max.replace(tzinfo=UTC))


def format_moment(microseconds: int) -> str:
    """RFC 3339 in UTC, with microseconds only where there are some. For `representable` ones."""
    text = (_EPOCH + timedelta(microseconds=microseconds)).isoformat()
    return text.removesuffix("+00:00") + "Z"


def now() -> int:
    """This machine's clock."""
    return time.time_ns() // 1_000
