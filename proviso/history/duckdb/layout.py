"""What is kept for a view's aggregates: running sums, and steps of what is best in a window.

An aggregate is SQL over these: a mean is one running sum of values and one of how many there are.
Aggregates that need the same share it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from proviso.contracts.base import ALL_TIME
from proviso.contracts.contract import Aggregate, Contract, FeatureView, Scheduled
from proviso.contracts.definitions import column_of, units_of, where_scalar
from proviso.history.duckdb.dating import BY_EVENT, Dating, dating_of
from proviso.history.duckdb.engine import quoted

MEMBERS = "_members"
END = "_end"
"""The end of a row's windows."""
SECOND = 1_000_000

Steps = Literal["greatest", "least", "first", "last", "age", "frequent", "distinct"]


@dataclass(frozen=True)
class Term:
    """A running sum over a window of events of a dating: what each adds is SQL, an integer."""

    name: str
    dated: Dating
    window: int
    value: str
    wide: bool

    @property
    def type(self) -> str:
        """The type of what one event adds."""
        return "hugeint" if self.wide else "bigint"


@dataclass(frozen=True)
class Sweep:
    """Steps over a window of events of a dating, of the values of those that count.

    value: the column of the events' values, null where an event does not count; stated: its SQL.
    type: the engine's, of the steps.
    """

    name: str
    dated: Dating
    window: int
    kind: Steps
    value: str
    stated: str
    type: str


@dataclass(frozen=True)
class Layout:
    """What is kept for a view, and each aggregate's value as SQL over it."""

    terms: Sequence[Term]
    sweeps: Sequence[Sweep]
    values: Mapping[str, str]

    @property
    def datings(self) -> list[Dating]:
        """The datings of the running sums."""
        return sorted({term.dated for term in self.terms})

    @property
    def swept_datings(self) -> list[Dating]:
        return sorted({sweep.dated for sweep in self.sweeps})

    @property
    def moves(self) -> bool:
        """Whether a value depends on the window's end as well, so that no two runs share it."""
        return any(sweep.kind == "age" for sweep in self.sweeps)

    def windows(self, dated: Dating) -> list[int]:
        """The windows of a dating's sums that events leave."""
        windows = {term.window for term in self.terms if term.dated == dated}
        return sorted(windows - {ALL_TIME})

    def swept_windows(self, dated: Dating) -> list[int]:
        """All windows of a dating's sweeps."""
        return sorted({sweep.window for sweep in self.sweeps if sweep.dated == dated})

    def bases(self, dated: Dating) -> dict[str, Term]:
        """By its column: what an event adds to some of the terms of a dating."""
        values = dict.fromkeys((t.value, t.wide) for t in self.terms if t.dated == dated)
        places = {value: f"_b{place}" for place, value in enumerate(values)}
        return {places[t.value, t.wide]: t for t in self.terms if t.dated == dated}

    def swept_values(self, dated: Dating) -> dict[str, str]:
        """By its column: the SQL of a value that some of the sweeps of a dating need."""
        return {sweep.value: sweep.stated for sweep in self.sweeps if sweep.dated == dated}

    @property
    def columns(self) -> str:
        """The view's aggregates over what is kept."""
        return "".join(f", {value} as {quoted(name)}" for name, value in self.values.items())


def layout_of(contract: Contract, view: FeatureView) -> Layout:
    """What is kept for a view. Of a scheduled view, its population too."""
    kept = _Kept()
    if isinstance(view.publication, Scheduled):
        kept.terms[BY_EVENT, view.population, "1"] = Term(
            MEMBERS, BY_EVENT, view.population, "1", wide=False
        )
    values = {
        aggregate.name: _VALUES[aggregate.function](_Parts(contract, view, aggregate, kept))
        for aggregate in view.aggregates
    }
    return Layout(list(kept.terms.values()), list(kept.sweeps.values()), values)


