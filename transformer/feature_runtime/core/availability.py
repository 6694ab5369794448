"""The one rule: which value of a feature could be used at moment t.

Training, batch scoring, replay, skew test and serving all answer through this module, or are
proved equal to it (docs/time.md). All moments are integer microseconds, UTC.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

Value = int | float | bool | str | None


class Status(IntEnum):
    """What became of a feature at t. OK is the only one that needs no policy."""

    OK = 0
    NULL = 1
    TYPE = 2
    STALE = 3
    MISSING_KEY = 4


class Row(NamedTuple):
    """One published row of a feature view for one entity."""

    event_ts: int
    created_ts: int
    values: tuple[Value, ...]
    run_id: int = 0


@dataclass(frozen=True)
class ViewTimes:
    """The durations of a feature view that decide availability, in microseconds."""

    source_delay: int
    lookback: int
    ttl: int


def visible_from(times: ViewTimes, row: Row) -> int:
    """The moment from which `row` may be read."""
    return max(row.event_ts + times.source_delay, row.created_ts)


def order(row: Row) -> tuple[int, int]:
    """Rows of one entity are ordered by event time, corrections by creation time."""
    return (row.event_ts, row.created_ts)


def availability(times: ViewTimes, rows: Iterable[Row], t: int) -> tuple[Row | None, Status]:
    """The winner among one entity's rows at `t` and the view's status.

    A row that is not visible yet does not count: offline knows the whole future, the pod does
    not, and both must say the same. The winner comes back also when it is STALE.
    """
    usable = [
        row for row in rows if visible_from(times, row) <= t and row.event_ts >= t - times.lookback
    ]
    if not usable:
        return None, Status.MISSING_KEY
    winner = max(usable, key=order)
    return winner, Status.STALE if t - winner.event_ts > times.ttl else Status.OK


def value_status(value: Value, dtype: str) -> Status:
    """Whether a stored value of an OK view is of the contract's type."""
    if value is None:
        return Status.NULL
    if dtype == "int64":
        fits = type(value) is int
    elif dtype == "float64":
        fits = type(value) is float and value == value
    else:
        fits = type(value) is bool
    return Status.OK if fits else Status.TYPE


def feature_statuses(
    view_status: Status, row: Row | None, dtypes: Sequence[str]
) -> tuple[Status, ...]:
    """Status per feature: the view's unless that is OK, then by the stored value."""
    if view_status is not Status.OK or row is None:
        return (view_status,) * len(dtypes)
    return tuple(value_status(v, d) for v, d in zip(row.values, dtypes, strict=True))
