"""What an engine must be able to do: operations over transactions and feature history.

`HistoryEngine` is the whole port; its parts group the operations by use. An engine
is a module or an object with these functions, registered by name in `engines.py`. What it computes
is defined by docs/time.md and held to `oracle.py` by tests/property, to the bit. It reads and
writes the files of `files.py`; values that cross the port are in `values.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from feature_runtime.core.availability import Value
from feature_runtime.core.keys import EntityId
from proviso.contracts.contract import Aggregate, Contract, Entity, FeatureView
from proviso.contracts.sources import RowsSource
from proviso.history.quarantine import Quarantined
from proviso.history.values import (
    DEFAULT_MEMORY,
    Belief,
    DatasetSummary,
    EntityRow,
    Event,
    GivenRow,
    HistorySummary,
    Horizon,
    Ids,
    JudgedRow,
    LateInterval,
    LeftOut,
    Population,
    Progress,
    SampleRequest,
    SourceClock,
    SourceDigest,
    TransactionSummary,
    ViewStatistics,
    silent,
)

Moments = NDArray[np.int64]
Bools = NDArray[np.bool_]


class Scalars(Protocol):
    """The contract's scalar SQL (`where` of an aggregate, `sql` of a feature), row by row.

    The oracle uses it: everything else it computes in plain Python.
    """

    def holds(
        self, view: FeatureView, aggregate: Aggregate, rows: Sequence[Mapping[str, Any]]
    ) -> list[bool | None]:
        """Whether the aggregate's condition is true for the columns of each row; None: unknown."""

    def features(self, view: FeatureView, values: Sequence[Value]) -> tuple[Value, ...]:
        """The view's features, given the value of each of its aggregates."""


class HistoryPart(NamedTuple):
    """Published rows of some of the numbered entities: first <= number < after.

    table: `_entity`, join keys, `_event_us`, `_created_us` and features, sorted by `_entity`,
    `_event_us`, `_created_us` and place in the file. total: how many entities there are.
    """

    table: pa.Table
    first: int
    after: int
    total: int


class EntityHistory(NamedTuple):
    """The history of the entities of some transactions, part by part.

    entity: the number of each transaction's entity, in dataset order (event_ts, id).
    """

    entity: Moments
    parts: Iterator[HistoryPart]


class Transactions(Protocol):
    """A file of transactions, read and checked once; open as long as its context.

    Spans are of event_ts, [start, end).
    """

    @property
    def summary(self) -> TransactionSummary:
        """How many rows there are and from when to when."""

    @property
    def quarantined(self) -> tuple[Quarantined, ...]:
        """What was set aside of each source that has been read and allows it."""

    @property
    def scalars(self) -> Scalars:
        """The contract's scalar SQL, evaluated by this engine."""

    def compute_history(
        self,
        out: Path,
        start: int | None = None,
        end: int | None = None,
        views: Sequence[str] | None = None,
        progress: Progress = silent,
    ) -> HistorySummary:
        """As `HistoryEngine.compute_history`, from what is loaded."""

    def build_dataset(
        self,
        history: Path,
        start: int,
        end: int,
        out: Path,
        views: Sequence[str] | None = None,
        left_out: LeftOut = (),
        request_features: bool = True,
    ) -> DatasetSummary:
        """As `HistoryEngine.build_dataset`, from what is loaded."""

    def columns(self, start: int, end: int) -> Mapping[str, list[Any]]:
        """`moments`, the id and the join keys of the span's transactions, in dataset order."""

    def labels_known(self, start: int, end: int, delay: int, by: int) -> Bools:
        """Which labels of the span's transactions are known at `by`, in dataset order.

        delay: that of labels without a moment of their own, in place of the contract's.
        """

    def newest(
        self, count: int, keys: Sequence[str], fields: Sequence[str]
    ) -> list[tuple[Any, ...]]:
        """The last `count` transactions: join keys, then fields (money: major units; moments:
        microseconds)."""

    def events(
        self, view: FeatureView, entities: Set[Ids], since: int | None = None
    ) -> Mapping[Ids, list[Event]]:
        """All events of some of the view's entities.

        since: only those that a row of a later event_ts can depend on, if its windows hold only
        what happened, or became known, after `since`.
        """

    def given_rows(self, view: FeatureView, entities: set[Ids]) -> Mapping[Ids, list[GivenRow]]:
        """All rows that the table of a view has of some of its entities."""

    def entity_history(
        self, history: Path, view: FeatureView, start: int, end: int
    ) -> EntityHistory:
        """Published rows that can win at some moment of the span, of entities with a transaction
        in it: event_ts from the lookback before `start` on, created_ts before `end`."""


