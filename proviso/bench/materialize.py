"""What the timeline costs: rows a second of plain SET, of the merge script, of the whole writer.

Interleaved, each time into an empty store of its own, so that a noisy machine is noisy for all.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from feature_runtime.core import keys, timeline
from feature_runtime.core.availability import Row
from proviso.contracts.contract import Contract, FeatureView, Scheduled
from proviso.contracts.plan import Plan
from proviso.history.engines import history_engine
from proviso.history.files import history_columns, history_file
from proviso.history.segments import stamping_directory, stamps_file
from proviso.history.values import EntityRow
from proviso.online.materialize import Materializer
from proviso.online.sending import BATCH, Clocks
from proviso.online.store import OnlineStore

Progress = Callable[[str], None]
Stores = Callable[[], AbstractContextManager[OnlineStore]]
Pairs = Sequence[tuple[bytes, bytes]]

WAYS = {
    "set": "plain pipelined SET with PXAT, the bytes that the merge is sent",
    "merge": "the merge script, into empty keys",
    "merge_onto": "the merge script, into keys that hold the run before",
    "as_of": "the whole writer from Parquet, as of a moment",
    "live": "the whole writer from Parquet, now: stamps and journal",
}


@dataclass(frozen=True)
class Load:
    """Two runs of one view in a history, and the newer one packed for the store."""

    contract: Contract
    plan: Plan
    view: FeatureView
    history: Path
    run: int
    older: Pairs
    newer: Pairs

    def writer(self, store: OnlineStore, as_of: int | None) -> Materializer:
        clocks = Clocks(as_of, self.plan.clock_margin, self.plan.write_deadline)
        return Materializer(self.contract, self.history, store, clocks)

    @property
    def readable(self) -> int:
        """When the newer run is."""
        return self.run + self.view.delay_to_readable


@dataclass(frozen=True)
class Speeds:
    """Rows a second of every round by way, in the order of the rounds."""

    rows: int
    view: str
    rounds: dict[str, list[float]]

    def ratio(self, way: str, to: str) -> list[float]:
        """One way against another, round by round."""
        return [a / b for a, b in zip(self.rounds[way], self.rounds[to], strict=True)]

    def figures(self) -> dict[str, object]:
        """For machines: medians, extremes and every round."""
        return {
            "rows": self.rows,
            "view": self.view,
            "ways": {
                way: {
                    "what": WAYS[way],
                    "rows_per_second": _spread(found),
                    "to_set": _spread(self.ratio(way, "set")),
                    "rounds": found,
                }
                for way, found in self.rounds.items()
            },
        }


def prepare(
    contract: Contract, plan: Plan, view: FeatureView, entities: int, now: int, work: Path
) -> Load:
    """Makes a history of two runs of `entities` entities; the newer one has just become readable.

    Its values are random but for their types; what they mean does not matter to a store.
    """
    if not isinstance(view.publication, Scheduled):
        raise TypeError(f"{view.name}: found publication on event, wanted a schedule")
    schedule = view.publication.schedule
    run = (now - view.delay_to_readable) // schedule * schedule
    table = pa.concat_tables([_run(contract, view, entities, at) for at in (run - schedule, run)])
    work.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, history_file(work, view))
    older, newer = (
        list(_packed(contract, view, history_engine().run_rows(contract, work, view, at)))
        for at in (run - schedule, run)
    )
    return Load(contract, plan, view, work, run, older, newer)


def measure(load: Load, stores: Stores, rounds: int, progress: Progress) -> Speeds:
    """Every way once a round."""
    found: dict[str, list[float]] = {way: [] for way in WAYS}
    for number in range(rounds):
        for way, write in _WRITERS.items():
            with stores() as store:
                if way == "merge_onto":
                    _merge(load, store, load.older)
                began = time.perf_counter()
                write(load, store)
                found[way].append(len(load.newer) / (time.perf_counter() - began))
            _forget_stamps(load)
        said = ", ".join(f"{way} {speeds[-1]:,.0f}" for way, speeds in found.items())
        progress(f"round {number + 1} of {rounds}, rows/s: {said}")
    return Speeds(len(load.newer), load.view.name, found)


def table(speeds: Speeds) -> str:
    """The figures as lines of a Markdown table."""
    lines = ["| way | rows/s, median (lowest - highest) | to SET, median | |", "|---|---|---|---|"]
    for way, found in speeds.rounds.items():
        rate, ratio = _spread(found), _spread(speeds.ratio(way, "set"))
        lines.append(
            f"| {way} | {rate['median']:,.0f} ({rate['lowest']:,.0f} - {rate['highest']:,.0f})"
            f" | {ratio['median']:.2f} ({ratio['lowest']:.2f} - {ratio['highest']:.2f})"
            f" | {WAYS[way]} |"
        )
    return "\n".join(lines)


def _set(load: Load, store: OnlineStore) -> None:
    expires = load.readable + load.view.temporal_join_lookback
    for at in range(0, len(load.newer), BATCH):
        store.set_keys(load.newer[at : at + BATCH], expires)


def _merge(load: Load, store: OnlineStore, pairs: Pairs) -> None:
    times, margin = load.view.times, load.plan.clock_margin
    mark = keys.watermark_key(load.view.name, load.contract.schema_of(load.view))
    for at in range(0, len(pairs), BATCH):
        store.merge(pairs[at : at + BATCH], times, margin, load.readable, mark)


def _whole(load: Load, store: OnlineStore, as_of: int | None) -> None:
    # A complete run before this one: otherwise this would be the view's first.
    started = load.run + load.view.source_delay - 1
    load.writer(store, as_of).advance(load.view, started, started)
    [written] = load.writer(store, as_of).bring_up([load.view])
    if written.rows != len(load.newer):
        raise RuntimeError(f"found {written.rows} rows written, wanted {len(load.newer)}")


_WRITERS: dict[str, Callable[[Load, OnlineStore], None]] = {
    "set": _set,
    "merge": lambda load, store: _merge(load, store, load.newer),
    "merge_onto": lambda load, store: _merge(load, store, load.newer),
    "as_of": lambda load, store: _whole(load, store, load.readable + load.plan.clock_margin),
    "live": lambda load, store: _whole(load, store, None),
}


def _forget_stamps(load: Load) -> None:
    """The next round writes the same history as if nobody had."""
    stamps_file(load.history, load.view).unlink(missing_ok=True)
    shutil.rmtree(stamping_directory(load.history, load.view), ignore_errors=True)


def _run(contract: Contract, view: FeatureView, entities: int, run: int) -> pa.Table:
    kind = history_columns(contract, view)
    chance = np.random.default_rng(run % 2**32)
    columns = []
    for field in kind:
        if field.name in {"event_ts", "created_ts"}:
            later = view.delay_to_readable if field.name == "created_ts" else 0
            columns.append(pa.array(np.full(entities, run + later), field.type))
        elif field.name in contract.join_keys(view):
            numbers = pa.array(np.arange(entities) + 100_000)
            columns.append(numbers.cast(field.type))
        else:
            columns.append(pa.array(chance.integers(0, 1_000, entities)).cast(field.type))
    return pa.table(columns, schema=kind)


def _packed(
    contract: Contract, view: FeatureView, rows: Iterator[EntityRow]
) -> Iterator[tuple[bytes, bytes]]:
    schema = contract.schema_of(view)
    for ids, row in rows:
        held: list[Row] = [row]
        key = keys.timeline_key(keys.entity_key(view.entities, ids), view.name, schema)
        yield key, timeline.pack(schema, held)


def _spread(found: Sequence[float]) -> dict[str, float]:
    return {"median": median(found), "lowest": min(found), "highest": max(found)}
