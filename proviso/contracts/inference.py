"""The dtypes of features that a contract leaves out: what their aggregate, SQL or column yields."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from proviso.contracts.contract import Contract, Feature, FeatureView, Tolerance
from proviso.contracts.definitions import divisor, feature_scalar
from proviso.contracts.shorthand import EXACT
from proviso.contracts.sources import TableSource, rows_source, stored_dtype
from proviso.contracts.sql import SqlError

_DTYPES = ("int64", "bool", "string", "float64")
"""In the order of preference: whole numbers are stored as such."""
_EXACT = Tolerance.model_validate(EXACT)


def inferred(contract: Contract, untyped: Mapping[tuple[str, str], bool]) -> Contract:
    """The contract with the dtypes of the features, by view and name, that state none.

    untyped: whether their tolerance is a shared one, which is for doubles: others are exact.

    A feature that cannot be computed keeps the dtype that stands for it; validation says why.
    """
    if not untyped:
        return contract
    views = [_typed(contract, view, untyped) for view in contract.feature_views]
    return contract.model_copy(update={"feature_views": views})


def _typed(
    contract: Contract, view: FeatureView, untyped: Mapping[tuple[str, str], bool]
) -> FeatureView:
    features = [
        f if shared is None else _feature(contract, view, f, shared)
        for f in view.features
        for shared in [untyped.get((view.name, f.name))]
    ]
    return view.model_copy(update={"features": features})


def _feature(contract: Contract, view: FeatureView, feature: Feature, shared: bool) -> Feature:
    dtype = _dtype(contract, view, feature) or feature.dtype
    exact = shared and dtype != "float64"
    update: dict[str, Any] = {"dtype": dtype, **({"tolerance": _EXACT} if exact else {})}
    return feature.model_copy(update=update)


def _dtype(contract: Contract, view: FeatureView, feature: Feature) -> str | None:
    source = rows_source(contract.sources, view.source)
    if isinstance(source, TableSource):
        column = source.columns.get(feature.name)
        return stored_dtype(column) if column else None
    if source is None:
        return None
    if feature.sql is None and _is_in_units(contract, view, feature):
        return "float64"
    for dtype in _DTYPES:
        try:
            feature_scalar(contract, view, feature.model_copy(update={"dtype": dtype}))
        except SqlError as error:
            if error.code != "sql_type_mismatch":
                return None
        else:
            return dtype
    return None


def _is_in_units(contract: Contract, view: FeatureView, feature: Feature) -> bool:
    """Whether the aggregate of a feature's name is counted in units, such as cents."""
    named = (a for a in view.aggregates if a.name == feature.name)
    return any(divisor(contract, view, aggregate) > 1 for aggregate in named)
