"""The columns that the contract says a source has, and what they are called in a file."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import replace

from proviso.contracts.base import InputError
from proviso.contracts.contract import Contract, FeatureView
from proviso.contracts.definitions import finest_scale
from proviso.contracts.sources import (
    AskedSource,
    EventsSource,
    KnownAt,
    Label,
    ObservationsSource,
    ObservedRows,
    RowsSource,
    TableSource,
    observed,
)
from proviso.history.duckdb.columns import Kind, SourceColumn
from proviso.history.duckdb.dating import known_column
from proviso.history.duckdb.engine import quoted
from proviso.history.duckdb.tables import table_columns
from proviso.history.values import MAX_MOMENT

EVENT, ARRIVAL = "_event", "_arrival"
"""The engine's names of a row's moments: of the event and its arrival."""


def stated_column(column: str) -> str:
    """The engine's name of the moments that a file states for the values of a late column."""
    return f"_stated_{column}"


def source_columns(
    contract: Contract, source: RowsSource, found: Mapping[str, str], texts: Container[str] = ()
) -> list[SourceColumn]:
    """The columns of a source that a file has, by the file's names and types.

    texts: columns that are text whatever their type in the contract.
    """
    columns = [column for column in columns_of(contract, source) if column.place in found]
    return [replace(c, type=found[c.place], text=c.place in texts) for c in columns]


def columns_of(contract: Contract, source: RowsSource) -> list[SourceColumn]:
    """All columns that a source may have in a file."""
    if isinstance(source, TableSource):
        return table_columns(contract, source)
    label = label_of(contract, source)
    late = source.late_columns
    last_event = MAX_MOMENT - 1 - max((known.delay or 0 for known in late.values()), default=0)
    columns = [
        SourceColumn(source.id, "id", called=source.id_column),
        SourceColumn(EVENT, "moment", latest=last_event, called=source.event_timestamp),
    ]
    dtypes = {entity.join_key: entity.dtype for entity in contract.entities}
    columns += [
        SourceColumn(key, "string" if dtypes[key] == "string" else "integer", called=place)
        for key, place in contract.key_columns(source).items()
    ]
    labels = {label.column} if label else set()
    columns += [_column(contract, source, name) for name in source.columns if name not in labels]
    columns += [_label(source, name) for name in labels]
    if source.arrival_timestamp is not None:
        columns.append(_moments(ARRIVAL, source.arrival_timestamp, may_lack=True))
    return columns + [
        _moments(stated_column(name), known.column, may_lack=known.delay is not None)
        for name, known in late.items()
        if known.column is not None
    ]


def _label(source: AskedSource, name: str) -> SourceColumn:
    return SourceColumn(name, "label", optional=True, called=source.file_column(name))


def _moments(name: str, place: str, *, may_lack: bool) -> SourceColumn:
    return SourceColumn(name, "moment", optional=True, may_lack=may_lack, called=place)


def said_of(source: RowsSource, columns: Sequence[SourceColumn]) -> list[str]:
    """By the engine's names: all that a row says but when it arrived. Copies of it are equal."""
    known = map(known_column, source.late_columns)
    return [*(c.name for c in columns if c.kind != "moment"), EVENT, *known]


def known_moments(source: RowsSource, value: Callable[[str], str]) -> str:
    """SQL columns: from when the value of each late column is known; a null is not known.

    value: the SQL of a column by the engine's name.
    """
    return "".join(
        f", {_known(value, name, known)} as {quoted(known_column(name))}"
        for name, known in source.late_columns.items()
    )


def _known(value: Callable[[str], str], name: str, known: KnownAt) -> str:
    moment = value(stated_column(name))
    if known.delay is not None:
        moment = f"coalesce({moment}, try({EVENT} + {known.delay:d}))"
    return f"case when {value(name)} is not null then {moment} end"


def _column(contract: Contract, source: AskedSource, name: str) -> SourceColumn:
    column = source.columns[name]
    kind: Kind = "text" if column.dtype == "string" else column.dtype
    summed = finest_scale(contract, source.name, name)
    place, optional = source.file_column(name), column.nullable
    return SourceColumn(name, kind, "", column.scale, summed, optional, called=place)


def events_source(contract: Contract, view: FeatureView) -> EventsSource:
    """The source of the events that a view's rows are computed from; a view of a table has none."""
    source = contract.source_of(view)
    if not isinstance(source, EventsSource):
        raise TypeError(f"{view.name}: found the table {source.name}, wanted a source of events")
    return source


def label_of(contract: Contract, source: RowsSource) -> Label | None:
    """What is predicted of a source's rows. Raises InputError where that is two things."""
    observations = [
        found
        for one in contract.sources
        if isinstance(one, ObservationsSource | ObservedRows)
        and (found := observed(contract.sources, one.name)) is not None
        and found.rows.name == source.name
    ]
    labels = {one.label.column: one.label for one in observations}
    if len(labels) > 1:
        several, where = ", ".join(sorted(labels)), f"sources[{source.name}]"
        wanted = "one label of a source's rows"
        raise InputError.of(where, several, wanted, code="sources_unsupported")
    return next(iter(labels.values()), None)
