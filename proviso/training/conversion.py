"""From fitted models to ONNX in the one form that the plan's server can use.

One input `features` [N, V] float32, one output `probabilities` [N, 2] float32. The only module
that knows the converters, onnxmltools and skl2onnx; it writes what `signature` reads.
"""

from __future__ import annotations

from typing import Any

import onnx
import onnxmltools
import skl2onnx
from onnxmltools.convert.common.data_types import FloatTensorType as BoostingTensor
from skl2onnx.common.data_types import FloatTensorType

from proviso.release.signature import INPUT, OUTPUT

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
