"""Values that operations of a history engine take and return; no engine is named here.

Moments are microseconds since 1970, UTC. Ids are in the order of the view's entities.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from feature_runtime.core.availability import Row, Value
from feature_runtime.core.keys import EntityId
from feature_runtime.core.moments import format_moment
from proviso.history.quarantine import Quarantined

Ids = tuple[EntityId, ...]
Progress = Callable[[str], None]
LeftOut = Sequence[tuple[str, int]]
"""(view, event_ts) of runs to be ignored."""

DEFAULT_MEMORY = "4GB"
"""What an engine may use by default before it spills to disk."""

MAX_MOMENT = 2**53
"""The first moment that is refused (in 2255): the online store's numbers are exact below it."""

UNKNOWN_END = 2**62
"""The end of an interval whose batch has not been acknowledged yet."""

STRATA = ("stale", "expired", "pending", "new", "null", "fresh")
"""Strata of a sample of entities: the winner is STALE; all rows are beyond the lookback; a row
is not visible yet; the winner has just become visible; it has a NULL; the winner is OK."""

UNSEEN = "unseen"
"""The stratum of entities without history."""


def silent(_: str) -> None:
    """No progress."""


@dataclass(frozen=True)
class ViewHistory:
    """What was written for one view: runs with start <= H < end, or arrivals if on event.

    rows: computed now; kept: those that the file had and has.
    """

    view: str
    path: Path
    rows: int
    start: int
    end: int
    seconds: float
    runs: int
    kept: int = 0


@dataclass(frozen=True)
class HistorySummary:
    """What was read and written.

    set_aside: transactions beyond `latest` (microseconds), which were left out;
    set_aside_example: the id of one of them. quarantined: by source, rows that do not fit.
    """

    transactions: int
    views: tuple[ViewHistory, ...]
    set_aside: int = 0
    set_aside_example: str | None = None
    latest: int | None = None
    quarantined: tuple[Quarantined, ...] = ()


@dataclass(frozen=True)
class ViewJoin:
    """One view's part of a dataset: statuses by name, and rows that were refused.

    conflicts: rows with an (entity, event_ts, created_ts) that an earlier row has, but with
    other values.
    """

    view: str
    statuses: dict[str, int]
    conflicts: int


@dataclass(frozen=True)
class DatasetSummary:
    """What `build_dataset` wrote. quarantined: what was set aside of the observed source."""

    path: Path
    rows: int
    views: tuple[ViewJoin, ...]
    quarantined: Quarantined | None = None


@dataclass(frozen=True)
class SourceClock:
    """The clock that a file of transactions is read by (docs/time.md).

    now: nothing has happened after it, in microseconds. margin: how far the clocks that
    stamp transactions may be ahead.
    """

    now: int
    margin: int

    @property
    def latest(self) -> int:
        """The last moment that a transaction may state."""
        return self.now + self.margin


@dataclass(frozen=True)
class TransactionSummary:
    """What was loaded; moments are None where there is no row.

    set_aside: rows beyond the clock, which were left out; set_aside_example: the id of one.
    quarantined: rows that do not fit, of a source that states a `quarantine`.
    """

    path: Path
    rows: int
    labelled: int
    first_event: int | None
    last_event: int | None
    last_arrival: int | None
    clock: SourceClock | None = None
    set_aside: int = 0
    set_aside_example: str | None = None
    quarantined: Quarantined | None = None

    @property
    def last_moment(self) -> int | None:
        """The last event or arrival."""
        if self.last_event is None or self.last_arrival is None:
            return None
        return max(self.last_event, self.last_arrival)

    @property
    def whole_until(self) -> int:
        """All that has arrived before this moment is here, if the file was cut between moments."""
        last = 0 if self.last_arrival is None else self.last_arrival + 1
        return last if self.clock is None else min(last, self.clock.now)

    @property
    def set_aside_text(self) -> str:
        """One line for a person; empty where nothing was set aside."""
        if not self.set_aside or self.clock is None:
            return ""
        latest = format_moment(self.clock.latest)
        one = self.set_aside_example
        return f"{self.set_aside:,} rows later than {latest} set aside (such as {one})"


def summary_of(
    loaded: Collection[TransactionSummary], views: Sequence[ViewHistory]
) -> HistorySummary:
    """What was read of some sources, and the views that were written from them."""
    read = read_all(loaded)
    latest = None if read.clock is None else read.clock.latest
    quarantined = tuple(one.quarantined for one in loaded if one.quarantined is not None)
    return HistorySummary(
        read.rows, tuple(views), read.set_aside, read.set_aside_example, latest, quarantined
    )


