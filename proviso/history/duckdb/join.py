"""The point-in-time join: for every transaction the values that could be used at its moment.

The rule is feature_runtime.core.availability; this is its fast form, held to it by tests/property.
A view's rows stream past the transactions (`asof`), which keep the numbers of the winning rows;
only then are the winners' values read, once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from feature_runtime.core.moments import format_moment
from feature_runtime.core.service import view_column
from proviso.contracts.base import ContractError, InputError, Problem
from proviso.contracts.contract import Contract, FeatureView
from proviso.contracts.feature_service import RequestFeature
from proviso.contracts.files import replacing
from proviso.contracts.sources import Column
from proviso.history.arrow import as_arrow, as_numpy
from proviso.history.asof import (
    AsOfState,
    DuplicateFinder,
    FeatureRows,
    SuspectedDuplicates,
    Winners,
)
from proviso.history.duckdb.dating import known_column
from proviso.history.duckdb.engine import Engine, EngineError, connect, names, quoted
from proviso.history.duckdb.fields import field_value
from proviso.history.duckdb.relation import history_relation, stored_rows
from proviso.history.duckdb.transactions import events_of, load_transactions
from proviso.history.files import LABEL, LABEL_KNOWN, SCORING, check_history, history_file
from proviso.history.request_columns import RequestColumns
from proviso.history.values import DEFAULT_MEMORY, DatasetSummary, LeftOut, ViewJoin

LABEL_ROWS = "_label_rows"
"""The view of the transactions to be joined: those of `_events`, numbered by `_transaction`."""

_STREAMED = ("_entity", "_visible", "_event_us", "_created_us", "_row")
_BATCH = 262_144  # rows of a history that are assigned at a time
_AT_ONCE = 4_000_000  # label rows that are held in memory, at about 60 bytes each

# Rows that repeat the times of an earlier one of their entity with other values.
_CONFLICTS = """
with _candidates as ({candidates}),
_repeated as (select _entity, _event_us, _created_us from _candidates group by all
  having min(_values) <> max(_values))
select count(*) from (select _values <> first_value(_values)
  over (partition by _entity, _event_us, _created_us order by _row) as _differs
  from _candidates semi join _repeated using (_entity, _event_us, _created_us)) where _differs"""


@dataclass(frozen=True)
class Span:
    """Scoring moments with start <= t < end. Raises InputError when that is none."""

    start: int
    end: int

    def __post_init__(self) -> None:
        if self.start >= self.end:
            found = f"{format_moment(self.start)} and {format_moment(self.end)}"
            wanted = "a start before the end"
            raise InputError.of("--start, --end", found, wanted, code="span_empty")


def build_dataset(
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
    """Writes one row per transaction of [start, end), sorted by moment and id, all or nothing.

    views: names; by default all of the contract. left_out: runs that are ignored, as if they had
    not been published. request_features: whether to write those that are computed from fields and
    moment, which the encoder computes itself. The winner is given as stored, also when STALE;
    policies are the encoder's. A label is given whenever it is known: training must respect
    `label_known_at`. Raises InputError.
    """
    join = Join(contract, history, Span(start, end), out, left_out, request_features)
    with connect(memory) as engine:
        table = events_of(contract.observations_of().rows)
        loaded = load_transactions(engine, contract, transactions, start, end)
        engine.execute(
            f"create temp view {LABEL_ROWS} as select *, rowid as _transaction from {table}"
        )
        return replace(join.write(engine, views), quarantined=loaded.quarantined)


@dataclass(frozen=True)
class Join:
    """A dataset to be written from the view `_label_rows`, which holds the span's transactions.

    Raises ContractError when one name stands for two request features.
    """

    contract: Contract
    history: Path
    span: Span
    out: Path
    left_out: LeftOut = ()
    request_features: bool = True

    def __post_init__(self) -> None:
        _request_features(self.contract)

    def write(self, engine: Engine, views: Sequence[str] | None) -> DatasetSummary:
        """Joins and writes, all or nothing. Raises InputError."""
        contract, history, span = self.contract, self.history, self.span
        chosen = [v for v in contract.feature_views if views is None or v.name in views]
        request_features = _request_features(contract) if self.request_features else []
        try:
            sources = [_Source(contract, history, view, self.left_out) for view in chosen]
            joined = tuple(_join(engine, source, span) for source in sources)
            with engine.batches(_dataset(contract, history, chosen, span)) as reader:
                rows = _write(reader, contract, request_features, self.out)
        except EngineError as error:
            wanted = "feature history that can be read"
            raise InputError.of(history, str(error), wanted, code="history_unreadable") from error
        finally:
            engine.execute("drop table if exists _entities")
        return DatasetSummary(self.out, rows, joined)


@dataclass(frozen=True)
class _Source:
    """A view's rows, as published and without what is left out."""

    contract: Contract
    history: Path
    view: FeatureView
    left_out: LeftOut

    @property
    def keys(self) -> str:
        return names(*self.contract.join_keys(self.view))

    def query(self, span: Span, columns: str) -> str:
        """Rows of numbered entities that can win at some moment of the span."""
        oldest = span.start - self.view.temporal_join_lookback
        rows = history_relation(self.contract, self.history, self.view, oldest, span.end)
        runs = ", ".join(f"{run:d}" for name, run in self.left_out if name == self.view.name)
        return (
            f"select _entity, _event_us, _created_us, _row, {columns} from ({rows})"
            f" join _entities using ({self.keys})"
            f"{f' where _event_us not in ({runs})' if runs else ''}"
        )


