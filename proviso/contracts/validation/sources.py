"""First check, the sources: what a contract needs so that its views and services have rows."""

from __future__ import annotations

from collections.abc import Iterator

from feature_runtime.core.zones import ZoneError, zone
from proviso.contracts.base import Problem
from proviso.contracts.contract import Contract
from proviso.contracts.paths import in_contract, listed, of_service, of_view, repeated
from proviso.contracts.sources import (
    Column,
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
    rows = contract.source_by_name.get(_rows_name(source))
    observed = isinstance(source, ObservedRows) and not isinstance(rows, EventsSource)
    if rows is None or observed or isinstance(rows, ObservedRows):
        return
    place, column = in_contract(f"sources[{source.name}].label"), rows.columns.get(source.label)
    if column is None:
        wanted = f"one of the columns {listed(rows.columns)}"
        yield Problem(place, source.label, wanted, code="label_unknown")
    elif column.known_at is None:
        why = "training may use a label only once it is known"
        place = in_contract(f"sources[{rows.name}].columns.{source.label}.known_at")
        yield Problem(place, "nothing", "a column, a delay, or both", why, "label_known_at_missing")


def _rows_name(source: ObservedRows | ObservationsSource) -> str:
    return source.rows_of if isinstance(source, ObservedRows) else source.name


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
        place = in_contract(f"sources[{source.name}]")
        ids = [] if isinstance(source, TableSource) else [source.id_column or source.id]
        columns = [*ids, source.event_timestamp, *_other_moments(source)]
        columns += [source.file_column(name) for name in source.columns]
        columns += contract.key_columns(source).values()
        why = "one column would have two meanings"
        yield from repeated(place, columns, why)


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
    """What is wrong with the columns of each source, and with what is predicted of them."""
    yield from _time_zone(contract.time_zone)
    for source in contract.sources:
        if isinstance(source, ObservedRows | ObservationsSource):
            yield from _predicted(contract, source)
        if isinstance(source, ObservedRows):
            continue
        place = in_contract(f"sources[{source.name}]")
        yield from repeated(f"{place}.entities", source.entities)
        for name, column in source.columns.items():
            yield from _column(f"{place}.columns.{name}", column)
        yield from _late(place, source)


def _time_zone(name: str) -> Iterator[Problem]:
    try:
        zone(name)
    except ZoneError as error:
        wanted = "an IANA time zone such as America/New_York"
        yield Problem(in_contract("time_zone"), name[:64], wanted, code=error.code)


def _predicted(contract: Contract, source: ObservedRows | ObservationsSource) -> Iterator[Problem]:
    rows = contract.source_by_name[_rows_name(source)]
    column = None if isinstance(rows, ObservedRows) else rows.columns[source.label]
    if column is not None and column.dtype != "bool":
        place = in_contract(f"sources[{rows.name}].columns.{source.label}.dtype")
        why = "a model here learns whether something is so"
        yield Problem(place, column.dtype, "bool, the dtype of a label", why, "label_not_bool")


def _column(place: str, column: Column) -> Iterator[Problem]:
    if column.dtype != "money" and column.scale:
        found, why = f"{column.scale} of {column.dtype}", "only money has minor units"
        yield Problem(f"{place}.scale", found, "no scale", why, "scale_not_money")


def _late(place: str, source: RowsSource) -> Iterator[Problem]:
    """What says when a late value is known: a column of moments that is itself known then."""
    declared = {source.file_column(name): name for name in source.columns}
    for name, known in source.late_columns.items():
        here = f"{place}.columns.{name}.known_at"
        if isinstance(source, TableSource):
            why = "created_timestamp says from when a row of a table is known"
            yield Problem(here, "known_at in a table", "none", why, "table_column_late")
            continue
        moment = declared.get(known.column or "")
        if moment is None:
            continue
        column = source.columns[moment]
        if column.dtype != "timestamp":
            found, wanted = f"{moment}, which is {column.dtype}", "a timestamp"
            yield Problem(here, found, wanted, code="known_at_not_timestamp")
        elif column.known_at is None:
            why = "the moment itself is not known before it has come"
            at = f"{place}.columns.{moment}.known_at"
            yield Problem(at, "nothing", known.column or "", why, "known_at_column_early")
