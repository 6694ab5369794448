"""A contract of nothing but aggregates, one of every function over several windows.

Its views have the publications of `history_data`'s, whose sales they are computed from.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from proviso.contracts.aggregates import AGGREGATES
from proviso.contracts.contract import Aggregate, Contract, FeatureView
from tests.history_data import contract

WINDOWS = ("PT1H", "PT2H30M", "all")
VIEWS = ("buyer_hourly", "buyer_at_shop", "buyer_stream")
_OF: Mapping[str, tuple[str, ...]] = {}
"""The columns that a function is tried on, where they are not these."""
_NUMBERS = ("price", "pieces", "weight", "is_gift")
_DTYPES = {"count": "int64", "units": "int64", "quotient": "float64"}


def only(*stated: Mapping[str, Any], on: str = "string") -> Contract:
    """The shop's contract whose views have these aggregates, each a feature of its name."""
    owner = contract(on)
    made = [_of(owner.view_by_name[name], stated) for name in VIEWS]
    return owner.model_copy(update={"feature_views": made, "feature_services": []})


def _of(view: FeatureView, stated: tuple[Mapping[str, Any], ...]) -> FeatureView:
    aggregates = [Aggregate.model_validate(one) for one in stated]
    features = [
        view.features[0].model_copy(
            update={"name": a.name, "sql": None, "dtype": _DTYPES[AGGREGATES[a.function].yields]}
        )
        for a in aggregates
    ]
    return view.model_copy(update={"aggregates": aggregates, "features": features})


def every_function() -> tuple[Mapping[str, Any], ...]:
    """Every function of the registry, on every kind of column, in every window, dated both ways."""
    return tuple(
        {**one, "name": f"{one['function']}_{one.get('of', 'all')}_{dated}_{number}"}
        | {"dated": dated, "window": window}
        for number, window in enumerate(WINDOWS)
        for name in AGGREGATES
        for one in _stated(name)
        for dated in ("event", "known")
    )


def _stated(name: str) -> Iterator[dict[str, Any]]:
    function = AGGREGATES[name]
    if function.column != "required":
        yield {"function": name, "where": "pieces > 2 or is_gift"}
    if function.column == "none":
        return
    for of in _OF.get(name, _NUMBERS):
        scale = {"scale": 1} if of == "weight" and function.sums else {}
        where = {"where": "pieces < 7"} if of == "price" else {}
        yield {"function": name, "of": of, **scale, **where}
