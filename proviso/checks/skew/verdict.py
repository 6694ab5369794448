"""The verdict of skew: which kind of difference two sides of a feature show at a moment.

Pure, and the only such rule: the skew test and the replay judge with it what they compare, and the
validator of skew cases judges with it what a row says (docs/time.md, docs/adr/0084).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from feature_runtime.core.availability import Status, Value
from feature_runtime.core.values import value_status
from proviso.contracts.contract import Tolerance

Kind = Literal["", "MISSING_KEY", "NULL", "TYPE", "STALE", "FUTURE", "VALUE"]


@dataclass(frozen=True)
class Side:
    """What one side says of a feature: its status, value, and the winner's event_ts (us).

    event_ts None: no row may be used (MISSING_KEY), or the bytes are no timeline (TYPE).
    """

    status: Status
    value: Value
    event_ts: int | None


@dataclass(frozen=True)
class Terms:
    """What two sides are compared by: a moment and a delay (us), type and tolerance."""

    as_of: int
    source_delay: int
    dtype: str
    tolerance: Tolerance


def kind_of(offline: Side, online: Side, terms: Terms) -> Kind:
    """The kind of difference; '' when online is what offline says it must be.

    A row that is absent, too new or too old explains its value, so times are compared first.
    """
    return _by_time(offline, online, terms) or _by_value(offline, online, terms)


def _by_time(offline: Side, online: Side, terms: Terms) -> Kind:
    if online.event_ts is None:
        if online.status is Status.TYPE:
            return "TYPE"
        return "" if offline.event_ts is None else "MISSING_KEY"
    if offline.event_ts is None or online.event_ts > offline.event_ts:
        return "FUTURE"
    if online.event_ts + terms.source_delay > terms.as_of:
        return "FUTURE"
    return "STALE" if online.event_ts < offline.event_ts else ""


def _by_value(offline: Side, online: Side, terms: Terms) -> Kind:
    """Both sides have the same row or none. A STALE row's values are compared like others."""
    if offline.event_ts is None:
        return ""
    if (offline.status is Status.STALE) is not (online.status is Status.STALE):
        return "VALUE"
    before, after = (value_status(side.value, terms.dtype) for side in (offline, online))
    if after is Status.OK:
        equal = before is Status.OK and _close(offline.value, online.value, terms.tolerance)
        return "" if equal else "VALUE"
    if before is after:
        return ""
    return "NULL" if after is Status.NULL else "TYPE"


def _close(offline: Value, online: Value, tolerance: Tolerance) -> bool:
    numbers = (int, float)
    if offline == online or not isinstance(offline, numbers) or not isinstance(online, numbers):
        return offline == online
    return abs(online - offline) <= tolerance.absolute + tolerance.relative * abs(offline)
