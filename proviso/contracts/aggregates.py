"""The aggregate functions that a contract may name: what each makes of the events of a window.

A function is its meaning over plain values, which the reference (`history/oracle.py`) computes
with; an engine computes the same to the bit (`history/duckdb/aggregates.py`). Sums are exact
integers: money in minor units, doubles in units of a stated scale (`fixed`). What is divided is
divided once, at the end, so that the order of work never shows. Where events are equal, the order
of `Rank` decides.
"""

from __future__ import annotations

import math
from collections import Counter as TimesOf
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from feature_runtime.core.availability import Value
from feature_runtime.core.keys import EntityId
from feature_runtime.core.moments import SECOND

Rank = tuple[int, int, EntityId]
"""What orders events: the moment that they are dated by, their event timestamp, their id."""


class Counted(NamedTuple):
    """The events of a window: what a function is of, a value or whether a condition holds, and
    what orders them; both [n]."""

    values: Sequence[Any]
    ranks: Sequence[Rank]


NUMBERS = frozenset({"money", "int64", "float64", "bool"})
ORDERED = NUMBERS | {"timestamp"}
ANY = ORDERED | {"string"}
"""Dtypes of columns."""

Meaning = Callable[[Counted, int, int], Value]
"""Of a window's events, the end of their window, and how many units make one of the column."""


@dataclass(frozen=True)
class AggregateFunction:
    """A function of a contract's `aggregates`.

    column: whether it is of a column (`of`); condition: whether `where` is what it measures.
    dtypes: those of columns that it takes. yields: a whole number of its own, a whole number of
    the column's units or of their squares, a quotient in the column's own terms, or one of the
    column's values.
    """

    meaning: Meaning
    yields: Literal["count", "units", "squares", "quotient", "value"]
    column: Literal["none", "required", "optional"] = "required"
    condition: bool = False
    dtypes: frozenset[str] = NUMBERS

    @property
    def sums(self) -> bool:
        """Whether the values of its column are added up: a double then needs a scale."""
        return self.column == "required" and self.yields in {"units", "squares", "quotient"}


def fixed(value: float, scale: int) -> int:
    """A double in units of 10^-scale: multiplied, then rounded, a half away from zero."""
    scaled = value * 10.0**scale
    whole = math.trunc(scaled)
    return whole if abs(scaled - whole) < 0.5 else whole + int(math.copysign(1, scaled))


def quotient(dividend: int, divisor: int) -> float | None:
    """One division of integers; None by zero."""
    return None if divisor == 0 else _double(dividend) / _double(divisor)


def _double(whole: int) -> float:
    """An integer as engines convert it: its upper and its lower 64 bits, added."""
    upper, lower = divmod(abs(whole), 2**64)
    return math.copysign(float(upper) * 2.0**64 + float(lower), whole)


def _count(events: Counted, _end: int, _unit: int) -> int:
    return len(events.values)


def _sum(events: Counted, _end: int, _unit: int) -> int:
    return sum(map(int, events.values))


def _sum_of_squares(events: Counted, _end: int, _unit: int) -> int:
    return sum(int(value) ** 2 for value in events.values)


def _mean(events: Counted, end: int, unit: int) -> float | None:
    return quotient(_sum(events, end, unit), len(events.values) * unit)


def _variance(events: Counted, end: int, unit: int) -> float | None:
    """Of the events themselves, not of a population that they were drawn from."""
    count, total = len(events.values), _sum(events, end, unit)
    squares = _sum_of_squares(events, end, unit)
    return quotient(count * squares - total * total, (count * unit) ** 2)


def _deviation(events: Counted, end: int, unit: int) -> float | None:
    variance = _variance(events, end, unit)
    return None if variance is None else math.sqrt(variance)


def _share(events: Counted, end: int, _unit: int) -> float | None:
    """Of events whose condition is true, among those for which it is true or false."""
    return quotient(_sum(events, end, 1), len(events.values))


def _least(events: Counted, _end: int, _unit: int) -> Value:
    return min(events.values, default=None)


def _greatest(events: Counted, _end: int, _unit: int) -> Value:
    return max(events.values, default=None)


def _first(events: Counted, _end: int, _unit: int) -> Value:
    return events.values[events.ranks.index(min(events.ranks))] if events.ranks else None


def _last(events: Counted, _end: int, _unit: int) -> Value:
    return events.values[events.ranks.index(max(events.ranks))] if events.ranks else None


def _distinct(events: Counted, _end: int, _unit: int) -> int:
    return len(set(events.values))


def _most_frequent(events: Counted, _end: int, _unit: int) -> Value:
    """Of values that are equally frequent the least."""
    times = TimesOf(events.values)
    return min(times, key=lambda value: (-times[value], value), default=None)


def _time_since(events: Counted, end: int, _unit: int) -> int | None:
    """Whole seconds from the last event to the window's end."""
    return (end - max(events.ranks)[0]) // SECOND if events.ranks else None


AGGREGATES: Mapping[str, AggregateFunction] = {
    "count": AggregateFunction(_count, "count", "none"),
    "sum": AggregateFunction(_sum, "units"),
    "sum_of_squares": AggregateFunction(_sum_of_squares, "squares"),
    "mean": AggregateFunction(_mean, "quotient"),
    "variance": AggregateFunction(_variance, "quotient"),
    "stddev": AggregateFunction(_deviation, "quotient"),
    "share": AggregateFunction(_share, "quotient", "none", condition=True),
    "min": AggregateFunction(_least, "value", dtypes=ORDERED),
    "max": AggregateFunction(_greatest, "value", dtypes=ORDERED),
    "first": AggregateFunction(_first, "value", dtypes=ANY),
    "last": AggregateFunction(_last, "value", dtypes=ANY),
    "count_distinct": AggregateFunction(_distinct, "count", dtypes=ANY),
    "most_frequent": AggregateFunction(_most_frequent, "value", dtypes=ANY),
    "time_since": AggregateFunction(_time_since, "count", "optional", dtypes=ANY),
}
