"""First check, what a view computes: aggregates, feature SQL and defaults."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from feature_runtime.core.encode import MODEL_LIMIT
from proviso.contracts.base import Problem
from proviso.contracts.contract import Aggregate, Contract, Feature, FeatureView, OnEvent
from proviso.contracts.definitions import check_column, feature_scalar, where_scalar
from proviso.contracts.paths import of_feature, of_view
from proviso.contracts.sql import SqlError


def feature_problems(contract: Contract, view: FeatureView, today: date) -> Iterator[Problem]:
    """Everything about how a view's values are computed and what replaces missing ones."""
    for aggregate in view.aggregates:
        yield from _aggregate(contract, view, aggregate)
    for feature in view.features:
        yield from _definition(contract, view, feature)
        yield from _default(view, feature, today)


def _aggregate(contract: Contract, view: FeatureView, aggregate: Aggregate) -> Iterator[Problem]:
    place = of_view(view, f"aggregates[{aggregate.name}]")
    for key, judge in {"of": check_column, "where": where_scalar}.items():
        try:
            judge(contract, view, aggregate)
        except SqlError as error:
            yield Problem(f"{place}.{key}", error.found, error.wanted, error.why, error.code)


def _definition(contract: Contract, view: FeatureView, feature: Feature) -> Iterator[Problem]:
    aggregates = {aggregate.name for aggregate in view.aggregates}
    if feature.sql is not None and feature.name in aggregates:
        why = "one name would stand for two values"
        place = of_feature(view, feature, "name")
        yield Problem(place, "an aggregate's name", "another name", why, "name_taken")
    try:
        feature_scalar(contract, view, feature)
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