def _join(engine: Engine, source: _Source, span: Span) -> ViewJoin:
    """Makes the view's table of winners: a transaction's `_row`, its times and the status."""
    check_history(source.contract, history_file(source.history, source.view), source.view)
    engine.execute(
        f"create or replace temp table _entities as select {source.keys},"
        f" row_number() over (order by {source.keys}) - 1 as _entity"
        f" from (select distinct {source.keys} from {LABEL_ROWS})"
    )
    winners = _winners(source.view)
    engine.execute(
        f"create or replace temp table {winners} (_transaction bigint, _event_us bigint,"
        f" _created_us bigint, _row bigint, _status varchar)"
    )
    (numbers,) = engine.row(f"select coalesce(max(_transaction) + 1, 0) from {LABEL_ROWS}")
    suspected = [
        _find_winners(engine, source, first, first + _AT_ONCE)
        for first in range(0, numbers, _AT_ONCE)
    ]
    counted = f"select _status, count(*) from {winners} group by 1 order by 1"
    statuses = dict(engine.execute(counted).fetchall())
    return ViewJoin(source.view.name, statuses, _conflicts(engine, source, span, suspected))


def _find_winners(engine: Engine, source: _Source, first: int, end: int) -> SuspectedDuplicates:
    """Finds the winners of the transactions first <= number < end."""
    labels = engine.batches(
        f"select _entity, _event, _transaction from {LABEL_ROWS} join _entities"
        f" using ({source.keys}) where _transaction >= {first:d} and _transaction < {end:d}"
        f" order by _entity, _event"
    ).read_all()
    entity, moment = (as_numpy(labels[name]) for name in ("_entity", "_event"))
    (entities,) = engine.row("select count(*) from _entities")
    state, duplicates = AsOfState(entity, moment, entities), DuplicateFinder()
    span = Span(int(moment.min()), int(moment.max()) + 1)
    visible = f"greatest(_event_us + {source.view.source_delay:d}, _created_us) as _visible"
    for batch in engine.batches(source.query(span, visible), _BATCH):
        rows = FeatureRows(*(as_numpy(batch.column(name)) for name in _STREAMED))
        state.assign(rows)
        duplicates.see(rows)
    _keep_winners(engine, source.view, labels, state.winners())
    return duplicates.suspected()


def _keep_winners(engine: Engine, view: FeatureView, labels: pa.Table, winners: Winners) -> None:
    """Adds rows to the view's table of winners, judged by its lookback and its TTL."""
    for name, values in winners._asdict().items():
        labels = labels.append_column(name, as_arrow(values))
    engine.lend("_found", labels)
    usable = f"event >= _event - {view.temporal_join_lookback:d}"  # NEVER is long ago
    engine.execute(
        f"insert into {_winners(view)} select _transaction, case when {usable} then event end,"
        f" case when {usable} then created end, case when {usable} then row end,"
        f" case when not {usable} then 'MISSING_KEY'"
        f" when _event - event > {view.online_ttl:d} then 'STALE' else 'OK' end from _found"
    )


