"""`proviso materialize --follow`: publishes on-event views from a stream, within seconds.

Messages are read, held until they have settled, written to the landing, acknowledged, computed and
published, in this order. The landing is the source of truth: all that follows it is repeated after
a crash, with the same result (docs/adr/0043).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import islice

from feature_runtime.core.availability import order
from feature_runtime.core.moments import SECOND
from feature_runtime.core.timeline import FULL
from proviso.contracts.base import InputError
from proviso.contracts.contract import FeatureView
from proviso.history.ports import Arrivals
from proviso.history.values import EntityRow, Ids
from proviso.online.materialize import BUSY_NAMED, Materializer, key_problem
from proviso.online.sending import Progress, Tally
from proviso.online.stream.landing import Landing
from proviso.online.stream.messages import (
    ReceivedTransaction,
    fields_of,
    received,
    sorted_out,
)
from proviso.online.stream.pacing import Pacing
from proviso.online.stream.valkey import Message, Stream

BACKLOG_CHUNK = 50_000
"""Transactions of one chunk: a backlog is published in chunks, so that late rows of one entity
become one."""
_SAY_EVERY = 60.0  # seconds
_REASON = 300  # characters that are kept of why a message was set aside
_SHORT_WAIT = SECOND // 50  # for messages, while transactions are held


@dataclass(frozen=True)
class FollowSettings:
    """How to follow.

    settle: how long messages are held to be sorted by arrival, microseconds. batch: messages a
    read. until_drained: stop when the stream is empty and all is acknowledged.
    """

    settle: int
    batch: int
    until_drained: bool


@dataclass
class Followed:
    """Counts of a run.

    repeated: copies of transactions that had landed before. refused: messages that were set aside.
    overdue: those with a stated arrival before
    rows already published, which got a later arrival. coalesced: rows of busy keys that gave way
    to a later one of their slice. busy_keys: how often a key became busy. waited: rows that had to
    wait until their full key took them. refused_rows: those of keys that hold no timeline.
    """

    messages: int = 0
    landed: int = 0
    repeated: int = 0
    overdue: int = 0
    refused: int = 0
    rows: int = 0
    late_batches: int = 0
    conflicts: int = 0
    coalesced: int = 0
    busy_keys: int = 0
    waited: int = 0
    refused_rows: int = 0


@dataclass
class Follower:
    """One consumer of one stream; publishes on-event views."""

    writer: Materializer
    views: Sequence[FeatureView]
    stream: Stream
    landing: Landing
    arriving: Arrivals
    settings: FollowSettings
    progress: Progress
    done: Followed = field(default_factory=Followed)
    _buffer: dict[str, ReceivedTransaction] = field(default_factory=dict)
    _complete: list[int] = field(default_factory=list)
    _advanced: int = 0
    _waiting: dict[str, list[EntityRow]] = field(default_factory=dict)
    _said: float = -_SAY_EVERY
    _said_refused: float = -_SAY_EVERY

    def __post_init__(self) -> None:
        clocks = self.writer.clocks
        self._pacing = Pacing(
            self.writer.contract, self.views, clocks.write_deadline, clocks.margin
        )

    def run(self, stopped: Callable[[], bool]) -> Followed:
        """Follows until it is stopped, or until nothing is left. Raises InputError."""
        self._recover()
        self._receive(self.stream.unacknowledged(), self.writer.store.clock())
        while not stopped():
            began = self.writer.store.clock()
            wait = max(self.settings.settle, _SHORT_WAIT) if self._buffer else SECOND
            messages = self.stream.read(self.settings.batch, max(1, wait // 1_000))
            self._receive(messages, began)
            backlog = len(messages) == self.settings.batch
            if not backlog:
                self._complete.append(began)
            self._land(self._due())
            fresh = self.arriving.fresh
            if (fresh or self._waiting) and (not backlog or fresh >= BACKLOG_CHUNK):
                self._publish()
            self._advance()
            if not messages and not self._buffer and self._nothing_left(began):
                break
        return self.done

    def _recover(self) -> None:
        """Reads the landing, and publishes what an earlier run landed and did not publish."""
        store, contract = self.writer.store, self.writer.contract
        schemas = [(view.name, contract.schema_of(view)) for view in self.views]
        upto = min(store.landed(*one, self.landing.id) for one in schemas)
        parts = self.landing.parts()
        if self.landing.new and self.stream.position():
            found = f"a group that has read up to {self.stream.position()}"
            wanted = "a new group for a new landing: name another --group"
            why = "what the group read before is not in this landing"
            raise InputError.of("--group", found, wanted, why, code="group_of_other_landing")
        for part in parts:
            self.arriving.take(part.path, fresh=part.last > upto)
            if self.arriving.fresh >= BACKLOG_CHUNK:
                self._publish(part.last)
        if self.arriving.fresh:
            self.progress(f"{self.arriving.fresh} landed rows to publish")
            self._publish()

    def _receive(self, messages: Sequence[Message], read_at: int) -> None:
        received_at = self.writer.store.clock() if messages else read_at
        latest = received_at + self.writer.clocks.margin
        readable, stated = [], []
        for message in messages:
            self.done.messages += message.id not in self._buffer
            try:
                stated.append(fields_of(message))
                readable.append(message)
            except ValueError as error:
                self._refuse(message, str(error))
        judged = self.arriving.judged(stated)
        held_from = self.writer.store.clock() if judged else received_at  # judging takes time, too
        for message, row in zip(readable, judged, strict=True):
            try:
                one = received(self.writer.contract, message, row, read_at, latest)
            except ValueError as error:
                self._refuse(message, str(error))
            else:
                self._buffer.setdefault(message.id, one._replace(received_at=held_from))

    def _refuse(self, message: Message, reason: str) -> None:
        """Sets a message aside; says so, once a minute."""
        self.done.refused += 1
        self.stream.refuse(message, reason[:_REASON])
        now = time.monotonic()
        if now - self._said_refused >= _SAY_EVERY:
            self._said_refused = now
            self.progress(f"{self.done.refused} messages set aside, now {message.id}: {reason}")

    def _due(self) -> list[ReceivedTransaction]:
        """Settled transactions and all that arrived before, without those that are held back; the
        earliest of all, if too many are held."""
        held = sorted(self._buffer.values(), key=lambda t: (t.arrival, t.id, t.message))
        if len(held) > 2 * self.settings.batch:
            return held[: self.settings.batch]
        now = self.writer.store.clock()
        ready = [one for one in held if self._pacing.held_until(one.keys) <= now]
        before = now - self.settings.settle
        settled = [place for place, one in enumerate(ready) if one.received_at <= before]
        return ready[: settled[-1] + 1] if settled else []

    def _land(self, due: Sequence[ReceivedTransaction]) -> None:
        if not due:
            return
        found = sorted_out(due, self.arriving.known([transaction.id for transaction in due]))
        self.done.repeated += found.copies
        if found.new:
            part = self.landing.append(self._in_time(found.new))
            self.done.landed += self.arriving.take(part.path, fresh=True)
        for transaction in found.contradicting:
            reason = "an earlier row of this id says something else [source_id_repeated]"
            self._refuse(transaction.source, f"{transaction.id}: {reason}")
        self.stream.acknowledge([transaction.message for transaction in due])
        for transaction in due:
            del self._buffer[transaction.message]

    def _in_time(self, new: Sequence[ReceivedTransaction]) -> list[ReceivedTransaction]:
        """The transactions with arrivals after all rows that are published of their entities."""
        first = [0] * len(new)
        for view in self.views:
            keys = self.writer.contract.join_keys(view)
            entities = [tuple(transaction.keys[key] for key in keys) for transaction in new]
            last = self.arriving.last_arrivals(view, entities)
            for place, ids in enumerate(entities):
                first[place] = max(first[place], last.get(ids, -1) + 1)
        self.done.overdue += sum(t.arrival < at for t, at in zip(new, first, strict=True))
        return [t._replace(arrival=max(t.arrival, at)) for t, at in zip(new, first, strict=True)]

    def _publish(self, upto: int | None = None) -> None:
        for view in self.views:
            self._count(view, self._sent(view))
        self.arriving.published()
        last = upto or self.landing.parts()[-1].last
        if not self._waiting:  # or a crash would lose the rows that wait
            for view in self.views:
                schema = self.writer.contract.schema_of(view)
                self.writer.store.record_landed(view.name, schema, self.landing.id, last)
            self.landing.fold(last)
        self.progress(f"{self.done.landed} landed, {self.done.rows} rows")

    def _sent(self, view: FeatureView) -> Tally:
        rows: Iterable[EntityRow] = self.arriving.rows(view)
        if waiting := self._waiting.pop(view.name, None):
            rows = sorted([*waiting, *rows], key=lambda found: (found.ids, order(found.row)))
        return self.writer.publish(view, rows, self.progress, self._pacing.busy(view))

    def _count(self, view: FeatureView, tally: Tally) -> None:
        """Counts what became of a view's rows. Rows of a full key wait for the next time; those of
        a key that holds no timeline can't."""
        done = self.done
        done.rows += tally.rows
        done.late_batches += tally.late_batches
        done.conflicts += tally.conflicts
        done.coalesced += tally.coalesced
        new = self._pacing.published(view, tally.busy, tally.clock)
        done.busy_keys += len(new)
        full = [one.row for one in tally.refused if one.code == FULL]
        done.waited += len(full)
        done.refused_rows += len(tally.refused) - len(full)
        if full:
            self._waiting[view.name] = full
        self._say(view, new, tally)

    def _say(self, view: FeatureView, new: Collection[Ids], tally: Tally) -> None:
        """Names keys that are busy or refused, once a minute."""
        now = time.monotonic()
        if not (new or tally.refused) or now - self._said < _SAY_EVERY:
            return
        self._said = now
        for ids in islice(new, BUSY_NAMED):
            name = self.writer.name_of(view, ids)
            self.progress(f"{view.name}: key {name} is busy; one row of it a slice is published")
        for key in self.writer.refused_keys(view, tally.refused)[:BUSY_NAMED]:
            self.progress(key_problem(view.name, key, self.writer.store.address).printed)

    def _advance(self) -> None:
        """Moves the watermark to the last read that emptied the stream and left nothing held."""
        held = min(map(self._needed, self._buffer.values()), default=2**62)
        if self.arriving.fresh or self._waiting:
            return
        known = [began for began in self._complete if began < held]
        if known and (known[-1] >= self._advanced + SECOND or not self._buffer):
            for view in self.views:
                self.writer.advance(view, known[-1], 0)
            self._advanced = known[-1]
        self._complete = [*known[-1:], *(b for b in self._complete if b >= held)]

    def _needed(self, transaction: ReceivedTransaction) -> int:
        """The moment that the watermark must not reach while a transaction is held."""
        if not self._pacing.held_until(transaction.keys):
            return transaction.read_at
        return max(transaction.read_at, self._pacing.readable_from(transaction.arrival))

    def _nothing_left(self, began: int) -> bool:
        """Asks again for messages that were delivered and not acknowledged, after a lost answer."""
        if self.stream.waiting():
            self._receive(self.stream.unacknowledged(), began)
            return False
        return self.settings.until_drained and not self._waiting
