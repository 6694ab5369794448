"""The judged SQL of a contract: what an aggregate counts and what a feature is.

History renders its queries from these trees, so what runs is what was judged.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress

from proviso.contracts.aggregates import AGGREGATES, AggregateFunction
from proviso.contracts.contract import Aggregate, Contract, Feature, FeatureView
from proviso.contracts.paths import listed
from proviso.contracts.sources import Column, KnownAt, ObservationsSource, ObservedRows
from proviso.contracts.sql import Kind, Scalar, SqlError, column_scalar, in_units, parse_scalar

_KINDS: Mapping[str, Kind] = {
    "money": "int",
    "int64": "int",
    "float64": "float",
    "bool": "bool",
    "string": "string",
}
"""Kinds of columns in SQL. A timestamp has none: SQL has no clock, so it is for aggregates only."""
_POWERS = {"units": 1, "squares": 2, "value": 1}
"""The power of the column's units that an aggregate yields; a quotient is in its terms already."""
_DTYPES: Mapping[Kind, str] = {
    "int": "int64",
    "float": "float64",
    "bool": "bool",
    "string": "string",
}


def column_of(contract: Contract, view: FeatureView, aggregate: Aggregate) -> Column | None:
    """The source's column that an aggregate is of; None where it is of none, or of an unknown."""
    return contract.source_of(view).columns.get(aggregate.of or "")


def check_column(contract: Contract, view: FeatureView, aggregate: Aggregate) -> None:
    """Raises SqlError when the function cannot be computed of its column."""
    if aggregate.of is None:
        return
    function, source = AGGREGATES[aggregate.function], contract.source_of(view)
    column = source.columns.get(aggregate.of)
    if column is None:
        fitting = [
            name
            for name, c in source.columns.items()
            if c.dtype in function.dtypes and (c.known_at is None or aggregate.dated == "known")
        ]
        raise SqlError(aggregate.of, f"one of {listed(fitting)}", code="column_unknown")
    if column.known_at is not None and aggregate.dated != "known":
        if aggregate.of in labels(contract, source.name):
            wanted, why = "count with dated: known", "leakage: a label is counted when it is known"
            raise SqlError(f"the label {aggregate.of}", wanted, why, "label_leak")
        raise _early(contract, source.name, aggregate.of)
    if column.dtype not in function.dtypes:
        wanted = " or ".join(sorted(function.dtypes))
        raise SqlError(f"{column.dtype} column {aggregate.of}", wanted, code="column_not_summable")
    _check_scale(aggregate, column, function)


def check_dating(contract: Contract, view: FeatureView, aggregate: Aggregate) -> None:
    """Raises SqlError when nothing that an aggregate uses is known later, though it is dated so.

    What else is wrong with the aggregate is another's to say.
    """
    try:
        check_column(contract, view, aggregate)
        where_scalar(contract, view, aggregate)
    except SqlError:
        return
    if aggregate.dated == "known" and not late_columns(contract, view, aggregate):
        late = listed(contract.source_of(view).late_columns)
        found, wanted = "known", f"event; or `of` or `where` with one of: {late}"
        why = "no value that the aggregate uses is known later than its event"
        raise SqlError(found, wanted if late else "event", why, "nothing_known_later")


def _check_scale(aggregate: Aggregate, column: Column, function: AggregateFunction) -> None:
    rounded = column.dtype == "float64" and function.sums
    if rounded and aggregate.scale is None:
        found, why = f"float64 column {aggregate.of}", "a sum of doubles depends on their order"
        wanted = "money, int64 or bool; or `scale`, the decimals that are summed"
        raise SqlError(found, wanted, why, "column_not_summable")
    if not rounded and aggregate.scale is not None:
        found = f"scale {aggregate.scale} for {aggregate.function} of {column.dtype} {aggregate.of}"
        wanted = "a scale only where doubles are summed"
        raise SqlError(found, wanted, code="aggregate_scale_mismatch")


def finest_scale(contract: Contract, source: str, column: str) -> int | None:
    """The most decimals that some aggregate sums a source's column of doubles with; None: none
    sums it."""
    views = [v for v in contract.feature_views if contract.source_of(v).name == source]
    aggregates = [a for view in views for a in view.aggregates if a.of == column]
    return max((a.scale for a in aggregates if a.scale is not None), default=None)


def units_of(contract: Contract, view: FeatureView, aggregate: Aggregate) -> int:
    """How many units, in which its column is summed, make one of the column."""
    column = column_of(contract, view, aggregate)
    if column is not None and column.dtype == "money":
        return int(10**column.scale)
    return int(10 ** (aggregate.scale or 0))


def aggregate_kind(contract: Contract, view: FeatureView, aggregate: Aggregate) -> Kind:
    """What a feature's SQL finds under an aggregate's name; money and moments are integers."""
    yields, column = AGGREGATES[aggregate.function].yields, column_of(contract, view, aggregate)
    if yields == "value" and column is not None:
        return _KINDS.get(column.dtype, "int")
    return "rounded" if yields == "quotient" else "int"


def where_scalar(contract: Contract, view: FeatureView, aggregate: Aggregate) -> Scalar | None:
    """The judged `where` of an aggregate, None when it has none. Raises SqlError."""
    if aggregate.where is None:
        return None
    source = contract.source_of(view)
    known = {n: c for n, c in source.columns.items() if c.dtype in _KINDS}
    scalar = parse_scalar(aggregate.where, {n: _KINDS[c.dtype] for n, c in known.items()})
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


def feature_scalar(contract: Contract, view: FeatureView, feature: Feature) -> Scalar:
    """The judged expression of a feature over its view's aggregates. Raises SqlError.

    Without `sql` it is the aggregate of its name; a float64 is then in the column's own terms.
    """
    columns = {a.name: aggregate_kind(contract, view, a) for a in view.aggregates}
    if feature.sql is None and feature.name not in columns:
        found, wanted = "no sql and no aggregate of that name", f"sql or one of {listed(columns)}"
        raise SqlError(found, wanted, code="sql_missing")
    if feature.sql is None:
        scalar = _by_name(contract, view, feature, columns)
    else:
        scalar = parse_scalar(feature.sql, columns)
    wanted = next((kind for kind, dtype in _DTYPES.items() if dtype == feature.dtype), "null")
    if scalar.kind not in {wanted, "null"} and (scalar.kind, wanted) != ("int", "float"):
        raise SqlError(
            f"`{feature.expression}`, which is {_DTYPES[scalar.kind]}",
            f"{feature.dtype}, the feature's dtype",
            "the pod refuses a stored value of another type",
            "sql_type_mismatch",
        )
    return scalar


def _by_name(
    contract: Contract, view: FeatureView, feature: Feature, columns: Mapping[str, Kind]
) -> Scalar:
    """An aggregate of a feature's name; a float64 is in the terms of its column: major units."""
    aggregate = next(a for a in view.aggregates if a.name == feature.name)
    scalar, units = column_scalar(feature.name, columns), divisor(contract, view, aggregate)
    return in_units(scalar, units) if units > 1 and feature.dtype == "float64" else scalar


def divisor(contract: Contract, view: FeatureView, aggregate: Aggregate) -> int:
    """What an aggregate in units, or their squares, is divided by to be in its column's terms."""
    power = _POWERS.get(AGGREGATES[aggregate.function].yields, 0)
    return int(units_of(contract, view, aggregate) ** power)
