"""Rows of `table` sources: loaded as the contract types them, and made into rows of a history.

Nothing is computed of them. A row's event time and values are the table's; the moment from which it
may be read is planned from its created time, as the view is published (docs/time.md).
"""

from __future__ import annotations

from collections.abc import Iterator

from proviso.contracts.base import Problem
from proviso.contracts.contract import Contract, FeatureView, Scheduled
from proviso.contracts.publication import publishing_takes
from proviso.contracts.sources import Column, RowsSource, TableSource
from proviso.history.duckdb.columns import Kind, SourceColumn
from proviso.history.duckdb.engine import Engine, names, quoted

EVENT, CREATED = "_event", "_arrival"
"""The engine's names of a row's event time, and of its created time: a row of a table arrives when
it is created."""
_PLANNED = "_planned"


def table_columns(contract: Contract, source: TableSource) -> list[SourceColumn]:
    """The columns that a table must have."""
    dtypes = {entity.join_key: entity.dtype for entity in contract.entities}
    keys = contract.key_columns(source).items()
    return [
        SourceColumn(EVENT, "moment", called=source.event_timestamp),
        SourceColumn(CREATED, "moment", called=source.created_timestamp),
        *(SourceColumn(k, _key_kind(dtypes[k]), called=place) for k, place in keys),
        *(_column(source, name, column) for name, column in source.columns.items()),
    ]


def _key_kind(dtype: str) -> Kind:
    return "string" if dtype == "string" else "integer"


def _column(source: TableSource, name: str, column: Column) -> SourceColumn:
    kind: Kind = "text" if column.dtype == "string" else column.dtype
    place = source.file_column(name)
    return SourceColumn(name, kind, "", column.scale, None, column.nullable, called=place)


def settled(
    engine: Engine, contract: Contract, source: TableSource, table: str, shown: str
) -> Iterator[Problem]:
    """Leaves each of some equal rows once; a problem where rows of the same times differ."""
    engine.execute(f"create or replace temp table {table} as select distinct * from {table}")
    keys = names(*contract.key_columns(source))
    times = f"{keys}, {EVENT}, {CREATED}"
    count, example = engine.row(
        f"select count(*), min({row_name(contract, source)})"
        f" from (select {times} from {table} group by {times} having count(*) > 1)"
    )
    if count:
        found = f"rows with other values at {count} keys and times (such as {str(example)[:60]})"
        wanted = "one row for each entity, event time and created time"
        why = "which of them was true cannot be told: a correction is created later"
        yield Problem(shown, found, wanted, why, "table_rows_contradict")


def row_name(contract: Contract, source: TableSource) -> str:
    """A row's keys as one text in SQL."""
    parts = ", ".join(f"{quoted(key)}::varchar" for key in contract.key_columns(source))
    return f"concat_ws(', ', {parts})"


def table_rows(contract: Contract, view: FeatureView, table: str, condition: str) -> str:
    """The rows of a view's history that the loaded rows make, in no order.

    condition: of `_event` and `_arrival`. Of the rows of one event time that are published together
    the last created counts: the others could never be read.
    """
    keys, source = contract.join_keys(view), contract.source_of(view)
    features = "".join(f", {stored_value(source, feature.name)}" for feature in view.features)
    return (
        f"select {names(*keys)}, make_timestamptz({EVENT}) as event_ts,"
        f" make_timestamptz({_PLANNED}) as created_ts{features}"
        f" from (select *, {_planned(view)} as {_PLANNED} from {table} where {condition})"
        f" qualify row_number() over (partition by {names(*keys)}, {EVENT}, {_PLANNED}"
        f" order by {CREATED} desc) = 1"
    )


def newest_rows(contract: Contract, view: FeatureView, table: str, condition: str) -> str:
    """Of the rows that meet a condition the last created of each entity and event time."""
    keys = names(*contract.join_keys(view))
    latest = (
        f"select * from {table} where {condition} qualify row_number()"
        f" over (partition by {keys}, {EVENT} order by {CREATED} desc) = 1"
    )
    return table_rows(contract, view, f"({latest})", "true")


def _planned(view: FeatureView) -> str:
    """From when a row may be read: it is published once it is there and its moment has come, by
    the first run that can know it, or on event."""
    takes = publishing_takes(view)
    if not isinstance(view.publication, Scheduled):
        return f"greatest({EVENT}, {CREATED}) + {takes:d}"
    every, known = view.publication.schedule, f"{CREATED} - {view.source_delay:d}"
    run = f"((greatest({EVENT}, {known}) + {every - 1:d}) // {every:d}) * {every:d}"
    return f"{run} + {view.source_delay + takes:d}"


def stored_value(source: RowsSource, name: str) -> str:
    """A column as the history has it: money in major units."""
    value, column = quoted(name), source.columns[name]
    if column.dtype == "money":
        return f"{value}::double / {10**column.scale} as {value}"
    return f"{value}::double as {value}" if column.dtype == "float64" else value