@dataclass(frozen=True)
class _Kept:
    """What the aggregates so far need, by what decides it."""

    terms: dict[tuple[Dating, int, str], Term] = field(default_factory=dict)
    sweeps: dict[tuple[Dating, int, Steps, str], Sweep] = field(default_factory=dict)
    swept: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class _Parts:
    """What an aggregate is made of; each property is the column of something that is kept."""

    contract: Contract
    view: FeatureView
    aggregate: Aggregate
    kept: _Kept

    @property
    def events(self) -> str:
        """How many events meet the condition and have a value."""
        return self._sum("1", valued=True)

    @property
    def judged(self) -> str:
        """How many events have a condition that is true or false."""
        return self._term(f"case when ({self._where}) is not null then 1 else 0 end")

    @property
    def total(self) -> str:
        return self._sum(f"coalesce({self._number('bigint')}, 0)")

    @property
    def squares(self) -> str:
        value = self._number("hugeint")
        return self._sum(f"coalesce({value} * {value}, 0)", wide=True)

    @property
    def units(self) -> int:
        return units_of(self.contract, self.view, self.aggregate)

    def steps(self, kind: Steps) -> str:
        """Steps over the values of the events that meet the condition."""
        value, engine_type = self._value()
        stated = self._if(self._conditions(valued=False), value, "null")
        column = self.kept.swept.setdefault(stated, f"_v{len(self.kept.swept)}")
        dated, window = self._dated, self.aggregate.window
        key = (dated, window, kind, stated)
        made = engine_type if kind not in {"age", "distinct"} else "bigint"
        sweep = Sweep(f"_s{len(self.kept.sweeps)}", dated, window, kind, column, stated, made)
        return self.kept.sweeps.setdefault(key, sweep).name

    def _sum(self, value: str, *, valued: bool = False, wide: bool = False) -> str:
        return self._term(self._if(self._conditions(valued=valued), value, "0"), wide=wide)

    def _term(self, value: str, *, wide: bool = False) -> str:
        key = (self._dated, self.aggregate.window, value)
        term = Term(f"_t{len(self.kept.terms)}", *key, wide)
        return self.kept.terms.setdefault(key, term).name

    @property
    def _dated(self) -> Dating:
        return dating_of(self.contract, self.view, self.aggregate)

    def _conditions(self, *, valued: bool) -> list[str]:
        conditions = [] if self.aggregate.where is None else [self._where]
        has_value = valued and self.aggregate.of is not None
        return [*conditions, *([f"{self._column} is not null"] if has_value else [])]

    def _if(self, conditions: Sequence[str], value: str, otherwise: str) -> str:
        if not conditions:
            return value
        all_of = " and ".join(f"({one})" for one in conditions)
        return f"case when {all_of} then {value} else {otherwise} end"

    @property
    def _where(self) -> str:
        return aggregate_where(self.contract, self.view, self.aggregate)

    @property
    def _column(self) -> str:
        return quoted(self.aggregate.of or "")

    def _number(self, kind: str) -> str:
        """The column as an integer; a double in units of the aggregate's scale."""
        column = column_of(self.contract, self.view, self.aggregate)
        value = self._column
        if column is not None and column.dtype == "float64":
            value = f"round({value} * {self.units:d}::double)"
        return f"{value}::{kind}"

    def _value(self) -> tuple[str, str]:
        """The column as it is swept, and the type of what comes of it."""
        column = column_of(self.contract, self.view, self.aggregate)
        if column is None:
            return "1::bigint", "bigint"
        swept, made = _SWEPT.get(column.dtype, ("bigint", "bigint"))
        return f"{self._column}::{swept}", made


_SWEPT: Mapping[str, tuple[str, str]] = {
    "float64": ("double", "double"),
    "bool": ("bigint", "boolean"),
    "string": ("varchar", "varchar"),
}
"""The engine's types in which columns are swept, and of what comes of it; others are integers."""


def aggregate_where(contract: Contract, view: FeatureView, aggregate: Aggregate) -> str:
    """The judged condition of an aggregate; `true` without one."""
    scalar = where_scalar(contract, view, aggregate)
    return "true" if scalar is None else scalar.sql()


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
    "min": lambda parts: parts.steps("least"),
    "max": lambda parts: parts.steps("greatest"),
    "first": lambda parts: parts.steps("first"),
    "last": lambda parts: parts.steps("last"),
    "count_distinct": lambda parts: f"coalesce({parts.steps('distinct')}, 0)",
    "most_frequent": lambda parts: parts.steps("frequent"),
    "time_since": lambda parts: f"({END} - {parts.steps('age')}) // {SECOND:d}",
}
"""The value of each function of the contract's registry, as SQL over what it needs."""
