"""A contract of nothing but aggregates, one of every function over several windows.

Its views have the publications of `history_data`'s, whose sales they are computed from.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from proviso.contracts.aggregates import AGGREGATES
from proviso.contracts.contract import Aggregate, Contract, FeatureView
from proviso.contracts.definitions import column_of
from proviso.contracts.meaning import with_known_label
from tests.history_data import LABEL, contract

WINDOWS = ("PT1H", "PT2H30M", "all")
VIEWS = ("buyer_hourly", "buyer_at_shop", "buyer_stream")
_NUMBERS = ("price", "pieces", "weight", "is_gift")
_DTYPES = {"count": "int64", "units": "int64", "squares": "int64", "quotient": "float64"}
_OWN = {"money": "float64", "timestamp": "int64"}
"""Dtypes of features that are a column's value, where they are not the column's."""


def only(*stated: Mapping[str, Any], of: Contract | None = None) -> Contract:
    """The shop, or one of its form, whose views have these aggregates as features."""
    owner = of or contract()
    made = [_of(owner, view, stated) for view in owner.feature_views if view.name in VIEWS]
    return owner.model_copy(update={"feature_views": made, "feature_services": []})


def _of(owner: Contract, view: FeatureView, stated: tuple[Mapping[str, Any], ...]) -> FeatureView:
    aggregates = [Aggregate.model_validate(one) for one in stated]
    features = [
        view.features[0].model_copy(
            update={"name": a.name, "sql": None, "dtype": _dtype(owner, view, a)}
        )
        for a in aggregates
    ]
    return view.model_copy(update={"aggregates": aggregates, "features": features})


def _dtype(owner: Contract, view: FeatureView, aggregate: Aggregate) -> str:
    yields, column = AGGREGATES[aggregate.function].yields, column_of(owner, view, aggregate)
    if yields == "value" and column is not None:
        return _OWN.get(column.dtype, column.dtype)
    return _DTYPES[yields]


def every_function() -> tuple[Mapping[str, Any], ...]:
    """Every function of the registry, on every kind of column, in every window, dated both ways."""
    return tuple(
        dated_as(one, dated)
        | {"name": f"{one['function']}_{one.get('of', 'all')}_{dated}_{number}", "window": window}
        for number, window in enumerate(WINDOWS)
        for name in AGGREGATES
        for one in _stated(name)
        for dated in ("event", "known")
    )


def dated_as(stated: Mapping[str, Any], dated: str) -> dict[str, Any]:
    """An aggregate dated so; what is known later is whether a sale was returned."""
    if dated == "event":
        return {**stated, "dated": dated}
    where = stated.get("where")
    return {**stated, "dated": dated, "where": with_known_label(where, LABEL)}


def _stated(name: str) -> Iterator[dict[str, Any]]:
    function = AGGREGATES[name]
    if function.column != "required":
        yield {"function": name, "where": "pieces > 2 or is_gift"}
    if function.column == "none":
        return
    for of in _NUMBERS:
        scale = {"scale": 1} if of == "weight" and function.sums else {}
        where = {"where": "pieces < 7"} if of == "price" else {}
        yield {"function": name, "of": of, **scale, **where}
