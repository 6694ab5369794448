"""The columns that the contract says a source has, and what they are called in a file."""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import replace

from proviso.contracts.base import InputError
from proviso.contracts.contract import Contract, FeatureView
from proviso.contracts.definitions import finest_scale
from proviso.contracts.sources import (
    AskedSource,
    EventsSource,
    Label,
    ObservationsSource,
    ObservedRows,
    RowsSource,
    TableSource,
    observed,
)
from proviso.history.duckdb.columns import Kind, SourceColumn
from proviso.history.duckdb.tables import table_columns
from proviso.history.values import MAX_MOMENT

EVENT, ARRIVAL, LABEL_STATED = "_event", "_arrival", "_label_stated"
"""The engine's names of a row's moments: of the event, its arrival, and its label's own."""


def source_columns(
    contract: Contract, source: RowsSource, found: Mapping[str, str], texts: Container[str] = ()
) -> list[SourceColumn]:
    """The columns of a source that a file has, by the file's names and types.

    texts: columns that are text whatever their type in the contract.
    """
    columns = [column for column in columns_of(contract, source) if column.place in found]
    return [replace(c, type=found[c.place], text=c.place in texts) for c in columns]


def columns_of(contract: Contract, source: RowsSource) -> list[SourceColumn]:
    """All columns that a source may have in a file. Late ones are left out, but for the label."""
    if isinstance(source, TableSource):
        return table_columns(contract, source)
    label = label_of(contract, source)
    last_event = MAX_MOMENT - 1 - (label.delay if label else 0)
    columns = [
        SourceColumn(source.id, "id", called=source.id_column),
        SourceColumn(EVENT, "moment", latest=last_event, called=source.event_timestamp),
    ]
    dtypes = {entity.join_key: entity.dtype for entity in contract.entities}
    columns += [
        SourceColumn(key, "string" if dtypes[key] == "string" else "integer", called=place)
        for key, place in contract.key_columns(source).items()
    ]
    columns += [
        _column(contract, source, name)
        for name, column in source.columns.items()
        if column.known_at is None
    ]
    moments = {ARRIVAL: source.arrival_timestamp}
    if label is not None:
        place = source.file_column(label.column)
        columns.append(SourceColumn(label.column, "label", optional=True, called=place))
        moments[LABEL_STATED] = label.known_at
    return columns + [
        SourceColumn(name, "moment", optional=True, may_lack=True, called=place)
        for name, place in moments.items()
        if place is not None
    ]


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
