"""The sources of a contract as the catalogue shows them: place, moments, columns, readers. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from proviso.catalog.durations import lasting
from proviso.contracts.contract import Contract
from proviso.contracts.definitions import labels
from proviso.contracts.sources import (
    Column,
    KnownAt,
    ObservationsSource,
    ObservedRows,
    RowsSource,
    TableSource,
)

_KINDS = {
    "events": "what happened",
    "table": "features that another program computed",
    "observations": "what is predicted, and when it is asked",
}


@dataclass(frozen=True)
class SourceColumn:
    """A column of a source. known: from when its value may be used. label: whether it is one."""

    name: str
    type: str
    known: str
    description: str
    label: bool


@dataclass(frozen=True)
class SourceEntry:
    """A source. facts: terms and what they are. views: those that are computed from its rows."""

    name: str
    kind: str
    said: str
    description: str
    facts: tuple[tuple[str, str], ...]
    columns: tuple[SourceColumn, ...]
    views: tuple[str, ...]


def source_entries(contract: Contract) -> tuple[SourceEntry, ...]:
    """All sources in the contract's order."""
    return tuple(
        _observed(source) if isinstance(source, ObservedRows) else _rows(contract, source)
        for source in contract.sources
    )


def _observed(source: ObservedRows) -> SourceEntry:
    facts = (("Rows of", source.rows_of), ("Label", source.label))
    said = _KINDS["observations"]
    return SourceEntry(source.name, source.kind, said, source.description or "", facts, (), ())


def _rows(contract: Contract, source: RowsSource) -> SourceEntry:
    of_label = labels(contract, source.name)
    columns = tuple(
        SourceColumn(name, _type(c), _known(source, c), c.description or "", name in of_label)
        for name, c in source.columns.items()
    )
    views = tuple(
        view.name for view in contract.feature_views if contract.source_of(view) is source
    )
    said = _KINDS[source.kind]
    facts = tuple(_facts(contract, source))
    return SourceEntry(
        source.name, source.kind, said, source.description or "", facts, columns, views
    )


def _facts(contract: Contract, source: RowsSource) -> Iterator[tuple[str, str]]:
    yield "Place", source.location.shown if source.location else "what a command states"
    if isinstance(source, TableSource):
        yield "True from", source.event_timestamp
        yield "Readable from", source.created_timestamp
    else:
        yield "Id", source.id_column or source.id
        asked = isinstance(source, ObservationsSource)
        yield "Asked at" if asked else "Happened at", source.event_timestamp
        yield "Arrived at", source.arrival_timestamp or "the same moment"
    if isinstance(source, ObservationsSource):
        yield "Label", source.label
    keys = contract.key_columns(source)
    entities = zip(source.entities, keys.values(), strict=True)
    yield "Keys", ", ".join(f"{column} ({entity})" for entity, column in entities)


def _type(column: Column) -> str:
    scale = f", {column.scale} decimals" if column.dtype == "money" else ""
    return f"{column.dtype}{scale}{', may be null' if column.nullable else ''}"


def _known(source: RowsSource, column: Column) -> str:
    if column.known_at is None:
        return "when created" if isinstance(source, TableSource) else "with the row"
    return _late(column.known_at)


def _late(known: KnownAt) -> str:
    after = None if known.delay is None else f"{lasting(known.delay) or '0 s'} after the row"
    return ", else ".join(part for part in (known.column and f"at {known.column}", after) if part)
