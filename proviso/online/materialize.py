"""Materialization: writes history rows into the online store before they become visible.

`--as-of T` writes what a writer at T could have written, for a replay of any moment; `now` uses
the store's clock and stamps the rows (docs/time.md).
"""

from __future__ import annotations

import hashlib
import hmac
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from feature_runtime.core.availability import visible_from
from feature_runtime.core.keys import entity_key
from feature_runtime.core.moments import format_moment
from feature_runtime.core.timeline import FOREIGN, FULL, FUTURE
from proviso.contracts.base import InputError, Problem
from proviso.contracts.contract import Contract, FeatureView
from proviso.history.engines import history_engine
from proviso.history.journal import open_journal
from proviso.history.values import EntityRow, Horizon, Ids
from proviso.online.sending import Clocks, Pace, Progress, Refused, Sender, Tally, silent
from proviso.online.slices import slice_of
from proviso.online.store import OnlineStore, Watermark

__all__ = ["Clocks", "Materializer", "RefusedKey", "Tally", "Written", "key_problem"]

BUSY_NAMED = 10
_WHAT = {
    FULL: ("too many rows of the key are not readable yet", "wait, then run it again"),
    FUTURE: ("a row's event_ts is beyond the store's clock", "correct the source's clock"),
    FOREIGN: ("the key holds no timeline of the view", "delete the key, then run it again"),
}


@dataclass(frozen=True)
class RefusedKey:
    """A key that could not be written, why (a code of `core.timeline`), and how many rows."""

    name: str
    code: str
    rows: int


@dataclass(frozen=True)
class Written:
    """Counts of one view's materialization. `complete` is the watermark it reached, `readable_from`
    the moment from which all rows that were written can be read; None: none was.

    resent: batches that an earlier writer had not finished, sent again with the same stamps.
    coalesced: rows of busy keys that gave way to a later one of their slice (ADR 94). busy: names
    of such keys, BUSY_NAMED at most. refused: rows of keys that stayed as they were.
    """

    view: str
    schema: str
    rows: int
    changed: int
    conflicts: int
    late_batches: int
    resent: int
    complete: int
    coalesced: int
    busy: tuple[str, ...]
    refused: tuple[RefusedKey, ...]
    readable_from: int | None = None


