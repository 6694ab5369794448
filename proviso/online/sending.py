"""Sends a view's rows to the store in batches.

A live writer stamps each batch, records it in the journal before sending and acknowledges it
after. A replay's writer (an as-of clock) keeps the planned created_ts and no journal: its rows
depend on history and moment only, so after a crash it is simply run again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, islice

from feature_runtime.core import keys, timeline
from proviso.contracts.base import InputError
from proviso.contracts.contract import Contract, FeatureView
from proviso.history.journal import Journal, Stamped
from proviso.history.values import EntityRow
from proviso.online.connecting import TIMELINE_FULL
from proviso.online.store import Merged, OnlineStore

BATCH = 1_000
_SAY_EVERY = 5.0  # seconds
Progress = Callable[[str], None]
Pairs = Sequence[tuple[bytes, bytes]]


def silent(_: str) -> None:
    """Reports no progress."""


@dataclass(frozen=True)
class Clocks:
    """A writer's clock, `as_of` (None: the store's), and the plan's margins, in microseconds."""

    as_of: int | None
    margin: int
    write_deadline: int


@dataclass(frozen=True)
class Tally:
    """Counts of what was written. A batch is late when it was acknowledged after its first stamp.

    resent: batches that an earlier writer had not finished. clock: of the last merge; 0: none.
    """

    rows: int = 0
    changed: int = 0
    conflicts: int = 0
    late_batches: int = 0
    resent: int = 0
    clock: int = 0

    def __add__(self, other: Tally) -> Tally:
        return Tally(
            self.rows + other.rows,
            self.changed + other.changed,
            self.conflicts + other.conflicts,
            self.late_batches + other.late_batches,
            self.resent + other.resent,
            max(self.clock, other.clock),
        )


@dataclass(frozen=True)
class Sender:
    """Writes one view into one store. journal: None in a replay. token: the store's id."""

    contract: Contract
    view: FeatureView
    store: OnlineStore
    clocks: Clocks
    journal: Journal | None = None
    token: str = ""

    def resend(self, progress: Progress) -> Tally:
        """Sends the batches that an earlier writer did not finish, with the same stamps."""
        done = Tally()
        if self.journal is None:
            return done
        for segment in self.journal.pending():
            progress(f"{self.view.name}: resending batch {segment.number} of an interrupted run")
            intent = self.journal.intent(segment)
            merged = self._merge(intent.pairs)
            self.journal.acknowledge(segment, merged.clock)
            done += _tally(intent.rows, merged, intent.first) + Tally(resent=1)
        return done

    def send(self, rows: Iterable[EntityRow], pace: Pace, *, maybe_sent: bool) -> Tally:
        """Sends rows, which are grouped by entity.

        maybe_sent: some may be in the store already, such as rows of a message delivered twice.
        """
        done = Tally()
        source = iter(rows)
        while batch := list(islice(source, BATCH)):
            if self.journal is None:
                done += self._planned(batch)
            else:
                done += self._live(self.journal, batch, maybe_sent)
            pace.say(done.rows)
        return done

    def _planned(self, batch: Sequence[EntityRow]) -> Tally:
        merged = self._merge([(key, blob) for key, blob, _ in self._packed(batch)])
        return _tally(len(batch), merged, merged.clock)

    def _live(self, journal: Journal, batch: Sequence[EntityRow], maybe_sent: bool) -> Tally:
        """Stamps the rows: one that is already late becomes readable after the write deadline."""
        stamp = self.store.clock() + self.clocks.write_deadline
        planned = batch
        if maybe_sent:
            late = [found for found in batch if found.row.created_ts < stamp]
            known = journal.known(self.token, late)
            planned = [found for found in batch if found not in known]
        if not planned:
            return Tally()
        rows = list(_readable(planned, stamp))
        intents: list[Stamped] = []
        pairs = []
        for key, blob, group in self._packed(rows):
            pairs.append((key, blob))
            first = len(intents)
            plans = planned[first : first + len(group)]
            intents += _intents(plans, group, key, blob)
        segment = journal.intend(self.token, intents)
        merged = self._merge(pairs)
        journal.acknowledge(segment, merged.clock)
        return _tally(len(rows), merged, min(row.created_ts for _, row in rows))

    def _packed(
        self, rows: Sequence[EntityRow]
    ) -> Iterator[tuple[bytes, bytes, Sequence[EntityRow]]]:
        """(key, bytes, rows) of every entity."""
        view, schema = self.view, self.contract.schema_of(self.view)
        for ids, found in groupby(rows, key=lambda r: r.ids):
            group = list(found)
            key = keys.timeline_key(keys.entity_key(view.entities, ids), view.name, schema)
            yield key, timeline.pack(schema, [row for _, row in group]), group

    def _merge(self, pairs: Pairs) -> Merged:
        mark = keys.watermark_key(self.view.name, self.contract.schema_of(self.view))
        clocks = self.clocks
        try:
            return self.store.merge(pairs, self.view.times, clocks.margin, clocks.as_of, mark)
        except InputError as error:
            if any(problem.code == TIMELINE_FULL for problem in error.problems):
                raise _full(self.view, self.store.address) from error
            raise


def _full(view: FeatureView, address: str) -> InputError:
    what = "too many rows of one key are not readable yet"
    place = f"view {view.name} in online store {address}"
    return InputError.event(TIMELINE_FULL, what, place, "wait, then run it again")


class Pace:
    """Reports the progress of a long write. total: rows to write; None if not known."""

    def __init__(self, view: FeatureView, progress: Progress, total: int | None = None) -> None:
        self._name, self._progress, self._total = view.name, progress, total
        self._began = self._said = time.monotonic()

    def say(self, rows: int) -> None:
        now = time.monotonic()
        if now - self._said >= _SAY_EVERY:
            self._said = now
            self._progress(f"{self._name}: {how_far(rows, self._total, now - self._began)}")


def how_far(rows: int, total: int | None, seconds: float) -> str:
    """Rows written, rows per second, and the share of the total if it is known."""
    share = f" of {total:,} ({100 * rows // total}%)" if total else ""
    return f"{rows:,}{share} rows, {rows / seconds:,.0f} rows/s"


def _readable(planned: Sequence[EntityRow], stamp: int) -> Iterator[EntityRow]:
    """The rows with created_ts at `stamp` or later; rows of one event time keep their order."""
    last: EntityRow | None = None
    for ids, row in planned:
        created = max(row.created_ts, stamp)
        if last is not None and (last.ids, last.row.event_ts) == (ids, row.event_ts):
            created = max(created, last.row.created_ts + 1)
        last = EntityRow(ids, row._replace(created_ts=created))
        yield last


def _intents(
    plans: Sequence[EntityRow], rows: Sequence[EntityRow], key: bytes, blob: bytes
) -> Iterator[Stamped]:
    for place, (plan, found) in enumerate(zip(plans, rows, strict=True)):
        moments = (plan.row.event_ts, plan.row.created_ts, found.row.created_ts)
        sent = (key, blob) if place == 0 else (None, None)
        yield Stamped(found.ids, *moments, *sent)


def _tally(rows: int, merged: Merged, first: int) -> Tally:
    late = int(merged.clock > first)
    return Tally(rows, merged.stored, merged.conflicts, late, clock=merged.clock)
