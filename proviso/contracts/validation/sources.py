"""First check, the sources: what a contract needs so that its views and services have rows."""

from __future__ import annotations

from collections.abc import Iterator

from proviso.contracts.base import Problem
from proviso.contracts.contract import Contract
from proviso.contracts.paths import in_contract, listed, of_service, of_view, repeated
from proviso.contracts.sources import (
    EventsSource,
    ObservationsSource,
    ObservedRows,
    RowsSource,
    TableSource,
    rows_source,
)
from proviso.contracts.validation.columns import column_problems
from proviso.contracts.validation.views import entity_problems


def unusable(contract: Contract) -> Iterator[Problem]:
    """What no command can compute with: rows without a source or a key, columns of one name."""
    problems = [*unresolved(contract)]
    yield from problems or column_problems(contract)


def unresolved(contract: Contract) -> Iterator[Problem]:
    """Names that stand for nothing: of entities, sources, observations and labels."""
    names = [source.name for source in contract.sources]
    yield from repeated(in_contract("sources"), names, "one name would stand for two things")
    for source in contract.sources:
        if isinstance(source, ObservedRows):
            yield from _rows_of(contract, source)
        else:
            yield from _entities(contract, source)
        if isinstance(source, ObservedRows | ObservationsSource):
            yield from _label(contract, source)
    for view in contract.feature_views:
        yield from entity_problems(contract, view)
        yield from _view_source(contract, view.source, of_view(view, "source"))
    for service in contract.feature_services:
        place = of_service(service, "observations")
        yield from _observations(contract, service.observations, place)


def _rows_of(contract: Contract, source: ObservedRows) -> Iterator[Problem]:
    events = [one.name for one in contract.sources if isinstance(one, EventsSource)]
    if source.rows_of not in events:
        place = in_contract(f"sources[{source.name}].rows_of")
        wanted = f"an events source, one of {listed(events)}"
        yield Problem(place, source.rows_of, wanted, code="source_unknown")


def _entities(contract: Contract, source: RowsSource) -> Iterator[Problem]:
    place = in_contract(f"sources[{source.name}]")
    for name in source.entities:
        if name not in contract.entity_by_name:
            wanted = f"one of {listed(contract.entity_by_name)}"
            yield Problem(f"{place}.entities", name, wanted, code="entity_unknown")
    for name in source.keys:
        if name not in source.entities:
            wanted = f"one of the source's entities {listed(source.entities)}"
            yield Problem(f"{place}.keys.{name}", name, wanted, code="entity_unknown")


def _label(contract: Contract, source: ObservedRows | ObservationsSource) -> Iterator[Problem]:
    name = source.rows_of if isinstance(source, ObservedRows) else source.name
    rows = contract.source_by_name.get(name)
    if rows is None or isinstance(rows, ObservedRows):
        return
    place, column = in_contract(f"sources[{source.name}].label"), rows.columns.get(source.label)
    if column is None:
        wanted = f"one of the columns {listed(rows.columns)}"
        yield Problem(place, source.label, wanted, code="label_unknown")
    elif column.known_at is None:
        why = "training may use a label only once it is known"
        place = in_contract(f"sources[{rows.name}].columns.{source.label}.known_at")
        yield Problem(place, "nothing", "a column, a delay, or both", why, "label_known_at_missing")


def _view_source(contract: Contract, name: str | None, place: str) -> Iterator[Problem]:
    if rows_source(contract.sources, name) is None:
        known = [s.name for s in contract.sources if isinstance(s, EventsSource | TableSource)]
        found = "nothing" if name is None else name
        wanted = f"a source of events or of a table, one of {listed(known)}"
        why = "" if name else "only the contract's single events source may be left out"
        yield Problem(place, found, wanted, why, "view_source_unknown")


def _observations(contract: Contract, name: str | None, place: str) -> Iterator[Problem]:
    known = [s.name for s in contract.sources if isinstance(s, ObservationsSource | ObservedRows)]
    if name not in known and (name is not None or len(known) != 1):
        found = "nothing" if name is None else name
        wanted = f"a source of observations, one of {listed(known)}"
        why = "" if name else "only the contract's single source of observations may be left out"
        yield Problem(place, found, wanted, why, "observations_unknown")


def columns_repeated(contract: Contract) -> Iterator[Problem]:
    """Columns of a source's file that have two meanings."""
    for source in contract.sources:
        if isinstance(source, ObservedRows):
            continue
        ids = [] if isinstance(source, TableSource) else [source.id_column or source.id]
        columns = [*ids, source.event_timestamp, *_other_moments(source)]
        columns += [source.file_column(name) for name in source.columns]
        columns += contract.key_columns(source).values()
        why = "one column would have two meanings"
        yield from repeated(in_contract(f"sources[{source.name}]"), columns, why)


def _other_moments(source: RowsSource) -> list[str]:
    """Columns of the file with moments: of arrival, of creation, of late values."""
    if isinstance(source, TableSource):
        other: str | None = source.created_timestamp
    else:
        other = source.arrival_timestamp
    declared = {source.file_column(name) for name in source.columns}
    known = {known.column for known in source.late_columns.values() if known.column}
    return [*([other] if other else []), *sorted(known - declared)]


def source_problems(contract: Contract) -> Iterator[Problem]:
    """What is wrong with the columns of each source."""
    for source in contract.sources:
        if not isinstance(source, ObservedRows):
            yield from _scales(source)


def _scales(source: RowsSource) -> Iterator[Problem]:
    for name, column in source.columns.items():
        if column.dtype != "money" and column.scale:
            place = in_contract(f"sources[{source.name}].columns.{name}.scale")
            found, why = f"{column.scale} of {column.dtype}", "only money has minor units"
            yield Problem(place, found, "no scale", why, "scale_not_money")
