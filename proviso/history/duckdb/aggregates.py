"""The contract's aggregates and features as SQL over the table `events`.

What is added up are exact integers, so the order of work never shows. An aggregate is made of
running sums (`Term`): a mean is one of values and one of how many there are. Aggregates that need
the same sum share it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from feature_runtime.core.encode import MODEL_LIMIT
from proviso.contracts.base import ALL_TIME, ContractError, Problem
from proviso.contracts.contract import Aggregate, Contract, Feature, FeatureView, Scheduled
from proviso.contracts.definitions import (
    check_column,
    column_of,
    feature_scalar,
    units_of,
    where_scalar,
)
from proviso.contracts.sql import SqlError
from proviso.history.duckdb.engine import column_type, names, quoted
from proviso.history.duckdb.transactions import EVENTS

MEMBERS = "_members"


@dataclass(frozen=True)
class Term:
    """A running sum: over a window of events of a dating, of what each adds (SQL, an integer)."""

    name: str
    dated: str
    window: int
    value: str
    wide: bool

    @property
    def type(self) -> str:
        """The type of what one event adds."""
        return "hugeint" if self.wide else "bigint"


@dataclass(frozen=True)
class Layout:
    """The running sums of a view, and each aggregate's value as SQL over them."""

    terms: Sequence[Term]
    values: Mapping[str, str]

    @property
    def datings(self) -> list[str]:
        """The datings of the view's terms."""
        return sorted({term.dated for term in self.terms})

    def windows(self, dated: str) -> list[int]:
        """The windows of a dating that events leave."""
        windows = {term.window for term in self.terms if term.dated == dated}
        return sorted(windows - {ALL_TIME})

    def bases(self, dated: str) -> dict[str, Term]:
        """By its column: what an event adds to some of the terms of a dating."""
        values = dict.fromkeys((t.value, t.wide) for t in self.terms if t.dated == dated)
        places = {value: f"_b{place}" for place, value in enumerate(values)}
        return {places[t.value, t.wide]: t for t in self.terms if t.dated == dated}

    @property
    def columns(self) -> str:
        """The view's aggregates over the columns of the terms."""
        return "".join(f", {value} as {quoted(name)}" for name, value in self.values.items())


def layout_of(contract: Contract, view: FeatureView) -> Layout:
    """What is summed for a view. Of a scheduled view, its population too."""
    terms: dict[tuple[str, int, str], Term] = {}
    if isinstance(view.publication, Scheduled):
        terms["event", view.population, "1"] = Term(MEMBERS, "event", view.population, "1", False)
    values = {}
    for aggregate in view.aggregates:
        add = partial(_term, terms, aggregate)
        values[aggregate.name] = _VALUES[aggregate.function](_Parts(contract, view, aggregate, add))
    return Layout(list(terms.values()), values)


def _term(
    terms: dict[tuple[str, int, str], Term], aggregate: Aggregate, value: str, wide: bool = False
) -> str:
    """The column of a sum, which may be there already."""
    key = (aggregate.dated, aggregate.window, value)
    name = f"_t{len(terms)}"
    return terms.setdefault(key, Term(name, *key, wide)).name


@dataclass(frozen=True)
class _Parts:
    """What an aggregate is made of; each property is the column of a sum."""

    contract: Contract
    view: FeatureView
    aggregate: Aggregate
    add: Callable[..., str]

    @property
    def events(self) -> str:
        """How many events meet the condition and have a value."""
        of = self.aggregate.of
        conditions = [] if self.aggregate.where is None else [self._where]
        conditions += [] if of is None else [f"{quoted(of)} is not null"]
        return self.add(_counted(conditions, "1"))

    @property
    def judged(self) -> str:
        """How many events have a condition that is true or false."""
        return self.add(_counted([f"({self._where}) is not null"], "1"))

    @property
    def total(self) -> str:
        return self._sum(self._value("bigint"), wide=False)

    @property
    def squares(self) -> str:
        value = self._value("hugeint")
        return self._sum(f"{value} * {value}", wide=True)

    @property
    def units(self) -> int:
        return units_of(self.contract, self.view, self.aggregate)

    def _sum(self, value: str, wide: bool) -> str:
        where = [] if self.aggregate.where is None else [self._where]
        return self.add(_counted(where, f"coalesce({value}, 0)"), wide)

    @property
    def _where(self) -> str:
        return aggregate_where(self.contract, self.view, self.aggregate)

    def _value(self, kind: str) -> str:
        """The column as an integer; a double in units of the aggregate's scale."""
        column = column_of(self.contract, self.view, self.aggregate)
        value = quoted(self.aggregate.of or "")
        if column is not None and column.dtype == "float64":
            value = f"round({value} * {self.units:d}::double)"
        return f"{value}::{kind}"


