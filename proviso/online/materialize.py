"""Writes history rows into the online store ahead of the moment they become visible.

`--as-of T` writes what a writer at T could have written, so that a replay can stand at any
moment; `now` uses the store's clock and stamps what it writes (docs/time.md).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby, islice
from pathlib import Path

from feature_runtime import keys, timeline
from feature_runtime.availability import ViewTimes
from proviso.contracts.contract import Contract, FeatureView
from proviso.history.publishable import (
    EntityRow,
    Horizon,
    Stamp,
    complete_until,
    run_rows,
    writable_rows,
)
from proviso.history.published import record_stamps
from proviso.online.store import OnlineStore, Watermark

BATCH = 1_000
Progress = Callable[[str], None]


def _silent(_: str) -> None:
    """No progress."""


@dataclass(frozen=True)
class Clocks:
    """How a writer sees time: `as_of` (None = the store's clock) and the plan's margins, in us."""

    as_of: int | None
    margin: int
    write_deadline: int


@dataclass(frozen=True)
class Written:
    """What one view's materialization did. `complete` is the watermark it reached."""

    view: str
    schema: str
    rows: int
    changed: int
    conflicts: int
    late_batches: int
    complete: int


@dataclass(frozen=True)
class Tally:
    """What one publication did. A batch is late when it was acknowledged after its stamp."""

    rows: int
    changed: int
    conflicts: int
    late_batches: int


@dataclass
class _Count:
    rows: int = 0
    changed: int = 0
    conflicts: int = 0
    late_batches: int = 0
    stamps: list[Stamp] = field(default_factory=list)


def times_of(view: FeatureView) -> ViewTimes:
    """The durations that decide availability."""
    return ViewTimes(view.source_delay, view.temporal_join_lookback, view.online_ttl)


@dataclass(frozen=True)
class Materializer:
    """Writes one contract's history into one store."""

    contract: Contract
    history: Path
    store: OnlineStore
    clocks: Clocks

    def bring_up(
        self,
        views: Sequence[FeatureView],
        left_out: Iterable[tuple[str, int]] = (),
        progress: Progress = _silent,
    ) -> list[Written]:
        """Brings each view's timelines up to the clock. Idempotent; safe to interrupt.

        left_out: (view, event_ts) of runs that must not be published, for drills.
        """
        skipped = frozenset(left_out)
        written = []
        for view in views:
            progress(f"{view.name}: writing")
            done = self._bring_up(view, skipped)
            progress(f"{view.name}: {done.rows} rows, {done.changed} keys changed")
            written.append(done)
        return written

    def publish_run(self, view: FeatureView, run: int) -> int:
        """Writes the rows of the one run with event_ts = `run`; returns how many."""
        return self.publish(view, run_rows(self.contract, self.history, view, run)).rows

    def publish(
        self, view: FeatureView, rows: Iterable[EntityRow], progress: Progress = _silent
    ) -> Tally:
        """Writes some rows, an entity's next to each other; what it leaves out is the caller's.

        Says at which clock it merged, but not up to when all is written: `advance` does.
        """
        tally = _Count()
        try:
            self._write(view, rows, tally)
        finally:
            record_stamps(self.contract, self.history, view, tally.stamps)
        if self.clocks.as_of is not None:
            self.advance(view, 0, self.clocks.as_of)
        progress(f"{view.name}: {tally.rows} rows")
        return Tally(tally.rows, tally.changed, tally.conflicts, tally.late_batches)

    def advance(self, view: FeatureView, complete: int, clock: int) -> Watermark:
        """Says that all that becomes visible up to `complete` is written, as known at `clock`."""
        return self.store.advance(view.name, self.contract.schema_of(view), complete, clock)

    def _bring_up(self, view: FeatureView, skipped: frozenset[tuple[str, int]]) -> Written:
        schema = self.contract.schema_of(view)
        live = self.clocks.as_of is None
        clock = self.store.clock() if self.clocks.as_of is None else self.clocks.as_of
        known = self.store.watermark(view.name, schema) if live else None
        after = known.complete if known else None
        missing = frozenset(run for name, run in skipped if name == view.name)
        horizon = Horizon(clock, self.clocks.margin, live, after, missing)
        rows = writable_rows(self.contract, self.history, view, horizon)
        tally = _Count()
        self.advance(view, 0, clock)  # before a key forgets anything: who compares must know
        try:
            self._write(view, rows, tally)
        finally:  # what is in the store stays there, also when the next batch fails
            record_stamps(self.contract, self.history, view, tally.stamps)
        complete = complete_until(self.contract, self.history, view, clock)
        mark = self.advance(view, complete, self.store.clock() if live else clock)
        counts = (tally.rows, tally.changed, tally.conflicts, tally.late_batches)
        return Written(view.name, schema, *counts, mark.complete)

    def _write(self, view: FeatureView, rows: Iterable[EntityRow], tally: _Count) -> None:
        times = times_of(view)
        schema = self.contract.schema_of(view)
        for batch in _batches(rows):
            stamped, stamp = self._stamped(batch)
            timelines = [
                (keys.timeline_key(keys.entity_key(view.entities, ids), view.name, schema), blob)
                for ids, blob in _packed(schema, stamped)
            ]
            merged = self.store.merge(timelines, times, self.clocks.margin, self.clocks.as_of)
            tally.rows += len(batch)
            tally.changed += merged.stored
            tally.conflicts += merged.conflicts
            if stamp is not None:
                acknowledged = self.store.clock()
                tally.late_batches += acknowledged > stamp
                tally.stamps += _stamps(batch, stamped, acknowledged)

    def _stamped(self, batch: list[EntityRow]) -> tuple[list[EntityRow], int | None]:
        """The rows as they will be readable: a late one only after the write's own deadline."""
        if self.clocks.as_of is not None:
            return batch, None
        stamp = self.store.clock() + self.clocks.write_deadline
        rows = [
            EntityRow(ids, row._replace(created_ts=max(row.created_ts, stamp)))
            for ids, row in batch
        ]
        return rows, stamp


def _batches(rows: Iterable[EntityRow]) -> Iterator[list[EntityRow]]:
    source = iter(rows)
    while batch := list(islice(source, BATCH)):
        yield batch


def _packed(
    schema: str, rows: Sequence[EntityRow]
) -> Iterator[tuple[tuple[keys.EntityId, ...], bytes]]:
    for ids, group in groupby(rows, key=lambda r: r.ids):
        yield ids, timeline.pack(schema, (row for _, row in group))


def _stamps(planned: list[EntityRow], written: list[EntityRow], acknowledged: int) -> list[Stamp]:
    return [
        Stamp(ids, plan.event_ts, plan.created_ts, row.created_ts, acknowledged)
        for (ids, plan), (_, row) in zip(planned, written, strict=True)
        if plan.created_ts != row.created_ts
    ]
