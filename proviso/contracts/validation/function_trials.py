"""Tries a project's function on made-up rows: one row is the row within a batch, no call differs.

Rows are of every kind that an input can be: usual numbers, both zeros, infinities, extremes and
missing ones; texts of any alphabet; moments from year 1 to 9999. The same rows are made each time.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from feature_runtime.core.moments import DAY, MISSING, parse_moment
from feature_runtime.core.project_functions import Evaluated, ProjectFunction
from proviso.contracts.base import Problem

ROWS = 256
_PARTS = (1, 2, 3, 7, 64)
_SEED = 20
_TIMED = 200

_NUMBERS = (
    *(0.0, -0.0, 1.0, -1.0, 0.5, 2.0**53, 1e-300, 5e-324, 1e18, -1e18),
    *(1.7976931348623157e308, -1.7976931348623157e308, np.inf, -np.inf, np.nan),
)
_TEXTS = ("", " ", "a", "A", "UA", "JFK", "0", "ä", "日本", "x" * 1024, None)
_MOMENTS = ("0001-01-01T00:00:00Z", "1970-01-01T00:00:00Z", "2024-02-29T23:59:59Z",
            "2255-01-01T00:00:00Z", "9999-12-31T23:59:59Z")  # fmt: skip


@dataclass(frozen=True)
class Timing:
    """What a call takes, microseconds: of one row, and of a row in a batch of ROWS."""

    name: str
    alone: float
    in_batch: float

    def __str__(self) -> str:
        times = f"{self.alone:.0f} us a call of one row, {self.in_batch:.2f} us a row of {ROWS}"
        return f"{self.name}: {times}"


def behaviour_problems(place: str, function: ProjectFunction) -> Iterator[Problem]:
    """What a function does that it may not; `place` is its path in the contract."""
    columns = made_up_rows(function)
    whole = function.evaluate(columns, ROWS)
    yield from _failures(place, whole)
    if _differs(whole, function.evaluate(columns, ROWS)):
        wanted, code = "the same values each time", "function_not_repeatable"
        yield Problem(place, "other values from a second call", wanted, code=code)
        return
    for size in _PARTS:
        apart = _in_parts(function, columns, size)
        if row := _differs(whole, apart):
            i = row - 1
            alone = f"{apart.values[i]} in batches of {size}"
            found = f"{whole.values[i]} for row {i} of {ROWS}, {alone}"
            why = f"its inputs are {[column[i] for column in columns]}"
            wanted = "the value of a row from that row alone"
            yield Problem(place, found, wanted, why, "function_depends_on_batch")
            return
    if function.evaluate([column[:0] for column in columns], 0).values.size:
        yield Problem(place, "values for no rows", "none", code="function_depends_on_batch")


def timing(function: ProjectFunction) -> Timing:
    """Median times of calls on made-up rows."""
    columns = made_up_rows(function)
    alone, batch = (
        _median(function, [column[:size] for column in columns], size) for size in (1, ROWS)
    )
    return Timing(function.declaration.name, alone, batch / ROWS)


def made_up_rows(function: ProjectFunction) -> list[NDArray[Any]]:
    """Columns of ROWS values for the declared inputs, the same each time."""
    draw = np.random.default_rng(_SEED)
    return [_column(dtype, draw) for dtype in function.declaration.inputs]


def _column(dtype: str, draw: np.random.Generator) -> NDArray[Any]:
    if dtype == "string":
        texts = np.empty(ROWS, dtype=np.object_)
        texts[:] = [_TEXTS[i] for i in draw.integers(0, len(_TEXTS), ROWS)]
        return texts
    if dtype == "timestamp":
        special = np.array([*map(parse_moment, _MOMENTS), MISSING])
        usual = draw.integers(0, 30_000, ROWS) * DAY + draw.integers(0, DAY, ROWS)
    else:
        special = np.array(_NUMBERS)
        usual = np.round(draw.normal(0, 100, ROWS), 2)
    return np.where(draw.random(ROWS) < 0.3, draw.choice(special, ROWS), usual)


def _failures(place: str, whole: Evaluated) -> Iterator[Problem]:
    """A wrong shape, type or bound is a fault; an exception refuses its row, and may do so."""
    for failure in whole.failures:
        if failure.code != "function_raised":
            found = f"{failure.message} (row {failure.row} of made-up rows)"
            yield Problem(place, found, "what the contract declares", code=failure.code)
            return
    if len(whole.failures) == ROWS:
        found, why = f"{whole.failures[0].message} for every made-up row", "nothing could be tried"
        wanted = "a value, or NaN, for most rows"
        yield Problem(place, found, wanted, why, "function_raised")


def _in_parts(function: ProjectFunction, columns: Sequence[NDArray[Any]], size: int) -> Evaluated:
    """The rows, `size` at a time, from the last part to the first."""
    values, failures = np.full(ROWS, np.nan), []
    for first in reversed(range(0, ROWS, size)):
        part = [column[first : first + size] for column in columns]
        found = function.evaluate(part, len(part[0]))
        values[first : first + size] = found.values
        failures += [one._replace(row=first + one.row) for one in found.failures]
    return Evaluated(values, tuple(sorted(failures)))


def _differs(one: Evaluated, other: Evaluated) -> int:
    """The first row, counted from 1, in which two results differ in bits or failure; 0 for none."""
    bits = [np.where(np.isnan(e.values), np.nan, e.values).view(np.int64) for e in (one, other)]
    rows = {*np.flatnonzero(bits[0] != bits[1]).tolist()}
    rows |= {failure.row for failure in {*one.failures} ^ {*other.failures}}
    return min(rows) + 1 if rows else 0


def _median(function: ProjectFunction, columns: Sequence[NDArray[Any]], size: int) -> float:
    taken = []
    for _ in range(_TIMED):
        start = time.perf_counter_ns()
        function.evaluate(columns, size)
        taken.append(time.perf_counter_ns() - start)
    return float(np.median(taken)) / 1_000