class Arrivals(Protocol):
    """Transactions of a stream as they arrive, and the rows that they make."""

    fresh: int
    """How many transactions have rows that are not published yet."""

    def take(self, part: Path, *, fresh: bool) -> int:
        """Adds a file of transactions; fresh: their rows are wanted. Returns how many."""

    def published(self) -> None:
        """Notes that all rows have been published."""

    def judged(self, messages: Sequence[Mapping[str, str]]) -> list[JudgedRow]:
        """The rows that messages state as text by column, each with what is wrong with it."""

    def known(self, ids: Sequence[str]) -> Mapping[str, int]:
        """By those of the transaction ids that have arrived before: what their rows said."""

    def last_arrivals(self, view: FeatureView, entities: Sequence[Ids]) -> Mapping[Ids, int]:
        """The latest arrival of each of some entities; those without one are left out."""

    def rows(self, view: FeatureView) -> Iterator[EntityRow]:
        """The rows that the fresh arrivals make, an entity's next to each other."""


class ComputesHistory(Protocol):
    """From transactions to the files of a history (`proviso features`)."""

    def compute_history(
        self,
        contract: Contract,
        transactions: Path | None,
        out: Path,
        start: int | None = None,
        end: int | None = None,
        views: Sequence[str] | None = None,
        progress: Progress = silent,
        memory: str = DEFAULT_MEMORY,
        clock: SourceClock | None = None,
    ) -> HistorySummary:
        """Writes `out/<view>.parquet` for the runs in [start, end).

        clock: transactions beyond it are set aside; by default none.
        """

    def update_history(
        self,
        contract: Contract,
        transactions: Path | None,
        out: Path,
        as_of: int | None = None,
        views: Sequence[str] | None = None,
        progress: Progress = silent,
        memory: str = DEFAULT_MEMORY,
        dry_run: bool = False,
        clock: SourceClock | None = None,
    ) -> HistorySummary:
        """Adds the runs, and arrivals, that `out/<view>.parquet` lacks."""

    def backfill_history(
        self,
        contract: Contract,
        transactions: Path | None,
        out: Path,
        start: int,
        end: int | None = None,
        as_of: int | None = None,
        views: Sequence[str] | None = None,
        progress: Progress = silent,
        memory: str = DEFAULT_MEMORY,
        dry_run: bool = False,
        clock: SourceClock | None = None,
    ) -> HistorySummary:
        """Corrects the runs in [start, end) by what had arrived before `as_of`."""


class ForgetsEntities(Protocol):
    """A history goes on without the transactions of one entity (`proviso forget`)."""

    def digests_without(
        self,
        contract: Contract,
        transactions: Path,
        history: Path,
        entity: Entity,
        identifier: EntityId,
        progress: Progress = silent,
        memory: str = DEFAULT_MEMORY,
    ) -> Mapping[str, SourceDigest]:
        """By view, of each file of the history: the digest of the transactions that it could read
        without the entity's.

        Raises InputError where a file was computed from other transactions than these, with the
        entity's or without them.
        """


class ReadsTransactions(Protocol):
    """The source, and the dataset that is joined to it."""

    def open_transactions(
        self,
        contract: Contract,
        path: Path | None,
        start: int | None = None,
        end: int | None = None,
        memory: str = DEFAULT_MEMORY,
        clock: SourceClock | None = None,
    ) -> AbstractContextManager[Transactions]:
        """Loads and checks the transactions with start <= event_ts < end, once.

        clock: transactions beyond it are set aside; by default none.
        """

    def build_dataset(
        self,
        contract: Contract,
        history: Path,
        transactions: Path | None,
        start: int,
        end: int,
        out: Path,
        views: Sequence[str] | None = None,
        left_out: LeftOut = (),
        memory: str = DEFAULT_MEMORY,
        request_features: bool = True,
    ) -> DatasetSummary:
        """Writes the as-of join of the transactions of [start, end) with the history.

        request_features: whether to write the features that the encoder computes itself.
        """

    def rows_digest(self, contract: Contract, source: RowsSource, path: Path | None) -> str:
        """A digest of a source's rows as the contract names them, in any order; equal wherever
        they lie. path: where, in place of the contract's location."""

    def by_arrival(
        self, contract: Contract, path: Path | None, size: int
    ) -> Iterator[list[dict[str, Any]]]:
        """The file's rows in order of arrival, `size` at a time, by column; nulls left out."""

    def open_arrivals(
        self, contract: Contract, views: Sequence[FeatureView], memory: str
    ) -> AbstractContextManager[Arrivals]:
        """What has arrived from a stream and may still count for on-event views."""