def _counted(conditions: Sequence[str], value: str) -> str:
    if not conditions:
        return value
    return f"case when {' and '.join(f'({one})' for one in conditions)} then {value} else 0 end"


def _mean(parts: _Parts) -> str:
    return f"{parts.total} / nullif({_times(parts.events, parts.units)}, 0)"


def _variance(parts: _Parts) -> str:
    count, total, squares = parts.events, parts.total, parts.squares
    divisor = f"({_times(count, parts.units)} * {_times(count, parts.units)})"
    return f"try(({count} * {squares} - {total} * {total}) / nullif({divisor}, 0))"


def _times(count: str, units: int) -> str:
    return count if units == 1 else f"({count} * {units:d})"


_VALUES: Mapping[str, Callable[[_Parts], str]] = {
    "count": lambda parts: parts.events,
    "sum": lambda parts: parts.total,
    "sum_of_squares": lambda parts: parts.squares,
    "mean": _mean,
    "variance": _variance,
    "stddev": lambda parts: f"sqrt({_variance(parts)})",
    "share": lambda parts: f"{parts.events} / nullif({parts.judged}, 0)",
}
"""The value of each function of the contract's registry, as SQL over the sums that it needs."""


def check_aggregates(contract: Contract, views: Iterable[FeatureView]) -> None:
    """Refuses what could not be computed exactly. Raises ContractError with every problem."""
    problems = []
    for view in views:
        for aggregate in view.aggregates:
            path = f"feature_views[{view.name}].aggregates[{aggregate.name}]"
            column = partial(check_column, contract, view, aggregate)
            problems += _refusals(f"{path}.of", column, "aggregate_column_invalid")
            problems += _refusals(f"{path}.where", partial(where_scalar, contract, view, aggregate))
        for feature in view.features:
            path = f"feature_views[{view.name}].features[{feature.name}].sql"
            problems += _refusals(path, partial(feature_scalar, contract, view, feature))
    if problems:
        raise ContractError(problems)


def dated_events(contract: Contract, view: FeatureView, layout: Layout, dated: str) -> str:
    """Events with `_entity`, `_moment`, `_known`, and what each adds to the terms of a dating.

    An event dated by what is known later exists only once that is known.
    """
    moment, known, condition = "_event", "_arrival", "true"
    if dated == "known":
        moment, known = "_label_known", "greatest(_label_known, _arrival)"
        condition = "_label_known is not null"
    added = "".join(
        f", ({term.value})::{term.type} as {name}" for name, term in layout.bases(dated).items()
    )
    keys = names(*contract.join_keys(view))
    return (
        f"select _entity, {moment} as _moment, {known} as _known{added}"
        f" from {EVENTS} join _entities using ({keys}) where {condition}"
    )


def cells_of(dated: str) -> str:
    """The table of a dating's cells: what events add to its terms, from where to where."""
    return f"_cells_{dated}"


def changes(layout: Layout, dated: str, cells: str, end: int | None = None) -> Iterator[str]:
    """What the cells of a dating add to every term where they enter, and take where they leave.

    cells: a table of `_entity`, `_in`, an `_out<window>` for each window (null: not left) and the
    bases, which count from `_in` on and no longer from `_out` on. end: changes from it on are
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
    yield f"select _entity, _in as _at, {', '.join(entered)} from {cells} where {before}"
    for window in layout.windows(dated):
        left = (
            _change(term, f"-{bases[term.value]}")
            if (term.dated, term.window) == (dated, window)
            else _change(term, "null")
            for term in layout.terms
        )
        until = "" if end is None else f" and _out{window} < {end:d}"
        yield (
            f"select _entity, _out{window}, {', '.join(left)} from {cells}"
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


def no_sums(layout: Layout) -> str:
    """The terms of a state without events."""
    return ", ".join(f"0::hugeint as {term.name}" for term in layout.terms)


def feature_columns(contract: Contract, view: FeatureView) -> str:
    """The features over the aggregates; what their type or the model's cannot hold is null."""
    return ", ".join(f"{_feature(contract, view, f)} as {quoted(f.name)}" for f in view.features)


def aggregate_where(contract: Contract, view: FeatureView, aggregate: Aggregate) -> str:
    """The judged condition of an aggregate; `true` without one."""
    scalar = where_scalar(contract, view, aggregate)
    return "true" if scalar is None else scalar.sql()


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
