"""What a pod says about itself to clients that ask: server, model, and Triton's configuration.

REST and gRPC answer with the same facts. Only what is served is claimed.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping
from typing import Any

from feature_runtime.serving.codecs.tensors import OUTPUTS
from feature_runtime.serving.request import Inputs, Served

EXTENSIONS = ("binary_tensor_data", "model_configuration")
"""Triton's names of the extensions of the protocol that a pod serves."""

_TYPES: Mapping[str, str] = {
    "BYTES": "TYPE_STRING",
    "FP64": "TYPE_FP64",
    "INT64": "TYPE_INT64",
    "BOOL": "TYPE_BOOL",
}


class Description:
    """The facts about one model; `served.check` is what a question about it must pass first."""

    def __init__(self, served: Served, inputs: Inputs) -> None:
        self.served = served
        self._inputs = {tensor.name: tensor.datatype for tensor in inputs.all}
        self._nullable = {tensor.name for tensor in inputs.all if tensor.nullable}
        self._max_batch = inputs.max_batch

    def server(self) -> dict[str, Any]:
        """The server's metadata: KServe's SDK is the server."""
        return {
            "name": "kserve",
            "version": importlib.metadata.version("kserve"),
            "extensions": list(EXTENSIONS),
        }

    def metadata(self) -> dict[str, Any]:
        """The model's metadata of the V2 protocol."""
        return {
            "name": self.served.name,
            "versions": [self.served.version],
            "platform": "",
            "inputs": _tensors(self._inputs),
            "outputs": _tensors(OUTPUTS),
        }

    def config(self) -> dict[str, Any]:
        """Triton's model configuration, from which perf_analyzer makes its requests."""
        return {
            "name": self.served.name,
            "platform": "",
            "backend": "",
            "max_batch_size": self._max_batch,
            "input": [
                {**tensor, "optional": True} if tensor["name"] in self._nullable else tensor
                for tensor in _typed(self._inputs)
            ],
            "output": _typed(OUTPUTS),
        }


def _tensors(datatypes: Mapping[str, str]) -> list[dict[str, Any]]:
    return [{"name": n, "datatype": d, "shape": [-1, 1]} for n, d in datatypes.items()]


def _typed(datatypes: Mapping[str, str]) -> list[dict[str, Any]]:
    return [{"name": n, "data_type": _TYPES[d], "dims": [1]} for n, d in datatypes.items()]
