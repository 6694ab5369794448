"""Which rows of a busy key are published: the last of each slice of time.

A key holds every row that is not visible yet, so an entity with many arrivals would fill it. Of
its rows that become visible within one slice only the greatest is published; the others never
were, and the journal says so (docs/adr/0094).
"""

from __future__ import annotations

from collections.abc import Sequence

from feature_runtime.core.availability import Row, ViewTimes, order, visible_from
from feature_runtime.core.timeline import BUSY_ROWS
from proviso.contracts.contract import FeatureView

SLICES = 32
"""Slices in the time that a row stays in a key before it can be forgotten."""


def slice_of(view: FeatureView, write_deadline: int, margin: int) -> int:
    """The length of a view's slices, in microseconds: how much later a row may become visible."""
    return max(1, (max(view.delay_to_readable, write_deadline) + margin) // SLICES)


def many(times: ViewTimes, rows: Sequence[Row]) -> bool:
    """Whether rows of one entity would make its key busy by themselves."""
    return len(rows) > BUSY_ROWS and len({visible_from(times, row) for row in rows}) > BUSY_ROWS


def last_of_slices(times: ViewTimes, rows: Sequence[Row], length: int) -> list[bool]:
    """For each of one entity's rows, whether it is the greatest of its slice.

    A slice of length n ends at a multiple of n, which belongs to it.
    """
    last: dict[int, int] = {}
    for place, row in enumerate(rows):
        number = -(-visible_from(times, row) // length)
        if number not in last or order(row) > order(rows[last[number]]):
            last[number] = place
    kept = set(last.values())
    return [place in kept for place in range(len(rows))]
