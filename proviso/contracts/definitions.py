"""The judged SQL of a contract: what an aggregate counts and what a feature is.

History renders its queries from these trees, so what runs is what was judged.
"""

from __future__ import annotations

from collections.abc import Mapping

from proviso.contracts.contract import Aggregate, Contract, Feature, FeatureView
from proviso.contracts.paths import listed
from proviso.contracts.sql import Kind, Scalar, SqlError, column_scalar, parse_scalar

_COLUMN_KINDS: Mapping[str, Kind] = {
    "money": "int",
    "int64": "int",
    "float64": "float",
    "bool": "bool",
}
_FEATURE_KINDS: Mapping[str, Kind] = {"int64": "int", "float64": "float", "bool": "bool"}


def where_scalar(contract: Contract, aggregate: Aggregate) -> Scalar | None:
    """The judged `where` of an aggregate, None when it has none. Raises SqlError."""
    if aggregate.where is None:
        return None
    label = contract.source.label.column
    columns = {name: _COLUMN_KINDS[c.dtype] for name, c in contract.source.columns.items()}
    scalar = parse_scalar(aggregate.where, {**columns, label: "bool"})
    if label in scalar.columns and aggregate.dated != "label":
        raise SqlError(
            f"the label {label} in an aggregate dated by event",
            "dated: label",
            "leakage: the label is not known yet on the event's day",
            "label_leak",
        )
    if scalar.kind != "bool":
        raise SqlError(f"`{aggregate.where}`", "a condition, true or false")
    return scalar


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
