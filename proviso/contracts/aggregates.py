"""The aggregate functions that a contract may name: what one event adds to a window's total.

Every one is a sum of exact integers over the events of a window, so that an event can be taken
away again when it leaves the window, and the order of work never shows. To add one: its meaning
here, its SQL in each engine (`history/duckdb/aggregates.py`), and nothing else; the test of the
registry (`tests/unit/history/test_aggregates.py`) then holds the engine to the meaning.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class AggregateFunction:
    """A function of a contract's `aggregates`.

    value: what an event adds, given the integer in the column of the aggregate (`of`), or 1 for a
    function that takes no column. wide: the sum may need more than 64 bits.
    """

    value: Callable[[int], int]
    takes_column: bool = True
    wide: bool = False


AGGREGATES: Mapping[str, AggregateFunction] = {
    "count": AggregateFunction(lambda one: one, takes_column=False),
    "sum": AggregateFunction(lambda value: value),
    "sum_of_squares": AggregateFunction(lambda value: value * value, wide=True),
}
