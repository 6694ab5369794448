"""`proviso materialize --follow`: from a stream to the online store, within seconds of an arrival.

Read, let settle, land, acknowledge, compute, publish, in this order: what has landed is the truth,
and everything after it is done again after a crash, with the same result (docs/adr/0043).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from feature_runtime.core.moments import SECOND
from proviso.contracts.base import InputError
from proviso.contracts.contract import FeatureView
from proviso.history.duckdb.arriving import Arriving
from proviso.online.materialize import Materializer
from proviso.online.sending import Progress, Tally
from proviso.online.stream.landing import Landing
from proviso.online.stream.messages import Heard, understood
from proviso.online.stream.valkey import Message, Stream

LARGE = 50_000
"""Transactions of a backlog that are published at once: an entity's late rows become few."""
FULL_PAUSE = 2.0  # seconds
_FULL = "rows for one key"


@dataclass(frozen=True)
class Manner:
    """How to follow. settle: microseconds in which arrivals are put in order."""

    settle: int
    batch: int
    until_drained: bool


@dataclass
class Followed:
    """What came, and what was made of it. repeated: transactions that had landed before; overdue:
    those whose stated arrival had already been published over, so that theirs is later."""

    messages: int = 0
    landed: int = 0
    repeated: int = 0
    overdue: int = 0
    refused: int = 0
    rows: int = 0
    late_batches: int = 0
    conflicts: int = 0


@dataclass
class Follower:
    """One consumer of one stream, which publishes on-event views."""

    writer: Materializer
    views: Sequence[FeatureView]
    stream: Stream
    landing: Landing
    arriving: Arriving
    manner: Manner
    progress: Progress
    done: Followed = field(default_factory=Followed)
    _buffer: dict[str, Heard] = field(default_factory=dict)
    _complete: list[int] = field(default_factory=list)
    _said: int = 0

    def run(self, stopped: Callable[[], bool]) -> Followed:
        """Follows until it is stopped, or until nothing is left. Raises InputError."""
        self._recover()
        self._hear(self.stream.unacknowledged(), self.writer.store.clock())
        while not stopped():
            began = self.writer.store.clock()
            wait = self.manner.settle if self._buffer else SECOND
            messages = self.stream.read(self.manner.batch, max(1, wait // 1_000))
            self._hear(messages, began)
            backlog = len(messages) == self.manner.batch
            if not backlog:
                self._complete.append(began)
            self._land(self._due())
            if self.arriving.fresh and (not backlog or self.arriving.fresh >= LARGE):
                self._publish(stopped)
            self._advance()
            if not messages and not self._buffer and self._nothing_left(began):
                break
        return self.done

    def _recover(self) -> None:
        """Takes what has landed; what nobody has published yet is published now."""
        store, contract = self.writer.store, self.writer.contract
        schemas = [(view.name, contract.schema_of(view)) for view in self.views]
        upto = min(store.landed(*one, self.landing.id) for one in schemas)
        parts = self.landing.parts()
        if self.landing.new and self.stream.position():
            found = f"read up to {self.stream.position()} by somebody"
            wanted = "a group that begins with this landing: name another --group"
            raise InputError.of("--group", found, wanted, "what they read is not here")
        for part in parts:
            self.arriving.take(part.path, fresh=part.last > upto)
            if self.arriving.fresh >= LARGE:
                self._publish(lambda: False, part.last)
        if self.arriving.fresh:
            self.progress(f"{self.arriving.fresh} landed transactions to publish")
            self._publish(lambda: False)

    def _hear(self, messages: Sequence[Message], seen: int) -> None:
        got = self.writer.store.clock() if messages else seen
        latest = got + self.writer.clocks.margin
        for message in messages:
            self.done.messages += message.id not in self._buffer
            try:
                heard = understood(self.writer.contract, message, seen, latest)
            except ValueError as error:
                self.done.refused += 1
                self.stream.refuse(message, str(error)[:300])
            else:
                self._buffer.setdefault(message.id, heard._replace(got=got))

    def _due(self) -> list[Heard]:
        """What has settled, and all that arrived before it; of too much the first."""
        held = sorted(self._buffer.values(), key=lambda h: (h.arrival, h.id, h.message))
        before = self.writer.store.clock() - self.manner.settle
        settled = [place for place, heard in enumerate(held) if heard.got <= before]
        count = settled[-1] + 1 if settled else 0
        if len(held) > 2 * self.manner.batch:
            count = max(count, self.manner.batch)
        return held[:count]

    def _land(self, due: Sequence[Heard]) -> None:
        if not due:
            return
        known = set(self.arriving.known([heard.id for heard in due]))
        new = []
        for heard in due:
            if heard.id not in known:
                known.add(heard.id)
                new.append(heard)
        self.done.repeated += len(due) - len(new)
        if new:
            part = self.landing.append(self._in_time(new))
            self.done.landed += self.arriving.take(part.path, fresh=True)
        self.stream.acknowledge([heard.message for heard in due])
        for heard in due:
            del self._buffer[heard.message]

    def _in_time(self, new: Sequence[Heard]) -> list[Heard]:
        """With the arrival at which each could first be known: after what is published of it."""
        first = [0] * len(new)
        for view in self.views:
            keys = self.writer.contract.join_keys(view)
            entities = [tuple(heard.keys[key] for key in keys) for heard in new]
            last = self.arriving.last_arrivals(view, entities)
            for place, ids in enumerate(entities):
                first[place] = max(first[place], last.get(ids, -1) + 1)
        self.done.overdue += sum(h.arrival < at for h, at in zip(new, first, strict=True))
        return [h._replace(arrival=max(h.arrival, at)) for h, at in zip(new, first, strict=True)]

    def _publish(self, stopped: Callable[[], bool], upto: int | None = None) -> None:
        for view in self.views:
            told = self._sent(view, stopped)
            self.done.rows += told.rows
            self.done.late_batches += told.late_batches
            self.done.conflicts += told.conflicts
        self.arriving.published()
        last = upto or self.landing.parts()[-1].last
        for view in self.views:
            schema = self.writer.contract.schema_of(view)
            self.writer.store.say_landed(view.name, schema, self.landing.id, last)
        self.landing.fold(last)
        self.progress(f"{self.done.landed} landed, {self.done.rows} rows")

    def _sent(self, view: FeatureView, stopped: Callable[[], bool]) -> Tally:
        """A key that is full has room again when its rows have become visible."""
        while True:
            try:
                return self.writer.publish(view, self.arriving.rows(view), self.progress)
            except InputError as error:
                if _FULL not in str(error) or stopped():
                    raise
                self.progress(f"{view.name}: a key is full; waiting until its rows are visible")
                time.sleep(FULL_PAUSE)

    def _advance(self) -> None:
        """All that came before a read that left nothing is published once none of it is held."""
        held = min((heard.seen for heard in self._buffer.values()), default=2**62)
        if self.arriving.fresh:
            return
        known = [began for began in self._complete if began < held]
        if known and (known[-1] >= self._said + SECOND or not self._buffer):
            for view in self.views:
                self.writer.advance(view, known[-1], 0)
            self._said = known[-1]
        self._complete = [*known[-1:], *(b for b in self._complete if b >= held)]

    def _nothing_left(self, began: int) -> bool:
        """An answer that was lost leaves messages that nobody has: they are asked for again."""
        if self.stream.waiting():
            self._hear(self.stream.unacknowledged(), began)
            return False
        return self.manner.until_drained