@dataclass(frozen=True)
class Materializer:
    """Writes one contract's history into one store.

    A live writer keeps a journal beside the history: it may be killed at any moment, and the next
    run finishes its batches. A second writer of the same view is refused while one is at work.
    hash_names: whether entities are named by a digest, as the plan says of the prediction record.
    """

    contract: Contract
    history: Path
    store: OnlineStore
    clocks: Clocks
    hash_names: bool = False

    def bring_up(
        self,
        views: Sequence[FeatureView],
        left_out: Iterable[tuple[str, int]] = (),
        progress: Progress = silent,
    ) -> list[Written]:
        """Brings each view's timelines up to the clock. Idempotent; safe to interrupt.

        left_out: (view, event_ts) of runs that must not be published, for drills.
        """
        skipped = frozenset(left_out)
        written = []
        for view in views:
            progress(f"{view.name}: writing")
            with self._sender(view) as sender:
                missing = frozenset(run for name, run in skipped if name == view.name)
                done = self._bring_up(sender, missing, progress)
            progress(f"{view.name}: {done.rows} rows, {done.changed} keys changed{_readable(done)}")
            written.append(done)
        return written

    def publish_run(self, view: FeatureView, run: int) -> int:
        """Writes the rows of the one run with event_ts = `run`; returns how many."""
        rows = history_engine().run_rows(self.contract, self.history, view, run)
        done = self.publish(view, rows)
        self.require_all(view, done)
        return done.rows

    def publish(
        self,
        view: FeatureView,
        rows: Iterable[EntityRow],
        progress: Progress = silent,
        busy: Collection[Ids] = (),
    ) -> Tally:
        """Writes rows, grouped by entity; safe to interrupt and to repeat.

        The tally has the clock of the merge. It does not move the watermark: `advance` does. A
        row that has been written before keeps its stamp. busy: entities whose key is.
        """
        with self._sender(view) as sender:
            done = sender.resend(progress)
            done += sender.send(rows, Pace(view, progress), maybe_sent=True, busy=busy)
            if sender.journal:
                sender.journal.fold_if_due()
        return done

    def advance(self, view: FeatureView, complete: int, clock: int) -> Watermark:
        """Moves the watermark: all visible up to `complete` is written, as known at `clock`."""
        return self.store.advance(view.name, self.contract.schema_of(view), complete, clock)

    def require_all(self, view: FeatureView, done: Tally) -> None:
        """Raises InputError when a key was refused; all others are written."""
        self._require_none((view.name, key) for key in self.refused_keys(view, done.refused))

    def require_whole(self, written: Iterable[Written]) -> None:
        """As `require_all`, for what `bring_up` returned."""
        self._require_none((one.view, key) for one in written for key in one.refused)

    def _require_none(self, refused: Iterable[tuple[str, RefusedKey]]) -> None:
        if problems := [key_problem(view, key, self.store.address) for view, key in refused]:
            raise InputError(problems)

    def refused_keys(self, view: FeatureView, rows: Iterable[Refused]) -> tuple[RefusedKey, ...]:
        """The keys of some refused rows, in order of their names."""
        counted = Counter((self.name_of(view, one.row.ids), one.code) for one in rows)
        return tuple(RefusedKey(*key, count) for key, count in sorted(counted.items()))

    def name_of(self, view: FeatureView, ids: Ids) -> str:
        """An entity as it is named to a reader: `customer:123`, or a digest of that.

        The digest is keyed by the store's token, so that it can't be looked up without the store.
        """
        name = entity_key(view.entities, ids)
        if not self.hash_names:
            return name
        token = self.store.token(view.name, self.contract.schema_of(view))
        return hmac.new(token.encode(), name.encode(), hashlib.sha256).hexdigest()[:16]

    @contextmanager
    def _sender(self, view: FeatureView) -> Iterator[Sender]:
        if self.clocks.as_of is not None:
            yield Sender(self.contract, view, self.store, self.clocks)
            return
        token = self.store.token(view.name, self.contract.schema_of(view))
        with open_journal(self.contract, self.history, view) as journal:
            yield Sender(self.contract, view, self.store, self.clocks, journal, token)

    def _bring_up(self, sender: Sender, missing: frozenset[int], progress: Progress) -> Written:
        view = sender.view
        done = sender.resend(progress)
        clock = self.store.clock() if self.clocks.as_of is None else self.clocks.as_of
        self.advance(view, 0, clock)  # before a key forgets anything, for readers that compare
        horizon = self._horizon(sender, clock, missing)
        engine = history_engine()
        writable = engine.writable_rows(self.contract, self.history, view, horizon)
        with writable as (total, rows):
            done += sender.send(rows, Pace(view, progress, total), maybe_sent=False)
        complete = engine.complete_until(self.contract, self.history, view, clock)
        if done.refused:
            complete = min(complete, self._before_refused(view, done, horizon))
        # The watermark first: rows that it does not cover must be known by the journal.
        mark = self.advance(view, complete, self._comparable(view, clock, done, horizon))
        if sender.journal:
            sender.journal.fold()
        counts = (done.rows, done.changed, done.conflicts, done.late_batches, done.resent)
        busy = tuple(sorted(self.name_of(view, ids) for ids in islice(done.busy, BUSY_NAMED)))
        return Written(
            view.name,
            self.contract.schema_of(view),
            *counts,
            mark.complete,
            done.coalesced,
            busy,
            self.refused_keys(view, done.refused),
            done.readable or None,
        )

    def _before_refused(self, view: FeatureView, done: Tally, horizon: Horizon) -> int:
        """The last moment at which no refused row is readable, so that the next run takes them up.

        A view's first live run is then not complete: a watermark in the past would make the next
        one write all that has been published since.
        """
        if horizon.live and horizon.after is None:
            return 0
        return max(0, min(visible_from(view.times, one.row.row) for one in done.refused) - 1)

    def _comparable(self, view: FeatureView, clock: int, done: Tally, horizon: Horizon) -> int:
        """The merge clock to record; comparisons are valid from a margin before it.

        Before the stamps of a view's first live run the history has planned moments and the store
        served nothing, so that run counts as merged a margin after its last stamp, or after the
        slice of that.
        """
        if not horizon.live or not done.clock:
            return clock
        if horizon.after is not None:
            return done.clock
        deadline, margin = self.clocks.write_deadline, self.clocks.margin
        slice_length = slice_of(view, deadline, margin) if done.coalesced else 0
        return done.clock + deadline + margin + slice_length

    def _horizon(self, sender: Sender, clock: int, missing: frozenset[int]) -> Horizon:
        margin = self.clocks.margin
        if sender.journal is None:
            return Horizon(clock, margin, left_out=missing)
        known = self.store.watermark(sender.view.name, self.contract.schema_of(sender.view))
        after = known.complete if known and known.complete else None  # 0: never complete
        return Horizon(clock, margin, True, after, sender.token, missing)


def _readable(done: Written) -> str:
    """From when the rows can be read: a stamp lies a while ahead of the writing."""
    if done.readable_from is None:
        return ""
    return f"; all of them can be read from {format_moment(done.readable_from)}"


def key_problem(view: str, key: RefusedKey, address: str) -> Problem:
    """A refused key, as an error."""
    what, cure = _WHAT[key.code]
    path = f"view {view}, key {key.name} in online store {address}"
    return Problem(path, code=key.code, message=f"{what}; {key.rows} rows not written", why=cure)
