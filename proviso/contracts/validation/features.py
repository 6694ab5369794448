"""First check, what a view computes: aggregates, feature SQL and defaults."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from feature_runtime.core.encode import MODEL_LIMIT
from proviso.contracts.base import Problem
from proviso.contracts.contract import Aggregate, Contract, Feature, FeatureView, OnEvent
from proviso.contracts.definitions import feature_scalar, labels, where_scalar
from proviso.contracts.paths import listed, of_feature, of_view
from proviso.contracts.sql import SqlError

_SUMMABLE = {"money", "int64", "bool"}


def feature_problems(contract: Contract, view: FeatureView, today: date) -> Iterator[Problem]:
    """Everything about how a view's values are computed and what replaces missing ones."""
    for aggregate in view.aggregates:
        yield from _aggregate(contract, view, aggregate)
    for feature in view.features:
        yield from _definition(view, feature)
        yield from _default(view, feature, today)


def _aggregate(contract: Contract, view: FeatureView, aggregate: Aggregate) -> Iterator[Problem]:
    place = of_view(view, f"aggregates[{aggregate.name}]")
    if aggregate.of is not None:
        yield from _summed(contract, view, place, aggregate)
    try:
        where_scalar(contract, view, aggregate)
    except SqlError as error:
        yield Problem(f"{place}.where", error.found, error.wanted, error.why, error.code)


def _summed(
    contract: Contract, view: FeatureView, place: str, aggregate: Aggregate
) -> Iterator[Problem]:
    source, name = contract.source_of(view), aggregate.of or ""
    labelled, late = labels(contract, source.name), source.late_columns
    summable = [n for n, c in source.columns.items() if c.dtype in _SUMMABLE and n not in labelled]
    if name in labelled:
        wanted, why = "count with dated: known", "leakage: a label is counted when it is known"
        yield Problem(f"{place}.of", f"the label {name}", wanted, why, "label_leak")
    elif name in late and aggregate.dated != "known":
        found, why = f"{name} in an aggregate dated by event", "its value is known only later"
        yield Problem(f"{place}.of", found, "dated: known", why, "value_known_later")
    elif name not in source.columns:
        wanted = f"one of {listed(summable)}"
        yield Problem(f"{place}.of", name, wanted, code="column_unknown")
    elif name not in summable:
        why = "a sum of doubles depends on the order of its rows"
        found = f"{source.columns[name].dtype} column {name}"
        yield Problem(f"{place}.of", found, "money, int64 or bool", why, "column_not_summable")


def _definition(view: FeatureView, feature: Feature) -> Iterator[Problem]:
    aggregates = {aggregate.name for aggregate in view.aggregates}
    if feature.sql is not None and feature.name in aggregates:
        why = "one name would stand for two values"
        place = of_feature(view, feature, "name")
        yield Problem(place, "an aggregate's name", "another name", why, "name_taken")
    try:
        feature_scalar(view, feature)
    except SqlError as error:
        place = of_feature(view, feature, "sql")
        yield Problem(place, error.found, error.wanted, error.why, error.code)


def _default(view: FeatureView, feature: Feature, today: date) -> Iterator[Problem]:
    default = feature.default
    if default.policy == "reject":
        if isinstance(view.publication, OnEvent):
            yield Problem(
                of_feature(view, feature, "default.policy"),
                "reject in a view published on event",
                "an approved default or nan",
                "an idle entity becomes STALE though nothing is late",
                "reject_on_event",
            )
        return
    if default.value is not None and not _fits(default.value, feature.dtype):
        wanted = "0 or 1" if feature.dtype == "bool" else "a whole number"
        why = f"the feature is {feature.dtype}"
        place = of_feature(view, feature, "default.value")
        yield Problem(place, f"{default.value:g}", wanted, why, "default_type_mismatch")
    if default.value is not None and not abs(default.value) < MODEL_LIMIT:
        place, found = of_feature(view, feature, "default.value"), f"{default.value:g}"
        wanted, why = "less than 3.4e38", "the model's float32 holds no larger number"
        yield Problem(place, found, wanted, why, "default_out_of_range")
    if default.expires is not None and default.expires <= today:
        yield Problem(
            of_feature(view, feature, "default.expires"),
            f"an approval that ended on {default.expires}",
            f"a day after {today}, or a new approval by {default.approved_by}",
            "from that day on the feature rejects instead of using the default",
            "default_expired",
        )


def _fits(value: float, dtype: str) -> bool:
    if dtype == "bool":
        return value in (0, 1)
    return dtype == "float64" or value.is_integer()
