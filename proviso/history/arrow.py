"""Conversion between Arrow columns and numpy arrays without a copy.

Arrow's own conversion imports pandas, which takes longer than a small join.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

_TYPES = {np.dtype(np.int64): pa.int64(), np.dtype(np.float64): pa.float64()}


def as_numpy(column: pa.Array | pa.ChunkedArray) -> np.ndarray[Any, Any]:
    """A read-only array of a column of numbers without nulls."""
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    return np.from_dlpack(column)


def as_arrow(values: np.ndarray[Any, Any]) -> pa.Array:
    """An Arrow array of int64 or float64 values."""
    buffer = pa.py_buffer(np.ascontiguousarray(values))
    return pa.Array.from_buffers(_TYPES[values.dtype], len(values), [None, buffer])
