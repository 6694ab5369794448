"""From fitted models to ONNX in the one form that the plan's server can use.

One input `features` [N, V] float32, one output `probabilities` [N, 2] float32. The only module
that knows onnx, onnxmltools and skl2onnx.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnx
import onnxmltools
import skl2onnx
from onnx import helper
from onnxmltools.convert.common.data_types import FloatTensorType as BoostingTensor
from skl2onnx.common.data_types import FloatTensorType

from proviso.contracts.base import InputError

INPUT = "features"
OUTPUT = "probabilities"
CLASSES = 2
OPSET = 15
VERSIONS = {
    "onnx": str(onnx.__version__),
    "onnxmltools": str(onnxmltools.__version__),
    "skl2onnx": str(skl2onnx.__version__),
}


def boosting_to_onnx(model: Any, width: int) -> bytes:
    """model.onnx of a fitted XGBClassifier."""
    inputs = [(INPUT, BoostingTensor([None, width]))]
    converted = onnxmltools.convert_xgboost(model, initial_types=inputs, target_opset=OPSET)
    return _only_probabilities(converted)


def baseline_to_onnx(pipeline: Any, width: int) -> bytes:
    """ONNX of a fitted scikit-learn classifier."""
    converted = skl2onnx.to_onnx(
        pipeline,
        initial_types=[(INPUT, FloatTensorType([None, width]))],
        options={"zipmap": False},
        target_opset=OPSET,
    )
    return _only_probabilities(converted)


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


def _only_probabilities(model: onnx.ModelProto) -> bytes:
    """Keeps the one output, with its shape stated, and nothing that differs between two runs."""
    kept = [o for o in model.graph.output if o.name == OUTPUT]
    del model.graph.output[:]
    model.graph.output.extend(kept)
    for value in model.graph.output:
        value.type.tensor_type.shape.dim[0].dim_param = "N"
    for value in model.graph.input:
        value.type.tensor_type.shape.dim[0].dim_param = "N"
    model.graph.name = OUTPUT
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString(deterministic=True))


def _described(value: onnx.ValueInfoProto) -> str:
    tensor = value.type.tensor_type
    kind = "no tensor"
    if tensor.elem_type:
        kind = helper.tensor_dtype_to_np_dtype(tensor.elem_type).name
    sizes = [str(d.dim_value) if d.dim_value else "N" for d in tensor.shape.dim]
    return f"{value.name} {kind} [{', '.join(sizes)}]"
