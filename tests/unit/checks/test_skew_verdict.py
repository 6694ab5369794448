"""Each way in which online can differ from offline has a name."""

from __future__ import annotations

import math

import pytest

from feature_runtime.core.availability import Status, Value
from proviso.checks.skew.verdict import Side, Terms, kind_of
from proviso.contracts.contract import Tolerance

EXACT = Tolerance(absolute=0.0, relative=0.0)
LOOSE = Tolerance(absolute=0.5, relative=0.1)
MISSING = Side(Status.MISSING_KEY, None, None)


def side(value: Value, event_ts: int | None = 100, status: Status = Status.OK) -> Side:
    return Side(status, value, event_ts)


@pytest.mark.parametrize(
    ("offline", "online", "tolerance", "kind"),
    [
        (side(3.0), side(3.0), EXACT, ""),
        (side(math.inf), side(math.inf), EXACT, ""),
        (side(3.0), side(3, 100, Status.TYPE), EXACT, "TYPE"),
        (side(3.0), side(3.0000001), EXACT, "VALUE"),
        (side(10.0), side(11.5), LOOSE, ""),
        (side(10.0), side(11.51), LOOSE, "VALUE"),
        (side(-10.0), side(-11.5), LOOSE, ""),
        (side(3.0), side(None, None, Status.MISSING_KEY), EXACT, "MISSING_KEY"),
        (side(3.0), side(None, 100, Status.NULL), EXACT, "NULL"),
        (side(3.0), side("3", 100, Status.TYPE), EXACT, "TYPE"),
        (side(3.0), side(3.0, 50, Status.STALE), EXACT, "STALE"),
        (side(3.0), side(3.0, 50), EXACT, "STALE"),
        (side(3.0), side(3.0, 150), EXACT, "FUTURE"),
        (side(None, None, Status.MISSING_KEY), side(3.0, 150), EXACT, "FUTURE"),
        (side(3.0, 50, Status.STALE), side(3.0, 100), EXACT, "FUTURE"),
        (side(3.0, 50, Status.STALE), side(3.0, 50, Status.STALE), EXACT, ""),
        (side(3.0, 50, Status.STALE), side(4.0, 50, Status.STALE), EXACT, "VALUE"),
        (
            side(None, None, Status.MISSING_KEY),
            side(None, None, Status.MISSING_KEY),
            EXACT,
            "",
        ),
        (side(None, 100, Status.NULL), side(None, 100, Status.NULL), EXACT, ""),
        (side(3.0), side(math.nan, 100, Status.TYPE), EXACT, "TYPE"),
        (side(3.0, 50, Status.STALE), side(math.nan, 50, Status.STALE), EXACT, "TYPE"),
        (side(3.0, 50, Status.STALE), side(True, 50, Status.STALE), EXACT, "TYPE"),
        (side(math.nan, 100, Status.TYPE), side("x", 100, Status.TYPE), EXACT, ""),
        (side(None, 100, Status.NULL), side("x", 100, Status.TYPE), EXACT, "TYPE"),
        (side(3.0), side(None, None, Status.TYPE), EXACT, "TYPE"),
        (MISSING, side(None, None, Status.TYPE), EXACT, "TYPE"),
        (side(3.0, 191), side(3.0, 191), EXACT, "FUTURE"),
        (side(3.0, 190), side(3.0, 190), EXACT, ""),
    ],
)
def test_every_difference_is_named(
    offline: Side, online: Side, tolerance: Tolerance, kind: str
) -> None:
    terms = Terms(as_of=200, source_delay=10, dtype="float64", tolerance=tolerance)
    assert kind_of(offline, online, terms) == kind
