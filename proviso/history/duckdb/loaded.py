"""Transactions that are loaded once, and everything that is computed from them afterwards."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from proviso.contracts.contract import Contract, FeatureView
from proviso.contracts.sources import EventsSource, TableSource
from proviso.history.duckdb.dating import known_column
from proviso.history.duckdb.engine import Engine, connect, names, quoted
from proviso.history.duckdb.features import chosen_views, computed_views, digest_loaded
from proviso.history.duckdb.fields import field_value
from proviso.history.duckdb.join import LABEL_ROWS, Join, Span
from proviso.history.duckdb.relation import history_relation
from proviso.history.duckdb.scalars import EngineScalars
from proviso.history.duckdb.source import events_source
from proviso.history.duckdb.tables import CREATED, EVENT, stored_value
from proviso.history.duckdb.transactions import events_of, load_source, load_transactions
from proviso.history.ports import Bools, EntityHistory, HistoryPart
from proviso.history.quarantine import Quarantined
from proviso.history.values import (
    DEFAULT_MEMORY,
    DatasetSummary,
    Event,
    GivenRow,
    HistorySummary,
    Ids,
    LeftOut,
    Progress,
    SourceClock,
    TransactionSummary,
    silent,
)

_SPAN = "_span_events"
_CHOSEN = "_chosen_events"
_ENTITIES = "_span_entities"
_PART = 1_000_000  # rows of history in memory


@contextmanager
def open_transactions(
    contract: Contract,
    path: Path | None,
    start: int | None = None,
    end: int | None = None,
    memory: str = DEFAULT_MEMORY,
    clock: SourceClock | None = None,
) -> Iterator[LoadedTransactions]:
    """Loads and checks the transactions with start <= event_ts < end. Raises InputError.

    clock: rows beyond it are set aside; by default none.
    """
    with connect(memory) as engine:
        loaded = load_transactions(engine, contract, path, start, end, clock)
        yield LoadedTransactions(engine, contract, loaded)


class LoadedTransactions:
    """The table `events` of one engine; see `ports.Transactions` for the operations."""

    def __init__(self, engine: Engine, contract: Contract, summary: TransactionSummary) -> None:
        self._engine, self._contract = engine, contract
        self.summary = summary
        self.scalars = EngineScalars(engine, contract)
        self._rows = contract.observations_of().rows
        self._events = events_of(self._rows)
        self._loaded = {self._rows.name: summary}
        self._digested: set[str] = set()

    @property
    def quarantined(self) -> tuple[Quarantined, ...]:
        """What was set aside of each source that has been read and allows it."""
        found = (one.quarantined for one in self._loaded.values())
        return tuple(one for one in found if one is not None)

    def compute_history(
        self,
        out: Path,
        start: int | None = None,
        end: int | None = None,
        views: Sequence[str] | None = None,
        progress: Progress = silent,
    ) -> HistorySummary:
        """Writes `out/<view>.parquet` for the runs in [start, end). Raises InputError."""
        engine, contract = self._engine, self._contract
        chosen = chosen_views(contract, views)
        sources = {s.name: s for s in map(contract.source_of, chosen)}
        for name, source in sources.items():
            self._load(source)
            if name not in self._digested:
                digest_loaded(engine, contract, source, self._loaded[name])
                self._digested.add(name)
        loaded = {name: self._loaded[name] for name in sources}
        return computed_views(engine, contract, loaded, chosen, out, start, end, progress)

    def _load(self, source: EventsSource | TableSource) -> None:
        """Loads a source that is not the observed rows', once, from the contract's location."""
        if source.name not in self._loaded:
            clock = self.summary.clock
            loaded = load_source(self._engine, self._contract, source, clock=clock)
            self._loaded[source.name] = loaded

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
        """Writes the as-of join of the transactions of [start, end). Raises InputError."""
        span = Span(start, end)
        self._select(start, end)
        self._engine.execute(
            f"create or replace temp view {LABEL_ROWS} as"
            f" select *, rowid as _transaction from {_SPAN}"
        )
        return Join(self._contract, history, span, out, left_out, request_features).write(
            self._engine, views
        )

    def columns(self, start: int, end: int) -> Mapping[str, list[Any]]:
        """`moments`, the id and the join keys of the span's transactions, in dataset order."""
        source = self._contract.observations_of()
        columns = [source.id, *self._contract.key_columns(source.rows)]
        rows = self._engine.execute(
            f"select _event, {names(*columns)} from {self._events} where {_within(start, end)}"
            f" order by {self._order}"
        ).fetchall()
        cells = list(zip(*rows, strict=True)) or [()] * (len(columns) + 1)
        return {name: list(c) for name, c in zip(("moments", *columns), cells, strict=True)}

    def labels_known(self, start: int, end: int, delay: int, by: int) -> Bools:
        """Which labels of the span's transactions are known at `by`, in dataset order."""
        label = quoted(self._contract.observations_of().label.column)
        moment = "_label_stated"
        if self._contract.observations_of().label.known.delay is not None:
            moment = f"coalesce(_label_stated, _event + {delay:d})"
        known = f"coalesce({label} is not null and {moment} <= {by:d}, false)"
        rows = self._engine.execute(
            f"select {known} from {self._events} where {_within(start, end)} order by {self._order}"
        ).fetchall()
        return np.array([known for (known,) in rows], dtype=np.bool_)

    def newest(
        self, count: int, keys: Sequence[str], fields: Sequence[str]
    ) -> list[tuple[Any, ...]]:
        """The last `count` transactions: join keys, then fields, moments in microseconds."""
        source = self._contract.observations_of()
        values = "".join(
            f", {quoted(n) if column.dtype == 'timestamp' else field_value(quoted(n), column)}"
            for n, column in ((n, source.columns[n]) for n in fields)
        )
        return self._engine.execute(
            f"select {names(*keys)}{values} from {self._events}"
            f" order by _event desc, {quoted(source.id)} limit {count:d}"
        ).fetchall()

    def events(
        self, view: FeatureView, entities: Set[Ids], since: int | None = None
    ) -> Mapping[Ids, list[Event]]:
        """Events of some of the view's entities; since: see the port."""
        keys, source = self._contract.join_keys(view), events_source(self._contract, view)
        events: dict[Ids, list[Event]] = {ids: [] for ids in entities}
        if not entities:
            return events
        self._load(source)
        columns, late = list(source.columns), list(source.late_columns)
        self._choose(keys, events_of(source), entities)
        matter = "" if since is None else self._recent(keys, late, since)
        self._engine.execute(
            f"select {names(*keys)}, _event, _arrival,"
            f" {names(source.id, *columns, *map(known_column, late))} from {_CHOSEN}{matter}"
        )
        by_key = {ids: dict(zip(keys, ids, strict=True)) for ids in entities}
        for row in self._engine.fetchall():
            ids, (event, arrival, one, *values) = row[: len(keys)], row[len(keys) :]
            cells = dict(zip(columns, values, strict=False))
            known = dict(zip(late, values[len(columns) :], strict=True))
            events[ids].append(Event(by_key[ids], event, arrival, cells, known, one))
        return events

    def _choose(self, keys: Sequence[str], events: str, entities: Set[Ids]) -> None:
        """Makes the table of some entities' events."""
        places = ", ".join([f"({', '.join('?' for _ in keys)})"] * len(entities))
        self._engine.execute(
            f"create or replace temp table {_CHOSEN} as select * from {events}"
            f" where ({names(*keys)}) in ({places})",
            [value for ids in entities for value in ids],
        )

    def _recent(self, keys: Sequence[str], late: Sequence[str], since: int) -> str:
        """The condition of the chosen events that matter after a moment.

        An event that happened before it may arrive together with later ones. Of those that did
        not, the last that has arrived by any later moment shows that the entity was known.
        """
        (earliest,) = self._engine.row(
            f"select coalesce(min(_arrival), {since:d}) from {_CHOSEN} where _event > {since:d}"
        )
        known = "".join(
            f" or coalesce({quoted(known_column(name))} > {since:d}, false)" for name in late
        )
        here = f"greatest(_arrival, {since:d})"
        return (
            f" qualify _event > {since:d} or _arrival >= {earliest:d}{known}"
            f" or coalesce({here} < min({here}) over (partition by {names(*keys)},"
            f" _event > {since:d} order by _event desc, _arrival"
            f" rows between unbounded preceding and 1 preceding), true)"
        )

    def given_rows(self, view: FeatureView, entities: set[Ids]) -> Mapping[Ids, list[GivenRow]]:
        """All rows that a table has of some of the view's entities."""
        source, keys = self._contract.source_of(view), self._contract.join_keys(view)
        given: dict[Ids, list[GivenRow]] = {ids: [] for ids in entities}
        if not entities or not isinstance(source, TableSource):
            return given
        self._load(source)
        values = ", ".join(stored_value(source, feature.name) for feature in view.features)
        places = ", ".join([f"({', '.join('?' for _ in keys)})"] * len(entities))
        self._engine.execute(
            f"select {names(*keys)}, {EVENT}, {CREATED}, {values} from {events_of(source)}"
            f" where ({names(*keys)}) in ({places})",
            [value for ids in entities for value in ids],
        )
        for cells in self._engine.fetchall():
            ids, (event, created, *stored) = cells[: len(keys)], cells[len(keys) :]
            given[ids].append(GivenRow(ids, event, created, tuple(stored)))
        return given

    def entity_history(
        self, history: Path, view: FeatureView, start: int, end: int
    ) -> EntityHistory:
        """Published rows of the entities of the span's transactions, some entities at a time.

        A row that is created at `end` or later can win at no moment of the span. Leaving it out
        makes the rows independent of how far the history goes on.
        """
        keys = names(*self._contract.join_keys(view))
        self._select(start, end)
        self._engine.execute(
            f"create or replace temp table {_ENTITIES} as select {keys},"
            f" (row_number() over (order by {keys}) - 1)::bigint as _entity"
            f" from (select distinct {keys} from {_SPAN})"
        )
        rows = self._engine.execute(
            f"select _entity from {_SPAN} join {_ENTITIES} using ({keys}) order by {self._order}"
        ).fetchall()
        entity = np.array([number for (number,) in rows], dtype=np.int64)
        oldest = start - view.temporal_join_lookback
        source = history_relation(self._contract, history, view, oldest, end)
        source = f"select * from ({source}) where _created_us < {end:d}"
        return EntityHistory(entity, self._parts(f"({source}) join {_ENTITIES} using ({keys})"))

    def _parts(self, relation: str) -> Iterator[HistoryPart]:
        rows, total = self._engine.row(
            f"select (select count(*) from {relation}), (select count(*) from {_ENTITIES})"
        )
        parts = max(1, min(total, -(-rows // _PART)))
        for part in range(parts):
            first, after = part * total // parts, (part + 1) * total // parts
            table = self._engine.batches(
                f"select * exclude (_row) from (select * from {relation}"
                f" where _entity >= {first:d} and _entity < {after:d}"
                f" order by _entity, _event_us, _created_us, _row)"
            ).read_all()
            yield HistoryPart(table, first, after, total)

    @property
    def _order(self) -> str:
        """The order of a dataset."""
        return f"_event, {quoted(self._contract.observations_of().id)}"

    def _select(self, start: int, end: int) -> None:
        """Makes the table of the span's transactions."""
        self._engine.execute(
            f"create or replace temp table {_SPAN} as select * from {self._events}"
            f" where {_within(start, end)}"
        )


def _within(start: int, end: int) -> str:
    return f"_event >= {start:d} and _event < {end:d}"
