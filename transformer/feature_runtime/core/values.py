"""Values of features and request fields beside numbers: which there are, and their statuses.

A string is any text of at most MAX_TEXT_BYTES of UTF-8, the empty one included; it is compared by
its code points and never normalised. `availability` judges the other types; `value_status` here is
what reads use.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from feature_runtime.core import availability
from feature_runtime.core.availability import Row, Status, Value

MAX_TEXT_BYTES = 1024
"""Of a string as UTF-8, in a history, a key of the store and a request."""

TEXT = f"at most {MAX_TEXT_BYTES} bytes of UTF-8"

EXACT = 2**53
"""Integers below it are exact as doubles, in which the encoder computes."""

Texts = NDArray[np.object_]
"""Strings [n], None where there is none."""

Column = NDArray[np.float64] | NDArray[np.int64] | Texts
"""A field or feature of n rows: float64 for numbers and truth values, NaN where missing; int64
microseconds for moments; Texts for strings."""

NO_TEXTS: Mapping[str, Texts] = {}


def valid_text(text: str) -> bool:
    """Whether a string may be the value of a feature or a field."""
    try:
        return len(text) <= MAX_TEXT_BYTES and len(text.encode()) <= MAX_TEXT_BYTES
    except UnicodeEncodeError:  # a lone surrogate
        return False


def value_status(value: Value, dtype: str) -> Status:
    """Whether a stored value of an OK view is of the contract's type."""
    if dtype != "string":
        return availability.value_status(value, dtype)
    if value is None:
        return Status.NULL
    return Status.OK if type(value) is str and valid_text(value) else Status.TYPE


def feature_statuses(
    view_status: Status, row: Row | None, dtypes: Sequence[str]
) -> tuple[Status, ...]:
    """Status per feature: the view's unless that is OK, then by the stored value."""
    if view_status is not Status.OK or row is None:
        return (view_status,) * len(dtypes)
    return tuple(value_status(v, d) for v, d in zip(row.values, dtypes, strict=True))


def texts_of(values: Sequence[str | None]) -> Texts:
    """Strings [n] as a column; NumPy's own string types would cut and compare them otherwise."""
    column: Texts = np.empty(len(values), dtype=np.object_)
    column[:] = values
    return column
