"""The contract's aggregates and features as SQL over the table `events`.

Everything that is summed is an exact integer, so the order of work never shows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

from feature_runtime.core.encode import MODEL_LIMIT
from proviso.contracts.aggregates import AGGREGATES
from proviso.contracts.base import ContractError, Problem
from proviso.contracts.contract import Aggregate, Contract, Feature, FeatureView
from proviso.contracts.definitions import feature_scalar, where_scalar
from proviso.contracts.sql import SqlError
from proviso.history.duckdb.engine import column_type, names, quoted
from proviso.history.duckdb.transactions import EVENTS

MEMBERS = "_members"
_VALUES = {"count": "{x}", "sum": "{x}", "sum_of_squares": "{x} * {x}"}
"""What one event adds by each function of the contract's registry; x: its column, an integer."""

Group = tuple[str, int]


def check_aggregates(contract: Contract, views: Iterable[FeatureView]) -> None:
    """Refuses what could not be computed exactly. Raises ContractError with every problem."""
    problems = []
    for view in views:
        for aggregate in view.aggregates:
            path = f"feature_views[{view.name}].aggregates[{aggregate.name}]"
            column = contract.source_of(view).columns.get(aggregate.of or "")
            if aggregate.of is not None and (column is None or column.dtype == "float64"):
                wanted = "a column of the source that holds money, integers or truth values"
                problems.append(
                    Problem(
                        f"{path}.of",
                        aggregate.of,
                        wanted,
                        "sums must be exact",
                        code="aggregate_column_invalid",
                    )
                )
            problems += _refusals(f"{path}.where", partial(where_scalar, contract, view, aggregate))
        for feature in view.features:
            path = f"feature_views[{view.name}].features[{feature.name}].sql"
            problems += _refusals(path, partial(feature_scalar, view, feature))
    if problems:
        raise ContractError(problems)


def windows(view: FeatureView) -> list[Group]:
    """Distinct (dating, window) of a view's aggregates."""
    return sorted({(a.dated, a.window) for a in view.aggregates})


def groups(view: FeatureView) -> list[Group]:
    """Those of a scheduled view, its population among them."""
    return sorted({*windows(view), ("event", view.population)})


def dated_events(contract: Contract, view: FeatureView, dated: str) -> str:
    """Events with `_entity`, `_moment`, `_known`, and what each counts in aggregates of a dating.

    An event dated by its label exists only once the label is known.
    """
    moment, known, condition = "_event", "_arrival", "true"
    if dated == "known":
        moment, known = "_label_known", "greatest(_label_known, _arrival)"
        condition = "_label_known is not null"
    counted = "".join(
        f", {_contribution(contract, view, a)} as {quoted(a.name)}"
        for a in view.aggregates
        if a.dated == dated
    )
    keys = names(*contract.join_keys(view))
    return (
        f"select _entity, {moment} as _moment, {known} as _known{counted}"
        f" from {EVENTS} join _entities using ({keys}) where {condition}"
    )


def window_columns(view: FeatureView, group: Group, sign: str) -> str:
    """What an event of a group adds to every aggregate of the view; `sign` '-' takes it away."""
    one = 1 if group == ("event", view.population) else 0
    columns = [f"{sign}{one}::bigint as {MEMBERS}"]
    for aggregate in view.aggregates:
        name, mine = quoted(aggregate.name), (aggregate.dated, aggregate.window) == group
        value = f"{sign}{name}" if mine else f"0::{_type_of(aggregate)}"
        columns.append(f"{value} as {name}")
    return ", ".join(columns)


def unchanged_columns(view: FeatureView) -> str:
    """No change of any aggregate."""
    return ", ".join(f"0::{kind} as {name}" for name, kind in _summed(view))


def change_columns(view: FeatureView) -> str:
    """Changes of one entity at one run, added up: 128 bits, since amounts may be near 2^53."""
    return ", ".join(f"sum({name})::hugeint as {name}" for name, _ in _summed(view))


def running_columns(view: FeatureView, window: str) -> str:
    """Changes so far: the aggregates of a state, wide enough for products of sums."""
    return ", ".join(f"sum({name}) over {window} as {name}" for name, _ in _summed(view))


def feature_columns(view: FeatureView) -> str:
    """The features of a state; what their type or the model's cannot hold is null."""
    return ", ".join(f"{_feature(view, f)} as {quoted(f.name)}" for f in view.features)


def aggregate_where(contract: Contract, view: FeatureView, aggregate: Aggregate) -> str:
    """The judged condition of an aggregate; `true` without one."""
    scalar = where_scalar(contract, view, aggregate)
    return "true" if scalar is None else scalar.sql()


def _contribution(contract: Contract, view: FeatureView, aggregate: Aggregate) -> str:
    kind = _type_of(aggregate)
    column = "1" if aggregate.of is None else quoted(aggregate.of)
    value = _VALUES[aggregate.function].format(x=f"{column}::{kind}")
    where = aggregate_where(contract, view, aggregate)
    return f"(case when {where} then ({value})::{kind} else 0 end)::{kind}"


def _summed(view: FeatureView) -> list[tuple[str, str]]:
    return [(MEMBERS, "bigint"), *((quoted(a.name), _type_of(a)) for a in view.aggregates)]


def _type_of(aggregate: Aggregate) -> str:
    return "hugeint" if AGGREGATES[aggregate.function].wide else "bigint"


def _feature(view: FeatureView, feature: Feature) -> str:
    kind = column_type(feature.dtype)
    value = f"try(({feature_scalar(view, feature).sql()})::{kind})"
    if feature.dtype != "float64":
        return value
    return f"case when abs({value}) < {MODEL_LIMIT!r} then {value} end"


def _refusals(path: str, judge: Callable[[], object]) -> list[Problem]:
    try:
        judge()
    except SqlError as error:
        return [Problem(path, error.found, error.wanted, error.why, code="scalar_sql_invalid")]
    return []
