"""A replay publishes on-event rows in time: at any question the key decides like the history."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from feature_runtime.core.availability import Row, availability, visible_from
from feature_runtime.core.moments import HOUR, MINUTE
from feature_runtime.core.timeline import merge
from proviso.contracts.contract import Contract, FeatureView
from proviso.history.duckdb.engine import connect
from proviso.history.duckdb.scalars import EngineScalars
from proviso.history.oracle import naive_history
from proviso.history.values import EntityRow, Event
from proviso.replay.arrivals import Arrivals, arrived_by
from tests.history_data import ZERO, contract, events, near, write_history

START, END = ZERO - 12 * HOUR, ZERO + 12 * HOUR
Keys = dict[tuple[int | str, ...], tuple[Row, ...]]


def _history(owner: Contract, view: FeatureView, made: list[Event]) -> list[EntityRow]:
    with connect() as engine:
        return naive_history(
            EngineScalars(engine, owner), owner, view, made, START - 24 * HOUR, END + 24 * HOUR
        )


@settings(max_examples=25)
@given(made=events("string"), asked=st.lists(near(11), min_size=1, max_size=8))
def test_what_a_request_may_see_is_published_before_it(made: list[Event], asked: list[int]) -> None:
    owner = contract()
    view = owner.view_by_name["buyer_stream"]
    times, rows = view.times, _history(owner, view, made)
    held: Keys = {r.ids: () for r in rows}
    for ids in held:
        before = [r.row for r in rows if r.ids == ids and visible_from(times, r.row) < START]
        held[ids] = merge(times, (), before, START, MINUTE)
    with tempfile.TemporaryDirectory() as folder:
        write_history(owner, view, rows, Path(folder))
        arrivals = Arrivals(owner, Path(folder), view, START, END)
        edges = {visible_from(times, r.row) + beside for r in rows for beside in (-1, 0, MINUTE)}
        for t in sorted({*asked, *(t for t in edges if START <= t < END)}):
            moment = arrived_by(view, t)
            for ids, row in arrivals.until(moment):
                held[ids] = merge(times, held[ids], [row], moment, MINUTE)
            for ids, key in held.items():
                mine = [r.row for r in rows if r.ids == ids]
                found, wanted = (availability(times, some, t) for some in (key, mine))
                assert _told(found[0]) == _told(wanted[0])
                assert found[1] == wanted[1]


def _told(row: Row | None) -> tuple[object, ...] | None:
    """Without the run's number, which only what is read from a file has."""
    return None if row is None else (row.event_ts, row.created_ts, row.values)
