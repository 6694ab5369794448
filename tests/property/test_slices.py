"""Rows of a busy key: what is published decides like the key, on time and never early.

A live writer brings an entity's rows in batches, in any cut, and publishes the last row of each
slice. The history as published is those rows alone (docs/adr/0094).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import redis
from hypothesis import given, settings
from hypothesis import strategies as st

from feature_runtime.core import moments, timeline
from feature_runtime.core.availability import Row, ViewTimes, availability, order, visible_from
from proviso.history.values import EntityRow
from proviso.local import valkey
from proviso.local.processes import Stack
from proviso.online.sending import readable
from proviso.online.slices import last_of_slices

SCHEMA, KEY = "00ff00ff00ff00ff", b"fs:{customer:1}:view:schema"
TICK = moments.MINUTE
DELAY, MARGIN, SLICE = 20 * TICK, 4 * TICK, 5 * TICK
TIMES = ViewTimes(source_delay=3 * TICK, lookback=200 * TICK, ttl=90 * TICK)
LAST = 90


@dataclass(frozen=True)
class Batch:
    """Rows that a writer publishes at a clock (ticks)."""

    clock: int
    rows: tuple[Row, ...]


@st.composite
def batches(draw: st.DrawFn) -> list[Batch]:
    """Arrivals of one entity in order, some of older events, cut into batches anywhere.

    A batch is written at its last arrival or some ticks later, as after a pause.
    """
    arrivals = sorted(draw(st.sets(st.integers(1, LAST), min_size=1, max_size=40)))
    made, event, batch = list[Batch](), 0, list[Row]()
    for arrival in arrivals:
        event = max(event, arrival - draw(st.sampled_from((0, 0, 0, 3, 30))))
        batch.append(Row(event * TICK, arrival * TICK + DELAY, (arrival,), arrival))
        if draw(st.booleans()):
            made.append(Batch(arrival + draw(st.sampled_from((0, 0, 1, 15, 40))), tuple(batch)))
            batch = []
    made.append(Batch(LAST, tuple(batch)))
    clock, ordered = 0, list[Batch]()
    for one in made:
        clock = max(clock, one.clock)
        ordered += [Batch(clock, one.rows)] if one.rows else []
    return ordered


def published(batch: Batch) -> list[Row]:
    """The rows that the writer sends; the write deadline is one tick."""
    stamp = (batch.clock + 1) * TICK
    planned = [EntityRow((1,), row) for row in batch.rows]
    rows = [row for _, row in readable(planned, stamp)]
    kept = last_of_slices(TIMES, rows, SLICE)
    return [row for row, one in zip(rows, kept, strict=True) if one]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[redis.Redis]:
    directory: Path = tmp_path_factory.mktemp("slices")
    with Stack() as running:
        made = valkey.configure(directory / "valkey")
        running.start(made.process, made.ready)
        password = made.password_file.read_text().strip()
        with redis.Redis(port=made.port, password=password) as client:
            yield client


def held(store: redis.Redis) -> tuple[Row, ...]:
    blob: Any = store.get(KEY)
    return () if blob is None else timeline.unpack(SCHEMA, blob)


@settings(max_examples=200)
@given(batches())
def test_the_key_decides_like_the_history_as_published(
    store: redis.Redis, written: list[Batch]
) -> None:
    store.delete(KEY)
    history: list[Row] = []
    reference: tuple[Row, ...] = ()
    for batch in written:
        rows = published(batch)
        blob = timeline.pack(SCHEMA, rows)
        arguments = (TIMES.source_delay, TIMES.lookback, MARGIN, batch.clock * TICK)
        store.eval(timeline.MERGE_LUA, 1, KEY, blob, *arguments)
        reference = timeline.merge(TIMES, reference, rows, batch.clock * TICK, MARGIN)
        history += rows
        assert held(store) == reference
        for t in range(batch.clock * TICK - MARGIN, (LAST + 80) * TICK, TICK):
            expected = availability(TIMES, history, t)
            assert availability(TIMES, reference, t) == expected, t


def winner(rows: Sequence[Row], t: int) -> Row | None:
    return availability(TIMES, rows, t)[0]


@settings(max_examples=300)
@given(batches())
def test_a_reader_is_a_slice_behind_at_the_most_and_never_ahead(written: list[Batch]) -> None:
    planned = [row for batch in written for row in batch.rows]
    late = max(
        max(0, (batch.clock + 1) * TICK - min(visible_from(TIMES, row) for row in batch.rows))
        for batch in written
    )
    rows = [row for batch in written for row in published(batch)]
    for t in range(0, (LAST + 80) * TICK, TICK):
        answer, ahead = winner(rows, t), winner(planned, t)
        behind = winner(planned, t - SLICE - late)
        assert answer is None or (ahead is not None and answer.event_ts <= ahead.event_ts)
        if behind is not None and behind.event_ts >= t - TIMES.lookback:
            assert answer is not None
            assert answer.event_ts >= behind.event_ts


@settings(max_examples=200)
@given(batches())
def test_a_slice_has_one_row_its_greatest_and_every_slice_has_one(written: list[Batch]) -> None:
    rows = [row for batch in written for row in batch.rows]
    kept = last_of_slices(TIMES, rows, SLICE)
    slices: dict[int, list[tuple[Row, bool]]] = {}
    for row, one in zip(rows, kept, strict=True):
        slices.setdefault((visible_from(TIMES, row) - 1) // SLICE, []).append((row, one))
    for members in slices.values():
        [chosen] = [row for row, one in members if one]
        assert chosen == max((row for row, _ in members), key=order)


def test_without_slices_the_key_of_a_busy_entity_is_as_long_as_its_arrivals() -> None:
    """What the rule is for: a row a tick for the whole delay."""
    rows = [Row(n * TICK, n * TICK + DELAY, (n,), n) for n in range(40)]
    kept = last_of_slices(TIMES, rows, SLICE)
    assert len(timeline.merge(TIMES, (), rows, 39 * TICK, MARGIN)) == 25
    assert sum(kept) == 9
