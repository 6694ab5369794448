"""First check, what a view computes: aggregates, feature SQL and defaults."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from feature_runtime.core.encode import MODEL_LIMIT
from feature_runtime.core.values import TEXT, valid_text
from proviso.contracts.base import Problem
from proviso.contracts.contract import Aggregate, Contract, Feature, FeatureView, OnEvent
from proviso.contracts.definitions import check_column, check_dating, feature_scalar, where_scalar
from proviso.contracts.paths import listed, of_feature, of_view
from proviso.contracts.sources import TableSource, stored_dtype
from proviso.contracts.sql import SqlError


def feature_problems(contract: Contract, view: FeatureView, today: date) -> Iterator[Problem]:
    """Everything about how a view's values are computed and what replaces missing ones."""
    for aggregate in view.aggregates:
        yield from _aggregate(contract, view, aggregate)
    for feature in view.features:
        yield from _definition(contract, view, feature)
        yield from _default(view, feature, today)
        yield from _tolerance(view, feature)


def _aggregate(contract: Contract, view: FeatureView, aggregate: Aggregate) -> Iterator[Problem]:
    place = of_view(view, f"aggregates[{aggregate.name}]")
    for key, judge in {"of": check_column, "where": where_scalar, "dated": check_dating}.items():
        try:
            judge(contract, view, aggregate)
        except SqlError as error:
            yield Problem(f"{place}.{key}", error.found, error.wanted, error.why, error.code)


def _definition(contract: Contract, view: FeatureView, feature: Feature) -> Iterator[Problem]:
    source = contract.source_of(view)
    if isinstance(source, TableSource):
        yield from _column_of_table(source, view, feature)
        return
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


def _column_of_table(source: TableSource, view: FeatureView, feature: Feature) -> Iterator[Problem]:
    if feature.sql is not None:
        place, why = of_feature(view, feature, "sql"), "rows of a table are taken as they are"
        yield Problem(place, "sql over a table", "none", why, "table_view_sql")
    column = source.columns.get(feature.name)
    if column is None:
        place, wanted = of_feature(view, feature, "name"), f"one of {listed(source.columns)}"
        why = f"a feature of {source.name} is one of its columns"
        yield Problem(place, feature.name, wanted, why, "feature_not_in_table")
        return
    dtype = stored_dtype(column)
    if dtype != feature.dtype:
        wanted = f"{dtype}, as the column is stored" if dtype else "another column"
        place, why = of_feature(view, feature, "dtype"), f"the column is {column.dtype}"
        yield Problem(place, feature.dtype, wanted, why, "table_feature_type_mismatch")


def _tolerance(view: FeatureView, feature: Feature) -> Iterator[Problem]:
    exact = feature.tolerance.absolute == 0 and feature.tolerance.relative == 0
    if feature.dtype in {"string", "bool"} and not exact:
        place, why = of_feature(view, feature, "tolerance"), f"{feature.dtype}s are equal or not"
        found = f"absolute {feature.tolerance.absolute:g}, relative {feature.tolerance.relative:g}"
        wanted = "absolute 0 and relative 0"
        yield Problem(place, found, wanted, why, "tolerance_not_numeric")


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
    if default.value is not None:
        yield from _default_value(view, feature, default.value)
    if default.expires is not None and default.expires <= today:
        yield Problem(
            of_feature(view, feature, "default.expires"),
            f"an approval that ended on {default.expires}",
            f"a day after {today}, or a new approval by {default.approved_by}",
            "from that day on the feature rejects instead of using the default",
            "default_expired",
        )


def _default_value(
    view: FeatureView, feature: Feature, value: bool | float | str
) -> Iterator[Problem]:
    place = of_feature(view, feature, "default.value")
    found = f"{value:g}" if isinstance(value, float) else str(value)[:60]
    if not _fits(value, feature.dtype):
        wanted, why = _DEFAULTS[feature.dtype], f"the feature is {feature.dtype}"
        yield Problem(place, found, wanted, why, "default_type_mismatch")
    elif isinstance(value, str) and not valid_text(value):
        yield Problem(place, f"{len(value)} characters", TEXT, code="default_out_of_range")
    elif isinstance(value, float) and not abs(value) < MODEL_LIMIT:
        wanted, why = "less than 3.4e38", "the model's float32 holds no larger number"
        yield Problem(place, found, wanted, why, "default_out_of_range")


_DEFAULTS = {
    "bool": "0, 1, true or false",
    "int64": "a whole number",
    "float64": "a number",
    "string": "text",
}


def _fits(value: bool | float | str, dtype: str) -> bool:
    if isinstance(value, str) or dtype == "string":
        return isinstance(value, str) and dtype == "string"
    if dtype == "bool" or isinstance(value, bool):
        return dtype == "bool" and value in (0, 1)
    return dtype == "float64" or value.is_integer()
