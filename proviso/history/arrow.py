"""Arrow and numpy look at the same memory.

Their own conversions would load pandas first, which takes longer than many a join.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

_TYPES = {np.dtype(np.int64): pa.int64(), np.dtype(np.float64): pa.float64()}


def as_numpy(column: pa.Array | pa.ChunkedArray) -> np.ndarray[Any, Any]:
    """A column of numbers without nulls; not to be written into."""
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    return np.from_dlpack(column)


def as_arrow(values: np.ndarray[Any, Any]) -> pa.Array:
    """An array of int64 or float64."""
    buffer = pa.py_buffer(np.ascontiguousarray(values))
    return pa.Array.from_buffers(_TYPES[values.dtype], len(values), [None, buffer])
