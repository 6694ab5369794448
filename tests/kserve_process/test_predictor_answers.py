"""Whatever a predictor answers is probabilities, or an error that names the predictor."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb

from feature_runtime.serving import triton_config
from feature_runtime.serving.errors import ServingError
from feature_runtime.serving.predictor import _probabilities

GOOD = struct.pack("<4f", 0.75, 0.25, 0.5, 0.5)


def response(
    *raw: bytes, tensors: int = 1, datatype: str = "FP32", shape: tuple[int, ...] = (2, 2)
) -> Any:
    made = pb.ModelInferResponse(raw_output_contents=raw)
    for _ in range(tensors):
        made.outputs.add(name="probabilities", datatype=datatype, shape=shape)
    return made


WRONG = {
    "nothing": response(tensors=0),
    "no raw contents": response(),
    "raw contents of no tensor": response(GOOD, tensors=0),
    "two tensors": response(GOOD, GOOD, tensors=2),
    "two raw contents": response(GOOD, GOOD),
    "doubles": response(GOOD * 2, datatype="FP64"),
    "one column": response(GOOD[:8], shape=(2, 1)),
    "more rows": response(GOOD + GOOD[:8], shape=(3, 2)),
    "too few bytes": response(GOOD[:-1]),
    "a negative shape": response(GOOD, shape=(-2, 2)),
    "NaN": response(struct.pack("<4f", 0.5, 0.5, 0.5, float("nan"))),
    "infinity": response(struct.pack("<4f", 0.5, 0.5, 0.5, float("inf"))),
    "more than one": response(struct.pack("<4f", 0.5, 0.5, 0.5, 1.5)),
    "less than zero": response(struct.pack("<4f", 0.5, 0.5, 0.5, -0.1)),
}


@pytest.mark.parametrize("answer", WRONG.values(), ids=WRONG.keys())
def test_an_answer_that_is_no_probabilities_is_the_predictors_fault(answer: Any) -> None:
    with pytest.raises(ServingError) as refused:
        _probabilities(answer, 2)
    error = refused.value
    assert (error.status.http, error.code) == (503, "predictor_answer_invalid")
    assert error.field == "predictor"


def test_a_right_answer_is_its_second_column() -> None:
    assert _probabilities(response(GOOD), 2).tolist() == [0.25, 0.5]


@given(st.binary(max_size=60))
def test_any_bytes_are_a_configuration_or_none(answer: bytes) -> None:
    found = triton_config.parameter_of(answer, "id")
    assert found is None or isinstance(found, str)
