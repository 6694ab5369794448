"""Learns the vocabulary of an encoding from a column of training rows."""

from __future__ import annotations

from collections import Counter

import numpy as np

from feature_runtime.core.encodings import MAX_VOCABULARY_BYTES, Category
from feature_runtime.core.values import Column


def learn(column: Column, dtype: str, size: int) -> tuple[Category, ...]:
    """The `size` most frequent values, in ascending order; of equally frequent ones the smaller.

    dtype: the element's, string, int64 or bool. Missing values are not counted. Strings stop before
    they would take more than a vocabulary may.
    """
    counts = Counter[Category](_present(column, dtype))
    ranked = sorted(counts, key=lambda value: (-counts[value], value))[:size]
    if dtype != "string":
        return tuple(sorted(ranked))
    sizes = np.cumsum([len(str(value).encode()) for value in ranked])
    fitting = int(np.searchsorted(sizes, MAX_VOCABULARY_BYTES, side="right"))
    return tuple(sorted(ranked[:fitting]))


def _present(column: Column, dtype: str) -> list[Category]:
    if dtype == "string":
        return [value for value in column.tolist() if value is not None]
    known = column[~np.isnan(column)].tolist()
    return [bool(value) for value in known] if dtype == "bool" else [int(value) for value in known]