def read_all(loaded: Collection[TransactionSummary]) -> TransactionSummary:
    """What was read of several sources, as one summary; of a single one its own."""
    first = next(iter(loaded))
    aside = next((one for one in loaded if one.set_aside), first)
    rows, set_aside = sum(one.rows for one in loaded), sum(one.set_aside for one in loaded)
    example = aside.set_aside_example
    return replace(first, rows=rows, set_aside=set_aside, set_aside_example=example)


@dataclass(frozen=True)
class Event:
    """One transaction: ids by join key, columns by name (money: minor units).

    known: of each late column the moment from which its value is known, None where it is not.
    id: the transaction's own.
    """

    ids: Mapping[str, EntityId]
    event_ts: int
    arrival_ts: int
    columns: Mapping[str, Any]
    known: Mapping[str, int | None]
    id: EntityId = 0


class GivenRow(NamedTuple):
    """A row of a table: its own times, and a view's features in their order, as stored."""

    ids: Ids
    event_ts: int
    created_ts: int
    values: tuple[Value, ...]


class JudgedRow(NamedTuple):
    """The row that a stream's message states, by the rule of a file's rows.

    reasons: why it does not fit; then nothing else holds. cells: values by the file's columns.
    said: 64 bits of all that it says but its arrival, which is None where none is stated.
    """

    id: str
    event: int
    arrival: int | None
    keys: Mapping[str, EntityId]
    cells: Mapping[str, Any]
    said: int
    reasons: tuple[str, ...]


class EntityRow(NamedTuple):
    """A row of history and the entity that it belongs to."""

    ids: Ids
    row: Row


@dataclass(frozen=True)
class Horizon:
    """What a writer at `clock` knows: rows of runs that have started, read with `margin`.

    `live`: created_ts is the plan's, which the writer is about to replace by its stamp, so that
    no row is written twice. `after`: rows that the plan makes visible by then are already in
    the store (its watermark); of later ones also those that lost to a newer one are wanted, since
    their stamp says that they were not readable as planned. `store`: its token; rows that a
    journal says it was sent are in it, too. `left_out`: event_ts of runs that were never published.
    """

    clock: int
    margin: int
    live: bool = False
    after: int | None = None
    store: str = ""
    left_out: frozenset[int] = frozenset()


class SourceDigest(NamedTuple):
    """What an extent says of the transactions that its runs could read: how many, and a digest."""

    transactions: int
    digest: str


class LateInterval(NamedTuple):
    """A row that offline reads from `start` on, while the store may not have had it until `end`."""

    event_ts: int
    start: int
    end: int


@dataclass(frozen=True)
class SampleRequest:
    """Which sample of a view's entities: at a moment, how many, by which seed.

    features: those whose NULLs make the stratum `null`.
    """

    at: int
    size: int
    seed: int
    features: Sequence[str]

    @property
    def quota(self) -> int:
        """How many entities of each hard stratum, and how many unseen ones."""
        return max(1, self.size // 10)


@dataclass(frozen=True)
class Sampled:
    """An entity, the strata that it is in, and its rows that happened within the lookback."""

    ids: Ids
    strata: frozenset[str]
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Population:
    """A sample, and how many entities of the whole view are in each stratum."""

    sampled: tuple[Sampled, ...]
    sizes: Mapping[str, int]


@dataclass(frozen=True)
class FeatureStatistics:
    """One feature over the newest rows. Quantiles are values that occur, None without any value and
    for strings.

    bins: how many values fall into equal parts of [low, high], what lies outside at its border;
    low and high are the quantiles 0.01 and 0.99, so that one outlier does not hide the rest.
    """

    nulls: int
    least: float | None = None
    low: float | None = None
    median: float | None = None
    high: float | None = None
    greatest: float | None = None
    bins: tuple[int, ...] = ()


@dataclass(frozen=True)
class ViewStatistics:
    """A view's history now. newest: event_ts of the last row. entities: how many newest rows the
    figures are of; of a scheduled view those of the newest run, else of the lookback before the
    last row.
    """

    rows: int
    newest: int
    entities: int
    features: dict[str, FeatureStatistics]


@dataclass(frozen=True)
class Belief:
    """Which moment a wrong join takes for a row's created_ts, for the leakage exercise.

    offset: microseconds after event_ts; None: the published created_ts. last_only: of the rows of
    one entity and event_ts only the last is kept, as in a table without created_ts.
    """

    offset: int | None = None
    last_only: bool = False
