"""The reference of views over a table, in plain Python: which row may be read from when.

It sees the rows of a table as they were created, and no history. Property tests compare the engine
with it to the bit; the training certificate asks it what could be known at a moment.
"""

from __future__ import annotations

from collections.abc import Sequence

from feature_runtime.core.availability import Row, Status, availability
from proviso.contracts.contract import FeatureView, Scheduled
from proviso.history.oracle import LabelRow
from proviso.history.values import EntityRow, GivenRow, Ids


def readable_from(view: FeatureView, row: GivenRow) -> int:
    """The created_ts that the plan gives a row: the moment at which it has been published."""
    published = view.publication
    if not isinstance(published, Scheduled):
        return max(row.event_ts, row.created_ts) + published.delay
    every = published.schedule
    happened = -(-row.event_ts // every) * every
    arrived = -(-(row.created_ts - view.source_delay) // every) * every
    return max(happened, arrived) + view.source_delay + published.duration


def naive_table(view: FeatureView, rows: Sequence[GivenRow]) -> list[EntityRow]:
    """The view's whole history, sorted by event_ts, ids and created_ts."""
    last: dict[tuple[Ids, int, int], GivenRow] = {}
    for row in sorted(rows, key=lambda one: one.created_ts):
        last[row.ids, row.event_ts, readable_from(view, row)] = row
    found = [EntityRow(ids, Row(at, c, row.values, at)) for (ids, at, c), row in last.items()]
    return sorted(found, key=lambda one: (one.row.event_ts, one.ids, one.row.created_ts))


def naive_answer(
    view: FeatureView, rows: Sequence[GivenRow], asked: LabelRow
) -> tuple[Row | None, Status]:
    """What is known of an entity at a moment."""
    mine = [row for row in rows if row.ids == asked.ids]
    return availability(view.times, [one.row for one in naive_table(view, mine)], asked.t)
