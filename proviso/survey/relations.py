"""What columns are to each other in the sampled rows of a table."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from proviso.survey.facts import ColumnFacts, Value

_MOST = 0.999
"""The share of sampled rows in which a relation must hold."""
FEW = 20
"""Sampled rows below which an order of values means nothing."""

_NUMBERS = ("integer", "decimal", "float")


def never_before(event: ColumnFacts, other: ColumnFacts) -> bool:
    """Whether nearly no sampled row has `other` before `event`; both are moments."""
    held = [first <= second for first, second in _pairs(event, other)]
    return bool(held) and sum(held) >= _MOST * len(held)


def null_together(one: ColumnFacts, other: ColumnFacts) -> bool:
    """Whether the same rows lack both values."""
    missing = [value is None for value in one.sample]
    return one.nulls == other.nulls and missing == [value is None for value in other.sample]


def tells(column: ColumnFacts, label: ColumnFacts) -> bool:
    """Whether a column tells the label of every sampled row: by a threshold, or as a text."""
    pairs = [
        (value, bool(fact))
        for value, fact in zip(column.sample, label.sample, strict=True)
        if value is not None and fact is not None
    ]
    positive = [value for value, fact in pairs if fact]
    negative = [value for value, fact in pairs if not fact]
    if len(pairs) < FEW or not positive or not negative:
        return False
    if column.kind == "text":
        return column.distinct <= FEW and not set(positive) & set(negative)
    if column.kind not in (*_NUMBERS, "boolean"):
        return False
    return _apart(_numbers(positive), _numbers(negative))


def grows(column: ColumnFacts, event: ColumnFacts) -> bool:
    """Whether values hardly ever fall in the order of the events, and the last exceed the first."""
    if column.kind not in _NUMBERS:
        return False
    values = [value for _, value in sorted(_pairs(event, column))]
    if len(values) < FEW:
        return False
    falls = sum(later < earlier for earlier, later in itertools.pairwise(values))
    fifth = len(values) // 5
    return falls <= (1 - _MOST) * len(values) and min(values[-fifth:]) > max(values[:fifth])


def missing_lately(column: ColumnFacts, event: ColumnFacts) -> bool:
    """Whether the last rows lack the value far more often than those before, as outcomes do."""
    pairs = zip(event.sample, column.sample, strict=True)
    missing = [
        v is None
        for _, v in sorted(((at, v) for at, v in pairs if isinstance(at, int)), key=_first)
    ]
    last = max(len(missing) // 20, FEW // 4)
    if len(missing) < FEW or not any(missing):
        return False
    lately, before = missing[-last:], missing[:-last]
    return 2 * sum(lately) >= last and sum(lately) * len(before) >= 3 * sum(before) * last


def _first(pair: tuple[int, Value]) -> int:
    return pair[0]


def share_in_common(one: ColumnFacts, other: ColumnFacts) -> float:
    """Of the sampled values of the column that has fewer, the share that the other has, too."""
    values = [{value for value in column.sample if value is not None} for column in (one, other)]
    fewer = min(map(len, values))
    return len(values[0] & values[1]) / fewer if fewer > 2 else 0.0


def _apart(positive: Sequence[float], negative: Sequence[float]) -> bool:
    return min(positive) > max(negative) or max(positive) < min(negative)


def _pairs(one: ColumnFacts, other: ColumnFacts) -> list[tuple[float, float]]:
    """The numbers and moments of the rows that have both."""
    pairs = zip(one.sample, other.sample, strict=True)
    return [(a, b) for a, b in pairs if isinstance(a, int | float) and isinstance(b, int | float)]


def _numbers(values: Sequence[Value]) -> list[float]:
    return [value for value in values if isinstance(value, int | float)]
