"""The model embedded in this process: what batch scoring, proofs and reports run.

The only module of the control plane that knows onnxruntime.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from proviso.release.signature import INPUT, OUTPUT

# It reports sessions to its maker unless told not to before it is loaded.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
import onnxruntime

THREADS = 1
VERSION = str(onnxruntime.__version__)
_ROWS = 65_536
_ERRORS_ONLY = 3


class EmbeddedModel:
    """A loaded model.onnx. With one thread an answer does not depend on how rows are batched:
    two threads sum the trees of small batches in another order (2e-7 apart).
    """

    def __init__(self, model: Path | bytes) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = THREADS
        options.inter_op_num_threads = 1
        options.log_severity_level = _ERRORS_ONLY
        source = model if isinstance(model, bytes) else str(model)
        self._session = onnxruntime.InferenceSession(
            source, options, providers=["CPUExecutionProvider"]
        )

    def probabilities(self, vectors: NDArray[np.float32]) -> NDArray[np.float64]:
        """The probability [n] of the positive class for vectors [n, V]."""
        parts = [
            self._session.run([OUTPUT], {INPUT: vectors[at : at + _ROWS]})[0][:, 1]
            for at in range(0, len(vectors), _ROWS)
        ]
        return np.concatenate([np.zeros(0), *parts]).astype(np.float64)
