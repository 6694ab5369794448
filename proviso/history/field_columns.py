"""Columns of Parquet as the arrays that the encoder takes: doubles, texts, microseconds."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from feature_runtime.core.functions import Floats
from feature_runtime.core.moments import MISSING
from feature_runtime.core.values import Column, Texts, texts_of

Moments = NDArray[np.int64]


def field_column(column: pa.Array | pa.ChunkedArray) -> Column:
    """A request field as the encoder gets it."""
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        return texts(column)
    if pa.types.is_timestamp(column.type):
        return moments(column, MISSING)
    return floats(column)


def texts(column: pa.Array | pa.ChunkedArray) -> Texts:
    """Strings, None where there is none."""
    return texts_of(column.to_pylist())


def floats(column: pa.Array | pa.ChunkedArray) -> Floats:
    """Numbers or truth values as doubles; NaN where there is none.

    An integer beyond 2^53 is rounded, as the pod rounds it.
    """
    if pa.types.is_boolean(column.type):
        column = column.cast(pa.int8())
    return np.array(column.cast(pa.float64(), safe=False), dtype=np.float64)


def moments(column: pa.Array | pa.ChunkedArray, missing: int) -> Moments:
    """Microseconds; `missing` where there is none."""
    integers = pc.fill_null(column.cast(pa.timestamp("us", tz="UTC")).cast(pa.int64()), missing)
    return np.array(integers, dtype=np.int64)
