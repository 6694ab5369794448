"""First check, the columns of what is written: no name of the contract is also one of ours.

Inside a query every name of ours begins with `_`, and no name of a contract does. In files and
requests our columns have plain names, which are listed here with the contract's beside them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple

from feature_runtime.core.service import view_column
from proviso.contracts.base import Problem
from proviso.contracts.contract import Contract, FeatureView
from proviso.contracts.feature_service import FeatureService
from proviso.contracts.paths import in_contract, of_service, of_view
from proviso.contracts.sources import ObservedRows, RowsSource, TableSource

_OF_VIEW = ("event_ts", "created_ts", "status")
_HISTORY = ("event_ts", "created_ts", "file_row_number")
"""The engine numbers a file's rows under the last one."""
_LOADED = ("rowid",)
"""So it numbers the rows of a table."""
_STAMPS = ("event_ts", "planned_ts", "created_ts", "acknowledged_ts")
_DATASET = ("scoring_ts", "label", "label_known_at")
_REQUEST = ("event_ts",)
_PREDICTIONS = ("score", "rejected")
_SCORES = ("scored_at", "probability", "decision", "rejected", "release")


class _Column(NamedTuple):
    """A column, and the name in the contract that it has or is made of, with its place."""

    name: str
    place: str
    stated: str


class _Table(NamedTuple):
    """What is written: how a reader calls it, our columns, and the contract's."""

    name: str
    ours: Sequence[str]
    columns: Sequence[_Column]


def column_problems(contract: Contract) -> Iterator[Problem]:
    """Names of the contract that are another column's of the same file or request."""
    told: set[tuple[str, str]] = set()
    for table in _tables(contract):
        owners = dict.fromkeys(table.ours, ("", ""))
        for name, place, stated in table.columns:
            owner = (place, stated)
            if owners.setdefault(name, owner) != owner and owner not in told:
                told.add(owner)
                why = f"{table.name} has a column {name} already"
                yield Problem(place, stated, "another name", why, "name_taken")


def _tables(contract: Contract) -> Iterator[_Table]:
    for source in contract.sources:
        if not isinstance(source, ObservedRows):
            yield _Table(f"the table of {source.name}", _LOADED, _of_source(contract, source))
    for view in contract.feature_views:
        features = [_column(f.name, of_view(view, "features")) for f in view.features]
        keys = _keys(contract, view.entities)
        yield _Table(f"the history of {view.name}", _HISTORY, [*keys, *features])
        yield _Table(f"what is published of {view.name}", _STAMPS, keys)
    for service in contract.feature_services:
        yield from _of_service(contract, service)


def _of_service(contract: Contract, service: FeatureService) -> Iterator[_Table]:
    """The request, and what is written for the observations of a service."""
    rows = contract.observations_of(service).rows
    place = in_contract(f"sources[{rows.name}]")
    row_id, fields = _column(rows.id, f"{place}.id"), _fields(contract, service)
    yield _Table("a request", _REQUEST, fields)
    views = [column for view in contract.feature_views for column in _of_view(view)]
    ours = [view_column(v.name, name) for v in contract.feature_views for name in _OF_VIEW]
    columns = [row_id, *fields, *_request_features(contract, service), *views]
    yield _Table("the dataset", [*_DATASET, *ours], columns)
    yield _Table("predictions.parquet", _PREDICTIONS, [row_id])
    statuses = [f"{column.name}__status" for column in views]
    yield _Table("the file of scores", [*_SCORES, *statuses], [row_id, *views])


def _column(name: str, place: str) -> _Column:
    return _Column(name, place, name)


def _keys(contract: Contract, entities: Collection[str]) -> list[_Column]:
    return [
        _column(entity.join_key, in_contract(f"entities[{entity.name}].join_key"))
        for entity in contract.entities
        if entity.name in entities
    ]


def _of_source(contract: Contract, source: RowsSource) -> list[_Column]:
    """The columns of a source's table: the id, join keys and columns."""
    place = in_contract(f"sources[{source.name}]")
    ids = [] if isinstance(source, TableSource) else [_column(source.id, f"{place}.id")]
    columns = [_column(name, f"{place}.columns.{name}") for name in source.columns]
    return [*ids, *_keys(contract, source.entities), *columns]


def _fields(contract: Contract, service: FeatureService) -> list[_Column]:
    """What a request may carry: join keys, and the columns of the observations but the label."""
    observations = contract.observations_of(service)
    place = in_contract(f"sources[{observations.rows.name}].columns")
    columns = [_column(name, f"{place}.{name}") for name in observations.columns]
    return [*_keys(contract, contract.entity_by_name), *columns]


def _request_features(contract: Contract, service: FeatureService) -> list[_Column]:
    """Those of all services over the same observations that are not simply a field."""
    observed = contract.observations_of(service).name
    named = {
        feature.name: of_service(other, f"request_features[{feature.name}].name")
        for other in contract.feature_services
        if contract.observations_of(other).name == observed
        for feature in other.request_features
        if feature.name != feature.field
    }
    return [_column(name, place) for name, place in named.items()]


def _of_view(view: FeatureView) -> list[_Column]:
    place = of_view(view, "features")
    return [_Column(view_column(view.name, f.name), place, f.name) for f in view.features]
