"""The tensors of a release's model: what the plan's server is given and what it gives back.

Read wherever a release is read, so it knows onnx and none of the libraries that train or convert.
"""

from __future__ import annotations

from pathlib import Path

import onnx
from onnx import helper

from proviso.contracts.base import InputError

INPUT = "features"
OUTPUT = "probabilities"
CLASSES = 2
TOLERANCE = 1e-5
"""How far a served probability may be from the fitted model's."""


def check_signature(path: Path, width: int) -> None:
    """Refuses a model whose tensors are not what the plan's server and decision can use.

    A regression has one output value, a model of many classes has more than two: neither can
    become the decision of a threshold. Raises InputError.
    """
    try:
        onnx.checker.check_model(path)
        graph = onnx.load(path, load_external_data=False).graph
    except (OSError, onnx.checker.ValidationError) as error:
        said = " ".join(str(error).split())[:200]
        raise InputError.of(path, f"unreadable: {said}", "an ONNX model") from error
    weights = {tensor.name for tensor in graph.initializer}
    found = (
        [_described(v) for v in graph.input if v.name not in weights],
        [_described(v) for v in graph.output],
    )
    wanted = ([f"{INPUT} float32 [N, {width}]"], [f"{OUTPUT} float32 [N, {CLASSES}]"])
    if found != wanted:
        raise InputError.of(
            path,
            f"inputs {found[0]}, outputs {found[1]}",
            f"inputs {wanted[0]}, outputs {wanted[1]}",
            "the plan decides by the probability of the second of two classes",
        )


def _described(value: onnx.ValueInfoProto) -> str:
    tensor = value.type.tensor_type
    kind = "no tensor"
    if tensor.elem_type:
        kind = helper.tensor_dtype_to_np_dtype(tensor.elem_type).name
    sizes = [str(d.dim_value) if d.dim_value else "N" for d in tensor.shape.dim]
    return f"{value.name} {kind} [{', '.join(sizes)}]"
