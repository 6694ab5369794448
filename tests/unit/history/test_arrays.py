"""Columns become the doubles that the pod makes of the same stored values."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from proviso.history.arrays import _floats

INTEGERS = [0, -1, 2**24 + 1, 2**53 - 1, 2**53 + 1, 2**53 + 3, -(2**53) - 1, 2**62 + 1, 2**63 - 1]


@pytest.mark.parametrize("value", [*INTEGERS, -(2**63)])
def test_an_integer_becomes_the_pods_double(value: int) -> None:
    served = np.zeros(1)
    served[0] = value  # as feature_runtime.serving.lookup fills its array
    found = _floats(pa.chunked_array([pa.array([value, None], pa.int64())]))
    assert found[0] == served[0]
    assert np.isnan(found[1])


def test_truth_values_are_numbers() -> None:
    found = _floats(pa.chunked_array([pa.array([True, False, None])]))
    assert found[:2].tolist() == [1.0, 0.0]
    assert np.isnan(found[2])
