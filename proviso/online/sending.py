"""Sends a view's rows to the store in batches.

A live writer stamps each batch, records it in the journal before sending and acknowledges it
after. A replay's writer (an as-of clock) keeps the planned created_ts and no journal: its rows
depend on history and moment only, so after a crash it is simply run again.

A key that the store refuses, or that is busy, is dealt with alone: the others are written.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, islice
from typing import NamedTuple

from feature_runtime.core import keys, timeline
from feature_runtime.core.availability import visible_from
from proviso.contracts.contract import Contract, FeatureView
from proviso.history.journal import Journal, Stamped
from proviso.history.values import EntityRow, Ids
from proviso.online.slices import last_of_slices, many, slice_of
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


class Refused(NamedTuple):
    """A row that is not in the store: its key was refused, with a code of `core.timeline`."""

    key: bytes
    code: str
    row: EntityRow


@dataclass(frozen=True)
class Tally:
    """Counts of what was written. A batch is late when it was acknowledged after its first stamp.

    rows: published. coalesced: rows that never are, because a later one of their slice is. resent:
    batches that an earlier writer had not finished. clock: of the last merge; 0: none. busy:
    entities whose key is. refused: rows of keys that stayed as they were, as planned. readable:
    from when all that was published can be read; 0: nothing was.
    """

    rows: int = 0
    changed: int = 0
    conflicts: int = 0
    late_batches: int = 0
    resent: int = 0
    clock: int = 0
    coalesced: int = 0
    busy: frozenset[Ids] = frozenset()
    refused: tuple[Refused, ...] = ()
    readable: int = 0

    def __add__(self, other: Tally) -> Tally:
        return Tally(
            self.rows + other.rows,
            self.changed + other.changed,
            self.conflicts + other.conflicts,
            self.late_batches + other.late_batches,
            self.resent + other.resent,
            max(self.clock, other.clock),
            self.coalesced + other.coalesced,
            self.busy | other.busy,
            self.refused + other.refused,
            max(self.readable, other.readable),
        )


class _Outgoing(NamedTuple):
    """A row as planned and as published; None: never, a later one of its slice is."""

    planned: EntityRow
    row: EntityRow | None


_Group = tuple[bytes, bytes, Sequence[_Outgoing]]
"""A key, the bytes for it, and its entity's rows."""


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
            self.journal.acknowledge(segment, merged.clock, merged.refused)
            late = int(merged.clock > intent.first)
            done += Tally(
                *(intent.rows, merged.stored, merged.conflicts, late),
                resent=1,
                clock=merged.clock,
                readable=intent.last,
            )
        return done

    def send(
        self,
        rows: Iterable[EntityRow],
        pace: Pace,
        *,
        maybe_sent: bool,
        busy: Collection[Ids] = (),
    ) -> Tally:
        """Sends rows, which are grouped by entity.

        maybe_sent: some may be in the store already, such as rows of a message delivered twice.
        busy: entities whose key is, of which a live writer publishes one row a slice.
        """
        done = Tally()
        source = iter(rows)
        while batch := list(islice(source, BATCH)):
            if self.journal is None:
                done += self._sent([_Outgoing(row, row) for row in batch])
            else:
                done += self._live(self.journal, batch, maybe_sent, done.busy.union(busy))
            pace.say(done.rows)
        return done

    def _live(
        self, journal: Journal, batch: Sequence[EntityRow], maybe_sent: bool, busy: Collection[Ids]
    ) -> Tally:
        """Stamps the rows: one that is already late becomes readable after the write deadline.

        A key that is full for its rows may still take the last row of each slice.
        """
        stamp = self.store.clock() + self.clocks.write_deadline
        planned = batch
        if maybe_sent:
            late = [found for found in batch if found.row.created_ts < stamp]
            known = journal.known(self.token, late)
            planned = [found for found in batch if found not in known]
        done = self._sent(list(self._stamped(planned, stamp, busy)), journal)
        full = [one.row for one in done.refused if one.code == timeline.FULL]
        if not full:
            return done
        others = tuple(one for one in done.refused if one.code != timeline.FULL)
        again = list(self._stamped(full, stamp, {row.ids for row in full}))
        return replace(done, refused=others) + self._sent(again, journal)

    def _stamped(
        self, planned: Sequence[EntityRow], stamp: int, busy: Collection[Ids]
    ) -> Iterator[_Outgoing]:
        clocks, times = self.clocks, self.view.times
        length = slice_of(self.view, clocks.write_deadline, clocks.margin)
        for ids, found in groupby(planned, key=lambda r: r.ids):
            plans = list(found)
            stamped = list(readable(plans, stamp))
            rows = [row for _, row in stamped]
            kept = [True] * len(rows)
            if ids in busy or many(times, rows):
                kept = last_of_slices(times, rows, length)
            for plan, row, published in zip(plans, stamped, kept, strict=True):
                yield _Outgoing(plan, row if published else None)

    def _sent(self, outgoing: Sequence[_Outgoing], journal: Journal | None = None) -> Tally:
        """Writes a batch; with a journal, notes it before and what became of it after."""
        if not outgoing:
            return Tally()
        groups = list(self._packed(outgoing))
        pairs = [(key, blob) for key, blob, _ in groups]
        if journal is None:
            merged = self._merge(pairs)
        else:
            segment = journal.intend(self.token, list(_intents(groups)))
            merged = self._merge(pairs)
            journal.acknowledge(segment, merged.clock, merged.refused)
        return self._tally(groups, merged, live=journal is not None)

    def _tally(self, groups: Sequence[_Group], merged: Merged, *, live: bool) -> Tally:
        written = [one for key, _, group in groups if key not in merged.refused for one in group]
        published = [one.row.row for one in written if one.row is not None]
        first = min((row.created_ts for row in published), default=merged.clock)
        return Tally(
            rows=len(published),
            changed=merged.stored,
            conflicts=merged.conflicts,
            late_batches=int(live and merged.clock > first),
            clock=merged.clock,
            coalesced=len(written) - len(published),
            busy=frozenset(g[0].planned.ids for key, _, g in groups if key in merged.busy),
            refused=tuple(
                Refused(key, merged.refused[key], one.planned)
                for key, _, group in groups
                if key in merged.refused
                for one in group
            ),
            readable=max((visible_from(self.view.times, row) for row in published), default=0),
        )

    def _packed(self, outgoing: Sequence[_Outgoing]) -> Iterator[_Group]:
        view, schema = self.view, self.contract.schema_of(self.view)
        for ids, found in groupby(outgoing, key=lambda one: one.planned.ids):
            group = list(found)
            rows = [one.row.row for one in group if one.row is not None]
            key = keys.timeline_key(keys.entity_key(view.entities, ids), view.name, schema)
            yield key, timeline.pack(schema, rows), group

    def _merge(self, pairs: Pairs) -> Merged:
        mark = keys.watermark_key(self.view.name, self.contract.schema_of(self.view))
        clocks = self.clocks
        return self.store.merge(pairs, self.view.times, clocks.margin, clocks.as_of, mark)


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


def readable(planned: Sequence[EntityRow], stamp: int) -> Iterator[EntityRow]:
    """The rows with created_ts at `stamp` or later; rows of one event time keep their order."""
    last: EntityRow | None = None
    for ids, row in planned:
        created = max(row.created_ts, stamp)
        if last is not None and (last.ids, last.row.event_ts) == (ids, row.event_ts):
            created = max(created, last.row.created_ts + 1)
        last = EntityRow(ids, row._replace(created_ts=created))
        yield last


def _intents(groups: Sequence[_Group]) -> Iterator[Stamped]:
    for key, blob, group in groups:
        for place, (plan, found) in enumerate(group):
            moments = (plan.row.event_ts, plan.row.created_ts)
            created = None if found is None else found.row.created_ts
            sent = (key, blob) if place == 0 else (None, None)
            yield Stamped(plan.ids, *moments, created, *sent)
