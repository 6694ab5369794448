"""The named functions that features are computed with, by training and by the pod.

To add one: write it here under its registration, and its test in tests/unit/core/test_functions.py.
Contracts refer to it by name.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from feature_runtime.core import moments

Floats = NDArray[np.float64]
Moments = NDArray[np.int64]
ClockFunction = Callable[[Moments], Floats]

_THURSDAY = 3  # 1970-01-01; Monday is 0


@dataclass(frozen=True)
class DerivedFunction:
    """A function of `arity` columns [n] to one; NaN goes through."""

    arity: int
    call: Callable[..., Floats]


_CLOCK: dict[str, ClockFunction] = {}
_DERIVED: dict[str, DerivedFunction] = {}

CLOCK_FUNCTIONS: Mapping[str, ClockFunction] = _CLOCK
"""Request features of the scoring moment, or of a timestamp field, on the contract's clock."""

DERIVED_FUNCTIONS: Mapping[str, DerivedFunction] = _DERIVED
"""Features of other features."""


def clock(function: ClockFunction) -> ClockFunction:
    """Registers a function of moments [n] on a wall clock (`Zone.local`) under its name."""

    @functools.wraps(function)
    def or_missing(at: Moments) -> Floats:
        values, missing = function(at), at == moments.MISSING
        return np.where(missing, np.nan, values) if missing.any() else values

    _CLOCK[function.__name__] = or_missing
    return or_missing


def derived(function: Callable[..., Floats]) -> Callable[..., Floats]:
    """Registers a function of columns [n] under its name; it takes as many as it has parameters."""
    arity = len(inspect.signature(function).parameters)
    _DERIVED[function.__name__] = DerivedFunction(arity, function)
    return function


@clock
def hour_of_day(at: Moments) -> Floats:
    """0 to 23."""
    return (at // moments.HOUR % 24).astype(np.float64)


@clock
def day_of_week(at: Moments) -> Floats:
    """Monday is 0, Sunday 6."""
    return ((at // moments.DAY + _THURSDAY) % 7).astype(np.float64)


@clock
def is_weekend(at: Moments) -> Floats:
    """1 on Saturday and Sunday."""
    return (day_of_week(at) >= 5).astype(np.float64)


@clock
def is_night(at: Moments) -> Floats:
    """1 before six o'clock."""
    return (hour_of_day(at) < 6).astype(np.float64)


@clock
def month(at: Moments) -> Floats:
    """1 to 12."""
    return (_since(at, "M") % 12 + 1).astype(np.float64)


@clock
def day_of_month(at: Moments) -> Floats:
    """1 to 31."""
    return (at // moments.DAY - _start(at, "M") + 1).astype(np.float64)


@clock
def day_of_year(at: Moments) -> Floats:
    """1 to 366."""
    return (at // moments.DAY - _start(at, "Y") + 1).astype(np.float64)


def _since(at: Moments, unit: str) -> Moments:
    """Whole months or years since 1970."""
    return np.asarray(at.view("datetime64[us]").astype(f"datetime64[{unit}]").astype(np.int64))


def _start(at: Moments, unit: str) -> Moments:
    """The day, since 1970-01-01, on which the month or year of each moment begins."""
    begins = at.view("datetime64[us]").astype(f"datetime64[{unit}]")
    return np.asarray(begins.astype("datetime64[D]").astype(np.int64))


@derived
def ratio(part: Floats, whole: Floats) -> Floats:
    """part / whole; missing where whole is zero."""
    return np.asarray(np.divide(part, whole, out=np.full(part.shape, np.nan), where=whole != 0))


@derived
def difference(left: Floats, right: Floats) -> Floats:
    """left - right."""
    return left - right


@derived
def zscore(value: Floats, mean: Floats, deviation: Floats) -> Floats:
    """(value - mean) / deviation; missing where there is no deviation."""
    return ratio(value - mean, deviation)
