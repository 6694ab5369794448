"""Columns become the doubles that the pod makes of the same stored values."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from feature_runtime.core.availability import Row, Status
from feature_runtime.core.moments import MISSING
from feature_runtime.core.service import RequestField
from feature_runtime.core.values import MAX_TEXT_BYTES, feature_statuses
from proviso.contracts.base import InputError
from proviso.history.arrays import _feature, _field
from proviso.history.field_columns import floats, texts

INTEGERS = [0, -1, 2**24 + 1, 2**53 - 1, 2**53 + 1, 2**53 + 3, -(2**53) - 1, 2**62 + 1, 2**63 - 1]


@pytest.mark.parametrize("value", [*INTEGERS, -(2**63)])
def test_an_integer_becomes_the_pods_double(value: int) -> None:
    served = np.zeros(1)
    served[0] = value  # as feature_runtime.serving.lookup fills its array
    found = floats(pa.chunked_array([pa.array([value, None], pa.int64())]))
    assert found[0] == served[0]
    assert np.isnan(found[1])


def test_truth_values_are_numbers() -> None:
    found = floats(pa.chunked_array([pa.array([True, False, None])]))
    assert found[:2].tolist() == [1.0, 0.0]
    assert np.isnan(found[2])


LONG = ["x" * MAX_TEXT_BYTES, "x" * (MAX_TEXT_BYTES + 1), "é" * 513]
STRINGS = ["AA", "", "\0", None, "e\u0301", *LONG]


def test_strings_have_the_statuses_that_the_pod_gives_them() -> None:
    column = pa.chunked_array([pa.array(STRINGS[:3]), pa.array(STRINGS[3:])])
    views = np.array([Status.OK] * len(STRINGS), dtype=np.int8)
    values, status = _feature(column, views, "string")
    expected = [feature_statuses(Status.OK, Row(0, 0, (v,)), ["string"])[0] for v in STRINGS]
    assert [Status(s) for s in status] == expected
    assert np.isnan(values).all()
    assert texts(column).tolist() == STRINGS
    stale = np.array([Status.STALE] * len(STRINGS), dtype=np.int8)
    assert set(_feature(column, stale, "string")[1].tolist()) == {Status.STALE}


def test_fields_are_what_the_encoder_takes() -> None:
    path = Path("dataset.parquet")
    moments = pa.chunked_array([pa.array([5, None], pa.timestamp("us", tz="UTC"))])
    assert _field(path, moments, RequestField("t", "timestamp", True)).tolist() == [5, MISSING]
    strings = pa.chunked_array([pa.array(["", None])])
    assert _field(path, strings, RequestField("s", "string", True)).tolist() == ["", None]
    whole = pa.chunked_array([pa.array([3, None], pa.int64())])
    found = _field(path, whole, RequestField("n", "int64", True))
    assert found.dtype == np.float64
    assert found[0] == 3.0
    with pytest.raises(InputError) as refused:
        _field(path, pa.chunked_array([pa.array([2**53])]), RequestField("n", "int64"))
    assert refused.value.problems[0].code == "field_out_of_range"