class ReadsPublished(Protocol):
    """Rows of history as a writer publishes them, with the stamps of what was published."""

    def run_rows(
        self, contract: Contract, history: Path, view: FeatureView, run: int
    ) -> Iterator[EntityRow]:
        """All rows of the run with event_ts = `run`."""

    def writable_rows(
        self, contract: Contract, history: Path, view: FeatureView, horizon: Horizon
    ) -> AbstractContextManager[tuple[int, Iterator[EntityRow]]]:
        """Rows that a writer has to write, ordered by entity; how many they are."""

    def arriving_rows(
        self,
        contract: Contract,
        history: Path,
        view: FeatureView,
        span: range,
    ) -> Iterator[EntityRow]:
        """Rows of a view without runs that become visible in the span, in order of arrival."""

    def complete_until(
        self, contract: Contract, history: Path, view: FeatureView, clock: int
    ) -> int:
        """The moment up to which everything is written after a complete run at `clock`."""

    def late_intervals(
        self, contract: Contract, history: Path, view: FeatureView
    ) -> Mapping[Ids, Sequence[LateInterval]]:
        """By entity: when offline and the store may differ."""

    def sent_before(
        self,
        contract: Contract,
        history: Path,
        view: FeatureView,
        store: str,
        rows: Sequence[EntityRow],
    ) -> frozenset[EntityRow]:
        """Those of the rows that the journal says this store has been sent."""

    def stamps_to_keep(
        self,
        contract: Contract,
        history: Path,
        view: FeatureView,
        columns: pa.Schema,
        remembered: int,
    ) -> AbstractContextManager[Iterator[pa.RecordBatch]]:
        """Stamps of every schema that differ from the plan or were acknowledged late; of a
        view without runs also those planned within `remembered` microseconds before the newest."""


class ReadsEntities(Protocol):
    """Entities of a history at a moment, for the checks of the online store."""

    def live_entities(
        self, contract: Contract, history: Path, view: FeatureView, t: int
    ) -> Iterator[tuple[EntityId, ...]]:
        """Entities that must have a fresh row at `t`, each once."""

    def visible_entities(
        self, contract: Contract, history: Path, view: FeatureView, t: int
    ) -> Iterator[tuple[EntityId, ...]]:
        """Entities that have a winner at `t`, by the plan."""

    def sample_entities(
        self, contract: Contract, history: Path, view: FeatureView, request: SampleRequest
    ) -> Population:
        """A sample, hard cases first, each with the rows that decide."""

    def view_statistics(
        self, contract: Contract, history: Path, view: FeatureView
    ) -> ViewStatistics | None:
        """Figures of a view's newest rows, for the catalogue; None without a row."""


class JudgesJoins(Protocol):
    """The leakage exercise: a history as a wrong join takes it, and what then leaked."""

    def write_believed(
        self, contract: Contract, history: Path, view: FeatureView, belief: Belief, path: Path
    ) -> None:
        """Writes a view's rows with the created_ts that is believed, and the true one beside it."""

    def used_too_early(
        self, contract: Contract, view: FeatureView, path: Path, used: pa.Table
    ) -> Sequence[int]:
        """Numbers of uses of a row before it was readable, by the true created_ts of a file that
        `write_believed` made.

        used: join keys, `_event` and `_created` (the believed times of the row), `_at`, `_number`.
        """


class HistoryEngine(
    ComputesHistory,
    ForgetsEntities,
    ReadsTransactions,
    ReadsPublished,
    ReadsEntities,
    JudgesJoins,
    Protocol,
):
    """The whole port."""
