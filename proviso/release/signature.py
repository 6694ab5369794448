"""The input and output tensors of a release's model, and the check of a model against them.

Imported wherever a release is read, so it uses onnx and none of the training libraries.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import onnx
from onnx import helper

from proviso.contracts.base import Problem

INPUT = "features"
OUTPUT = "probabilities"
CLASSES = 2
TOLERANCE = 1e-5
"""How far a served probability may be from the fitted model's."""


def signature_problems(path: Path, width: int) -> list[Problem]:
    """Why the plan's server and decision cannot use the model at `path`; empty when they can.

    A regression has one output value, a model of many classes has more than two: neither can
    become the decision of a threshold.
    """
    try:
        onnx.checker.check_model(path)
        graph = onnx.load(path, load_external_data=False).graph
    except (OSError, onnx.checker.ValidationError) as error:
        found = f"unreadable: {' '.join(str(error).split())[:200]}"
        return [Problem(str(path), found, "an ONNX model", code="model_unreadable")]
    weights = {tensor.name for tensor in graph.initializer}
    actual = _listed(v for v in graph.input if v.name not in weights), _listed(graph.output)
    expected = [f"{INPUT} float32 [N, {width}]"], [f"{OUTPUT} float32 [N, {CLASSES}]"]
    if actual == expected:
        return []
    found, wanted = (
        f"inputs {inputs}, outputs {outputs}" for inputs, outputs in (actual, expected)
    )
    why = "the plan decides by the probability of the second of two classes"
    return [Problem(str(path), found, wanted, why, "model_signature_mismatch")]


def _listed(values: Iterable[onnx.ValueInfoProto]) -> list[str]:
    return [_described(value) for value in values]


def _described(value: onnx.ValueInfoProto) -> str:
    tensor = value.type.tensor_type
    kind = "no tensor"
    if tensor.elem_type:
        kind = helper.tensor_dtype_to_np_dtype(tensor.elem_type).name
    sizes = [str(d.dim_value) if d.dim_value else "N" for d in tensor.shape.dim]
    return f"{value.name} {kind} [{', '.join(sizes)}]"
