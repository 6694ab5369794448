"""Materialization: writes history rows into the online store before they become visible.

`--as-of T` writes what a writer at T could have written, for a replay of any moment; `now` uses
the store's clock and stamps the rows (docs/time.md).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from proviso.contracts.contract import Contract, FeatureView
from proviso.history.engines import history_engine
from proviso.history.journal import open_journal
from proviso.history.values import EntityRow, Horizon
from proviso.online.sending import Clocks, Pace, Progress, Sender, Tally, silent
from proviso.online.store import OnlineStore, Watermark

__all__ = ["Clocks", "Materializer", "Tally", "Written"]


@dataclass(frozen=True)
class Written:
    """Counts of one view's materialization. `complete` is the watermark it reached.

    resent: batches that an earlier writer had not finished, sent again with the same stamps.
    """

    view: str
    schema: str
    rows: int
    changed: int
    conflicts: int
    late_batches: int
    resent: int
    complete: int


@dataclass(frozen=True)
class Materializer:
    """Writes one contract's history into one store.

    A live writer keeps a journal beside the history: it may be killed at any moment, and the next
    run finishes its batches. A second writer of the same view is refused while one is at work.
    """

    contract: Contract
    history: Path
    store: OnlineStore
    clocks: Clocks

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
            progress(f"{view.name}: {done.rows} rows, {done.changed} keys changed")
            written.append(done)
        return written

    def publish_run(self, view: FeatureView, run: int) -> int:
        """Writes the rows of the one run with event_ts = `run`; returns how many."""
        rows = history_engine().run_rows(self.contract, self.history, view, run)
        return self.publish(view, rows).rows

    def publish(
        self, view: FeatureView, rows: Iterable[EntityRow], progress: Progress = silent
    ) -> Tally:
        """Writes rows, grouped by entity; safe to interrupt and to repeat.

        The tally has the clock of the merge. It does not move the watermark: `advance` does. A
        row that has been written before keeps its stamp.
        """
        with self._sender(view) as sender:
            done = sender.resend(progress)
            done += sender.send(rows, Pace(view, progress), maybe_sent=True)
            if sender.journal:
                sender.journal.fold_if_due()
        return done

    def advance(self, view: FeatureView, complete: int, clock: int) -> Watermark:
        """Moves the watermark: all visible up to `complete` is written, as known at `clock`."""
        return self.store.advance(view.name, self.contract.schema_of(view), complete, clock)

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
        # The watermark first: rows that it does not cover must be known by the journal.
        mark = self.advance(view, complete, self._comparable(clock, done, horizon))
        if sender.journal:
            sender.journal.fold()
        counts = (done.rows, done.changed, done.conflicts, done.late_batches, done.resent)
        return Written(view.name, self.contract.schema_of(view), *counts, mark.complete)

    def _comparable(self, clock: int, done: Tally, horizon: Horizon) -> int:
        """The merge clock to record; comparisons are valid from a margin before it.

        Before the stamps of a view's first live run the history has planned moments and the store
        served nothing, so that run counts as merged a margin after its last stamp.
        """
        if not horizon.live or not done.clock:
            return clock
        first = horizon.after is None
        return done.clock + (self.clocks.write_deadline + self.clocks.margin if first else 0)

    def _horizon(self, sender: Sender, clock: int, missing: frozenset[int]) -> Horizon:
        margin = self.clocks.margin
        if sender.journal is None:
            return Horizon(clock, margin, left_out=missing)
        known = self.store.watermark(sender.view.name, self.contract.schema_of(sender.view))
        after = known.complete if known and known.complete else None  # 0: never complete
        return Horizon(clock, margin, True, after, sender.token, missing)
