"""The judged SQL of a contract: what an aggregate counts and what a feature is.

History renders its queries from these trees, so what runs is what was judged.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress

from proviso.contracts.contract import Aggregate, Contract, Feature, FeatureView
from proviso.contracts.paths import listed
from proviso.contracts.sources import KnownAt, ObservationsSource, ObservedRows
from proviso.contracts.sql import Kind, Scalar, SqlError, column_scalar, parse_scalar

_COLUMN_KINDS: Mapping[str, Kind] = {
    "money": "int",
    "int64": "int",
    "float64": "float",
    "bool": "bool",
}
_FEATURE_KINDS: Mapping[str, Kind] = {"int64": "int", "float64": "float", "bool": "bool"}


def where_scalar(contract: Contract, view: FeatureView, aggregate: Aggregate) -> Scalar | None:
    """The judged `where` of an aggregate, None when it has none. Raises SqlError."""
    if aggregate.where is None:
        return None
    source = contract.source_of(view)
    known = {n: c for n, c in source.columns.items() if c.dtype in _COLUMN_KINDS}
    scalar = parse_scalar(aggregate.where, {n: _COLUMN_KINDS[c.dtype] for n, c in known.items()})
    late = sorted(scalar.columns & source.late_columns.keys())
    if late and aggregate.dated != "known":
        raise _early(contract, source.name, late[0])
    if scalar.kind != "bool":
        raise SqlError(f"`{aggregate.where}`", "a condition, true or false")
    return scalar


def _early(contract: Contract, source: str, column: str) -> SqlError:
    """The error of a late column in an aggregate dated by event."""
    if column in labels(contract, source):
        return SqlError(
            f"the label {column} in an aggregate dated by event",
            "dated: known",
            "leakage: the label is not known yet on the event's day",
            "label_leak",
        )
    return SqlError(
        f"{column} in an aggregate dated by event",
        "dated: known",
        "leakage: its value is known only after the event",
        "value_known_later",
    )


def labels(contract: Contract, source: str) -> frozenset[str]:
    """The columns of a source that some observations predict."""
    rows = {s.name: s.rows_of if isinstance(s, ObservedRows) else s.name for s in contract.sources}
    stated = [s for s in contract.sources if isinstance(s, ObservedRows | ObservationsSource)]
    return frozenset(one.label for one in stated if rows[one.name] == source)


def late_columns(
    contract: Contract, view: FeatureView, aggregate: Aggregate
) -> Mapping[str, KnownAt]:
    """The columns that `of` and `where` use and that are known only after the event.

    Empty as well where `where` cannot be judged.
    """
    used = {aggregate.of}
    with suppress(SqlError):
        scalar = where_scalar(contract, view, aggregate)
        used |= scalar.columns if scalar else frozenset()
    return {n: k for n, k in contract.source_of(view).late_columns.items() if n in used}


def feature_scalar(view: FeatureView, feature: Feature) -> Scalar:
    """The judged expression of a feature over its view's aggregates. Raises SqlError."""
    columns: dict[str, Kind] = {aggregate.name: "int" for aggregate in view.aggregates}
    if feature.sql is None and feature.name not in columns:
        found, wanted = "no sql and no aggregate of that name", f"sql or one of {listed(columns)}"
        raise SqlError(found, wanted, code="sql_missing")
    if feature.sql is None:
        scalar = column_scalar(feature.name, columns)
    else:
        scalar = parse_scalar(feature.sql, columns)
    wanted = _FEATURE_KINDS[feature.dtype]
    if scalar.kind not in {wanted, "null"} and (scalar.kind, wanted) != ("int", "float"):
        dtype = next(name for name, kind in _FEATURE_KINDS.items() if kind == scalar.kind)
        raise SqlError(
            f"`{feature.expression}`, which is {dtype}",
            f"{feature.dtype}, the feature's dtype",
            "the pod refuses a stored value of another type",
            "sql_type_mismatch",
        )
    return scalar
