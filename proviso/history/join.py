"""The point-in-time join: for every transaction the values that could be used at its moment.

The rule is feature_runtime.availability; this is its fast form, held to it by tests/property.
Of each entity's rows in order of visibility only those can ever win that are greater than all
before them; the winner at t is then the last of these visible at t, which is one ASOF join.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from feature_runtime.encode import CLOCK_FUNCTIONS
from proviso.contracts.base import ContractError, InputError, Problem
from proviso.contracts.contract import Contract, FeatureView, RequestFeature
from proviso.contracts.files import replacing
from proviso.history.engine import (
    DEFAULT_MEMORY,
    Engine,
    EngineError,
    connect,
    names,
    quoted,
)
from proviso.history.relation import history_relation, stored_rows
from proviso.history.transactions import EVENTS, load_transactions

SCORING = "scoring_ts"
LABEL = "label"
LABEL_KNOWN = "label_known_at"
_ABOVE_CREATED = 2**62  # (event_ts, created_ts) as one number that compares like the pair

# Rows greater than all that are visible before them or with them; of equal ones the first.
_LADDER = """
select _entity, event_us, created_us, _row, _visible from candidates
qualify coalesce(_order > max(_order) over (partition by _entity order by _visible, _order desc,
  _row rows between unbounded preceding and 1 preceding), true)"""

# Rows that repeat the times of an earlier one of their entity with other values.
_CONFLICTS = """
with repeated as (select _entity, _order from candidates group by all
  having min(_values) <> max(_values))
