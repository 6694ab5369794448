"""First check, what a view computes: aggregates, feature SQL, defaults, deprecation."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from proviso.contracts.base import Problem
from proviso.contracts.contract import Aggregate, Contract, Feature, FeatureView, OnEvent
from proviso.contracts.definitions import feature_scalar, where_scalar
from proviso.contracts.paths import listed, of_feature, of_view
from proviso.contracts.sql import SqlError


def feature_problems(contract: Contract, view: FeatureView, today: date) -> Iterator[Problem]:
    """Everything about how a view's values come about and what replaces them."""
    for aggregate in view.aggregates:
        yield from _aggregate(contract, view, aggregate)
    for feature in view.features:
        yield from _definition(view, feature)
        yield from _default(view, feature, today)


def _aggregate(contract: Contract, view: FeatureView, aggregate: Aggregate) -> Iterator[Problem]:
    place = of_view(view, f"aggregates[{aggregate.name}]")
    if aggregate.of is not None:
        yield from _summed(contract, place, aggregate.of)
    try:
        where_scalar(contract, aggregate)
    except SqlError as error:
        yield Problem(f"{place}.where", error.found, error.wanted, error.why)


def _summed(contract: Contract, place: str, name: str) -> Iterator[Problem]:
    columns = contract.source.columns
    summable = [n for n, column in columns.items() if column.dtype != "float64"]
    if name == contract.source.label.column:
        wanted, why = "count with dated: label", "leakage: a label is counted when it is known"
        yield Problem(f"{place}.of", f"the label {name}", wanted, why)
    elif name not in columns:
        yield Problem(f"{place}.of", name, f"one of {listed(summable)}")
    elif name not in summable:
        why = "a sum of doubles depends on the order of its rows"
        yield Problem(f"{place}.of", f"float64 column {name}", "money, int64 or bool", why)


def _definition(view: FeatureView, feature: Feature) -> Iterator[Problem]:
    aggregates = {aggregate.name for aggregate in view.aggregates}
    if feature.sql is not None and feature.name in aggregates:
        why = "a name must mean one thing"
        yield Problem(of_feature(view, feature, "name"), "an aggregate's name", "another name", why)
    try:
        feature_scalar(view, feature)
    except SqlError as error:
        yield Problem(of_feature(view, feature, "sql"), error.found, error.wanted, error.why)


def _default(view: FeatureView, feature: Feature, today: date) -> Iterator[Problem]:
    default = feature.default
    if default.policy == "reject":
        if isinstance(view.publication, OnEvent):
            yield Problem(
                of_feature(view, feature, "default.policy"),
                "reject in a view published on event",
                "an approved default or nan",
                "an idle entity ages into STALE though nothing is late",
            )
        return
    if default.value is not None and not _fits(default.value, feature.dtype):
        wanted = "0 or 1" if feature.dtype == "bool" else "a whole number"
        why = f"the feature is {feature.dtype}"
        yield Problem(of_feature(view, feature, "default.value"), f"{default.value:g}", wanted, why)
    if default.expires is not None and default.expires <= today:
        yield Problem(
            of_feature(view, feature, "default.expires"),
            f"an approval that ended on {default.expires}",
            f"a day after {today}, or a new approval by {default.approved_by}",
            "past it the feature rejects in place of defaulting",
        )


def _fits(value: float, dtype: str) -> bool:
    if dtype == "bool":
        return value in (0, 1)
    return dtype == "float64" or value.is_integer()