def _conflicts(
    engine: Engine, source: _Source, span: Span, suspected: Sequence[SuspectedDuplicates]
) -> int:
    """How many of the suspected rows repeat another's times with other values."""
    values = f"hash({names(*(f.name for f in source.view.features))}) as _values"
    candidates = source.query(span, values)
    if not any(one.all for one in suspected):
        if not any(len(one.event) for one in suspected):
            return 0
        arrays = [as_arrow(np.concatenate([one[i] for one in suspected])) for i in (1, 2)]
        engine.lend("_suspected", pa.Table.from_arrays(arrays, names=["_event_us", "_entity"]))
        candidates = f"from ({candidates}) semi join _suspected using (_entity, _event_us)"
    return int(engine.row(_CONFLICTS.format(candidates=candidates))[0])


def _dataset(contract: Contract, history: Path, views: Sequence[FeatureView], span: Span) -> str:
    """The query of the whole dataset but the request features."""
    source = contract.observations_of()
    known = quoted(known_column(source.label.column))
    keys = names(*contract.key_columns(source.rows), of="_t")
    fields = "".join(
        f", {field_value(f'_t.{quoted(name)}', column)} as {quoted(name)}"
        for name, column in _asked(contract).items()
    )
    columns = "".join(_view_columns(view) for view in views)
    joins = "".join(
        f" join {_winners(v)} using (_transaction) left join"
        f" ({stored_rows(contract, history, v, span.start - v.temporal_join_lookback, span.end)})"
        f" {_values(v)} on {_values(v)}._row = {_winners(v)}._row"
        for v in views
    )
    return (
        f"select _t.{quoted(source.id)}, make_timestamptz(_t._event) as {SCORING}, {keys},"
        f" _t.{quoted(source.label.column)}::tinyint as {LABEL},"
        f" make_timestamptz(_t.{known}) as {LABEL_KNOWN}{fields}{columns}"
        f" from {LABEL_ROWS} _t{joins} order by _t._event, _t.{quoted(source.id)}"
    )


def _asked(contract: Contract) -> dict[str, Column]:
    """The columns that are known when a row is asked for."""
    columns = contract.observations_of().columns
    return {name: column for name, column in columns.items() if column.known_at is None}


def _view_columns(view: FeatureView) -> str:
    winner = _winners(view)
    features = "".join(
        f", {_values(view)}.{quoted(f.name)} as {quoted(view_column(view.name, f.name))}"
        for f in view.features
    )
    return (
        f"{features}, make_timestamptz({winner}._event_us) as {quoted(f'{view.name}__event_ts')},"
        f" make_timestamptz({winner}._created_us) as {quoted(f'{view.name}__created_ts')},"
        f" {winner}._status as {quoted(f'{view.name}__status')}"
    )


def _winners(view: FeatureView) -> str:
    return quoted(f"_winners_{view.name}")


def _values(view: FeatureView) -> str:
    return quoted(f"_values_{view.name}")


def _request_features(contract: Contract) -> list[RequestFeature]:
    """The request features of all services that are not fields; one name means one thing."""
    found: dict[str, RequestFeature] = {}
    for service in contract.feature_services:
        for feature in service.request_features:
            known = found.setdefault(feature.name, feature)
            if (known.function, known.columns) != (feature.function, feature.columns):
                path = f"feature_services[{service.name}].request_features[{feature.name}]"
                wanted = f"{known.function} of {known.columns}, as in another service"
                actual = f"{feature.function} of {feature.columns}"
                code = "request_feature_ambiguous"
                raise ContractError([Problem(path, actual, wanted, code=code)])
    return [feature for feature in found.values() if feature.name != feature.field]


def _write(
    reader: pa.RecordBatchReader,
    contract: Contract,
    request_features: Sequence[RequestFeature],
    out: Path,
) -> int:
    """Writes the batches with the request features put after the fields; returns the rows."""
    rows = contract.observations_of().rows
    place = len(rows.entities) + len(_asked(contract)) + 4
    schema, computed = reader.schema, RequestColumns(contract, request_features)
    for i, field in enumerate(computed.fields(reader.schema)):
        schema = schema.insert(place + i, field)
    count = 0
    with replacing(out) as temporary, pq.ParquetWriter(temporary, schema) as writer:
        for batch in reader:
            columns = list(batch.columns)
            columns[place:place] = computed.of(batch)
            writer.write_batch(pa.record_batch(columns, schema=schema))
            count += batch.num_rows
    return count
