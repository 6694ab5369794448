"""Triton's `onnxruntime` backend for CPU, as a python-based backend over onnxruntime.

Triton loads this file for every config.pbtxt that says `backend: "onnxruntime"` where its own
ONNX Runtime backend is not installed, so that one model repository serves here and unchanged
on the vendor's full image. It knows nothing about a particular model: inputs and outputs are
the config's. The requests of one execute call run as one batch, which is what makes dynamic
batching worth its while.
"""

import json
from pathlib import Path

import numpy as np
import onnxruntime
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    """One instance of one model; Triton calls the methods below by name."""

    def initialize(self, args):
        """Load `<version>/model.onnx` and hold the config's tensors ready."""
        config = json.loads(args["model_config"])
        self.batched = config.get("max_batch_size", 0) > 0
        self.inputs = {tensor["name"]: _Tensor(tensor, self.batched) for tensor in config["input"]}
        self.outputs = {
            tensor["name"]: _Tensor(tensor, self.batched) for tensor in config["output"]
        }
        name = config.get("default_model_filename") or "model.onnx"
        path = Path(args["model_repository"]) / args["model_version"] / name
        self.session = onnxruntime.InferenceSession(
            str(path), _options(config), providers=["CPUExecutionProvider"]
        )
        self._check_names()

    def execute(self, requests):
        """One response a request, in order; a bad request fails alone."""
        good, responses = [], [None] * len(requests)
        for position, request in enumerate(requests):
            try:
                good.append((position, self._feed(request)))
            except ValueError as error:
                responses[position] = _failure(error)
        for group in self._groups(good):
            for position, response in self._run(group):
                responses[position] = response
        return responses

    def _groups(self, good):
        """What may run together: everything of equal row shape when the first axis is a batch."""
        if not self.batched:
            return [[one] for one in good]
        groups = {}
        for position, feed in good:
            shapes = tuple(values.shape[1:] for values in feed.values())
            groups.setdefault(shapes, []).append((position, feed))
        return list(groups.values())

    def _feed(self, request):
        feed = {}
        for name, tensor in self.inputs.items():
            found = pb_utils.get_input_tensor_by_name(request, name)
            if found is None:
                raise ValueError(f"input {name}: found nothing, wanted {tensor.wanted()}")
            feed[name] = tensor.check(found.as_numpy())
        if self.batched and len({values.shape[0] for values in feed.values()}) > 1:
            raise ValueError("inputs: found different batch sizes, wanted one")
        return feed

    def _run(self, group):
        """(position, response) of requests that run as one batch."""
        feeds = [feed for _, feed in group]
        batch = {name: _joined([feed[name] for feed in feeds]) for name in self.inputs}
        try:
            results = self.session.run(list(self.outputs), batch)
            checked = [
                tensor.check(values)
                for tensor, values in zip(self.outputs.values(), results, strict=True)
            ]
        # onnxruntime raises its own exceptions, of several unrelated classes, for bad values:
        # they have to become this batch's answers, since an escape would take the stub down.
        except Exception as error:  # noqa: BLE001
            return [(position, _failure(error)) for position, _ in group]
        return self._split(group, checked)

    def _split(self, group, results):
        answers, start = [], 0
        for position, feed in group:
            rows = next(iter(feed.values())).shape[0] if self.batched else None
            stop = None if rows is None else start + rows
            tensors = [
                pb_utils.Tensor(name, np.ascontiguousarray(values[start:stop]))
                for name, values in zip(self.outputs, results, strict=True)
            ]
            answers.append((position, pb_utils.InferenceResponse(output_tensors=tensors)))
            start += rows or 0
        return answers

    def _check_names(self):
        """Names that the model does not have fail the load, not the first request."""
        for kind, wanted, found in (
            ("input", self.inputs, {node.name for node in self.session.get_inputs()}),
            ("output", self.outputs, {node.name for node in self.session.get_outputs()}),
        ):
            unknown = sorted(set(wanted) - found)
            if unknown:
                raise pb_utils.TritonModelException(
                    f"config.pbtxt {kind}: found {unknown}, wanted names of {sorted(found)}"
                )


class _Tensor:
    """One input or output as config.pbtxt declares it."""

    def __init__(self, declared, batched):
        self.name = declared["name"]
        self.dims = [int(size) for size in declared["dims"]]
        self.dtype = pb_utils.triton_string_to_numpy(declared["data_type"])
        self.batched = batched

    def wanted(self):
        shape = [-1, *self.dims] if self.batched else self.dims
        return f"{np.dtype(self.dtype).name} {shape}"

    def check(self, values):
        shape = list(values.shape[1:] if self.batched else values.shape)
        fits = len(shape) == len(self.dims) and all(
            size in (-1, found) for size, found in zip(self.dims, shape, strict=True)
        )
        if not fits or values.dtype != self.dtype:
            raise ValueError(
                f"{self.name}: found {values.dtype.name} {list(values.shape)}, "
                f"wanted {self.wanted()}"
            )
        return values


def _options(config):
    """One thread a run: instances and dynamic batching are what uses the cores."""
    options = onnxruntime.SessionOptions()
    parameters = config.get("parameters", {})
    options.intra_op_num_threads = _threads(parameters, "intra_op_thread_count")
    options.inter_op_num_threads = _threads(parameters, "inter_op_thread_count")
    options.log_severity_level = 3
    return options


def _threads(parameters, name):
    """The vendor's parameter names, so that one config means the same on both backends."""
    return max(1, int(parameters.get(name, {}).get("string_value", "1")))


def _joined(arrays):
    return arrays[0] if len(arrays) == 1 else np.concatenate(arrays)


def _failure(error):
    return pb_utils.InferenceResponse(output_tensors=[], error=pb_utils.TritonError(str(error)))