select count(*) from (select _values <> first_value(_values)
  over (partition by _entity, _order order by _row) as _differs
  from candidates semi join repeated using (_entity, _order)) where _differs"""

LeftOut = Sequence[tuple[str, int]]
"""(view, event_ts) of runs to be ignored."""


@dataclass(frozen=True)
class Span:
    """Scoring moments with start <= t < end."""

    start: int
    end: int


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
    """What `build_dataset` wrote."""

    path: Path
    rows: int
    views: tuple[ViewJoin, ...]


def build_dataset(
    contract: Contract,
    history: Path,
    transactions: Path,
    start: int,
    end: int,
    out: Path,
    views: Sequence[str] | None = None,
    left_out: LeftOut = (),
    memory: str = DEFAULT_MEMORY,
) -> DatasetSummary:
    """Writes one row per transaction of [start, end), sorted by moment and id, all or nothing.

    views: names; by default all of the contract. left_out: runs that are ignored, as if they had
    not been published. The winner is given as stored, also when STALE; policies are the
    encoder's. A label is given whenever it is known: who uses it must respect `label_known_at`.
    Raises InputError.
    """
    if start >= end:
        raise InputError.of("start, end", f"{start} and {end}", "a start before the end")
    chosen = [v for v in contract.feature_views if views is None or v.name in views]
    request_features = _request_features(contract)
    try:
        with connect(memory) as engine:
            load_transactions(engine, contract, transactions, start, end)
            engine.execute(
                f"create temp table asked as select *, row_number() over"
                f" (order by _event, {quoted(contract.source.id)}) as _transaction from {EVENTS}"
            )
            span = Span(start, end)
            joined = tuple(_join(engine, contract, history, v, span, left_out) for v in chosen)
            reader = engine.batches(_dataset(contract, history, chosen, span))
            rows = _write(reader, contract, request_features, out)
    except EngineError as error:
        raise InputError.of(history, str(error), "history that can be read") from error
    return DatasetSummary(out, rows, joined)


def _join(
    engine: Engine,
    contract: Contract,
    history: Path,
    view: FeatureView,
    span: Span,
    left_out: LeftOut,
) -> ViewJoin:
    """Makes the view's table of winners: a transaction's `_row`, its times and the status."""
    _make_candidates(engine, contract, history, view, span, left_out)
    keys = names(*contract.join_keys(view))
    usable = f"r.event_us >= t._event - {view.temporal_join_lookback:d}"
    engine.execute(
        f"create temp table {_winners(view)} as select t._transaction,"
        f" case when {usable} then r.event_us end as event_us,"
        f" case when {usable} then r.created_us end as created_us,"
        f" case when {usable} then r._row end as _row,"
        f" case when ({usable}) is not true then 'MISSING_KEY'"
        f" when t._event - r.event_us > {view.online_ttl:d} then 'STALE' else 'OK' end as _status"
        f" from (select _transaction, _event, _entity from asked join entities using ({keys})) t"
        f" asof left join ({_LADDER}) r on t._entity = r._entity and t._event >= r._visible"
    )
    counted = f"select _status, count(*) from {_winners(view)} group by 1 order by 1"
    statuses = dict(engine.execute(counted).fetchall())
    return ViewJoin(view.name, statuses, int(engine.row(_CONFLICTS)[0]))


def _make_candidates(
    engine: Engine,
    contract: Contract,
    history: Path,
    view: FeatureView,
    span: Span,
    left_out: LeftOut,
) -> None:
    """The rows that can win for some transaction of the span, values only as a hash."""
    keys = names(*contract.join_keys(view))
    engine.execute(
        f"create or replace temp table entities as select {keys},"
        f" (row_number() over ())::integer as _entity from (select distinct {keys} from asked)"
    )
    oldest = span.start - view.temporal_join_lookback
    source = history_relation(contract, history, view, oldest, span.end)
    skipped = ", ".join(f"{run:d}" for name, run in left_out if name == view.name)
    kept = f"event_us not in ({skipped})" if skipped else "true"
    engine.execute(
        f"create or replace temp table candidates as select _entity, event_us, created_us, _row,"
        f" greatest(event_us + {view.source_delay:d}, created_us) as _visible,"
        f" event_us::hugeint * {_ABOVE_CREATED} + created_us as _order,"
        f" hash({names(*(f.name for f in view.features))}) as _values"
        f" from ({source}) join entities using ({keys}) where {kept}"
    )


def _dataset(contract: Contract, history: Path, views: Sequence[FeatureView], span: Span) -> str:
    """The query of the whole dataset but the request features."""
    source = contract.source
    keys = names(*(entity.join_key for entity in contract.entities), of="t")
    fields = "".join(
        f", t.{quoted(name)}::double / {10**column.scale} as {quoted(name)}"
        for name, column in source.columns.items()
    )
    columns = "".join(_view_columns(view) for view in views)
    joins = "".join(
        f" join {_winners(v)} {quoted(f'w_{v.name}')} using (_transaction) left join"
        f" ({stored_rows(contract, history, v, span.start - v.temporal_join_lookback, span.end)})"
        f" {quoted(v.name)} on {quoted(v.name)}._row = {quoted(f'w_{v.name}')}._row"
        for v in views
    )
    return (
        f"select t.{quoted(source.id)}, make_timestamptz(t._event) as {SCORING}, {keys},"
        f" t.{quoted(source.label.column)}::tinyint as {LABEL},"
        f" make_timestamptz(t._label_known) as {LABEL_KNOWN}{fields}{columns}"
        f" from asked t{joins} order by t._transaction"
    )


def _view_columns(view: FeatureView) -> str:
    winner = quoted(f"w_{view.name}")
    features = "".join(
        f", {quoted(view.name)}.{quoted(f.name)} as {quoted(f'{view.name}__{f.name}')}"
        for f in view.features
    )
    return (
        f"{features}, make_timestamptz({winner}.event_us) as {quoted(f'{view.name}__event_ts')},"
        f" make_timestamptz({winner}.created_us) as {quoted(f'{view.name}__created_ts')},"
        f" {winner}._status as {quoted(f'{view.name}__status')}"
    )


def _winners(view: FeatureView) -> str:
    return quoted(f"_winners_{view.name}")


def _request_features(contract: Contract) -> list[RequestFeature]:
    """The request features of all services that are not fields; one name means one thing."""
    found: dict[str, RequestFeature] = {}
    for service in contract.feature_services:
        for feature in service.request_features:
            known = found.setdefault(feature.name, feature)
            if (known.function, known.field) != (feature.function, feature.field):
                path = f"feature_services[{service.name}].request_features[{feature.name}]"
                wanted = f"{known.function} of {known.field}, as in another service"
                raise ContractError(
                    [Problem(path, f"{feature.function} of {feature.field}", wanted)]
                )
    return [feature for feature in found.values() if feature.name != feature.field]


def _write(
    reader: pa.RecordBatchReader,
    contract: Contract,
    request_features: Sequence[RequestFeature],
    out: Path,
) -> int:
    """Writes the batches with the request features put after the fields; returns the rows."""
    place = len(contract.entities) + len(contract.source.columns) + 4
    schema = reader.schema
    for i, feature in enumerate(request_features):
        schema = schema.insert(place + i, pa.field(feature.name, pa.float64()))
    rows = 0
    with replacing(out) as temporary, pq.ParquetWriter(temporary, schema) as writer:
        for batch in reader:
            columns = list(batch.columns)
            columns[place:place] = [_request_column(f, batch) for f in request_features]
            writer.write_batch(pa.record_batch(columns, schema=schema))
            rows += batch.num_rows
    return rows


def _request_column(feature: RequestFeature, batch: pa.RecordBatch) -> pa.Array:
    if feature.field is not None:
        return batch.column(feature.field)
    at = batch.column(SCORING).cast(pa.int64()).to_numpy(zero_copy_only=False)
    return pa.array(CLOCK_FUNCTIONS[feature.function](np.asarray(at, dtype=np.int64)))
