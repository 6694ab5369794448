"""The contract's aggregates and features as SQL over the table `events`.

What is added up are exact integers, so the order of work never shows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial

from feature_runtime.core.encode import MODEL_LIMIT
from proviso.contracts.base import ALL_TIME, ContractError, Problem
from proviso.contracts.contract import Contract, Feature, FeatureView
from proviso.contracts.definitions import check_column, check_dating, feature_scalar, where_scalar
from proviso.contracts.publication import of_table
from proviso.contracts.sql import SqlError
from proviso.history.duckdb.dating import Dating
from proviso.history.duckdb.engine import column_type, names, quoted
from proviso.history.duckdb.layout import Layout, Term
from proviso.history.duckdb.source import events_source
from proviso.history.duckdb.sweeps import SWEPT
from proviso.history.duckdb.transactions import events_of


def check_aggregates(contract: Contract, views: Iterable[FeatureView]) -> None:
    """Refuses what could not be computed exactly. Raises ContractError with every problem."""
    problems = []
    for view in views:
        for aggregate in view.aggregates:
            path = f"feature_views[{view.name}].aggregates[{aggregate.name}]"
            column = partial(check_column, contract, view, aggregate)
            problems += _refusals(f"{path}.of", column, "aggregate_column_invalid")
            problems += _refusals(f"{path}.where", partial(where_scalar, contract, view, aggregate))
            problems += _refusals(f"{path}.dated", partial(check_dating, contract, view, aggregate))
        for feature in view.features if not of_table(view) else ():
            path = f"feature_views[{view.name}].features[{feature.name}].sql"
            problems += _refusals(path, partial(feature_scalar, contract, view, feature))
    if problems:
        raise ContractError(problems)


def dated_events(contract: Contract, view: FeatureView, layout: Layout, dated: Dating) -> str:
    """Events with `_entity`, `_moment`, `_known`, and what each adds to the terms of a dating."""
    added = {name: f"({t.value})::{t.type}" for name, t in layout.bases(dated).items()}
    return _dated(contract, view, dated, added)


def swept_events(contract: Contract, view: FeatureView, layout: Layout, dated: Dating) -> str:
    """Events with `_entity`, `_moment`, `_known`, the values of the sweeps of a dating, and
    `_event` and `_id`, which decide between equal moments."""
    row_id = quoted(events_source(contract, view).id)
    values = {**layout.swept_values(dated), "_event": "_event", "_id": row_id}
    return _dated(contract, view, dated, values)


def _dated(contract: Contract, view: FeatureView, dated: Dating, columns: Mapping[str, str]) -> str:
    """An event dated by what is known later exists only once that is known."""
    stated = "".join(f", {value} as {name}" for name, value in columns.items())
    keys, events = names(*contract.join_keys(view)), events_of(events_source(contract, view))
    return (
        f"select _entity, {dated.moment} as _moment, {dated.known} as _known{stated}"
        f" from {events} join _entities using ({keys}) where {dated.exists}"
    )


def changes(layout: Layout, dated: Dating, end: int | None = None) -> Iterator[str]:
    """What the cells of a dating add to every term where they enter, and take where they leave.

    The table of cells has `_entity`, `_in`, an `_out<window>` for each window (null: not left) and
    the bases, which count from `_in` on and no longer from `_out` on. end: changes from it on are
    left out.
    """
    bases = {term.value: name for name, term in layout.bases(dated).items()}
    before = "true" if end is None else f"_in < {end:d}"
    entered = (
        _change(term, f"case when {_counts(term.window)} then {bases[term.value]} end")
        if term.dated == dated
        else _change(term, "null")
        for term in layout.terms
    )
    yield f"select _entity, _in as _at, {', '.join(entered)} from {dated.cells} where {before}"
    for window in layout.windows(dated):
        left = (
            _change(term, f"-{bases[term.value]}")
            if (term.dated, term.window) == (dated, window)
            else _change(term, "null")
            for term in layout.terms
        )
        until = "" if end is None else f" and _out{window} < {end:d}"
        yield (
            f"select _entity, _out{window}, {', '.join(left)} from {dated.cells}"
            f" where _in < _out{window}{until}"
        )


def _counts(window: int) -> str:
    """Whether a cell enters a window before it leaves it."""
    return "true" if window == ALL_TIME else f"coalesce(_in < _out{window}, true)"


def _change(term: Term, value: str) -> str:
    return f"({value})::hugeint as {term.name}"


def sums_of_changes(layout: Layout) -> str:
    """Changes of one entity at one moment, added up: 128 bits, since amounts may be near 2^53."""
    return ", ".join(f"coalesce(sum({t.name}), 0)::hugeint as {t.name}" for t in layout.terms)


def running_sums(layout: Layout, window: str) -> str:
    """Changes so far: the terms of a state, wide enough for products of sums."""
    return ", ".join(f"sum({t.name}) over {window} as {t.name}" for t in layout.terms)


def nothing_kept(layout: Layout) -> str:
    """What is kept of a state without events."""
    sums = [f"0::hugeint as {term.name}" for term in layout.terms]
    return ", ".join([*sums, *(f"null::{s.type} as {s.name}" for s in layout.sweeps)])


def no_sums(layout: Layout) -> str:
    """No change of any term."""
    return ", ".join(f"0::hugeint as {term.name}" for term in layout.terms)


def with_steps(layout: Layout, states: str, at: str) -> str:
    """States, from their column `at` on, with the steps that hold there."""
    if not layout.sweeps:
        return states
    steps = "".join(f", _s.{sweep.name}" for sweep in layout.sweeps)
    return (
        f"select _q.*{steps} from ({states}) _q asof left join {SWEPT} _s"
        f" on _q._entity = _s._entity and _q.{at} >= _s._at"
    )


def feature_columns(contract: Contract, view: FeatureView) -> str:
    """The features over the aggregates; what their type or the model's cannot hold is null."""
    return ", ".join(f"{_feature(contract, view, f)} as {quoted(f.name)}" for f in view.features)


def _feature(contract: Contract, view: FeatureView, feature: Feature) -> str:
    kind = column_type(feature.dtype)
    value = f"try(({feature_scalar(contract, view, feature).sql()})::{kind})"
    if feature.dtype != "float64":
        return value
    return f"case when abs({value}) < {MODEL_LIMIT!r} then {value} end"


def _refusals(
    path: str, judge: Callable[[], object], code: str = "scalar_sql_invalid"
) -> list[Problem]:
    try:
        judge()
    except SqlError as error:
        return [Problem(path, error.found, error.wanted, error.why, code)]
    return []
