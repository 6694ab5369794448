"""V2 over gRPC: ModelInfer messages with raw or typed contents, answered in the same form."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb

from feature_runtime.core.record import Protocol
from feature_runtime.core.traffic import Traffic
from feature_runtime.serving.codecs.tensors import (
    OUTPUTS,
    batch_size,
    check_datatype,
    check_extensions,
    check_names_once,
    check_outputs,
    raw_output,
    raw_values,
    text_output,
    texts,
)
from feature_runtime.serving.errors import ServingError, bad_input
from feature_runtime.serving.outcome import Answer
from feature_runtime.serving.request import (
    Columns,
    Input,
    Inputs,
    ScoringRequest,
    Served,
    check_client_id,
    request_id,
)

_CONTENTS = {
    "BYTES": "bytes_contents",
    "INT64": "int64_contents",
    "FP64": "fp64_contents",
    "BOOL": "bool_contents",
}


@dataclass(frozen=True)
class GrpcMessage:
    """A ModelInferRequest, or why the bytes are none, and its metadata's x-request-id."""

    request: Any
    request_id: str | None


@dataclass(frozen=True)
class GrpcCall:
    """A ModelInfer call. id: the message's; raw: whether its answer has raw contents."""

    request: ScoringRequest
    id: str
    outputs: tuple[str, ...]
    raw: bool


class GrpcCodec:
    """ModelInfer of one listener."""

    protocol: Protocol = "grpc"

    def __init__(self, inputs: Inputs, served: Served, traffic: Traffic) -> None:
        self._inputs = inputs
        self._served = served
        self._traffic = traffic

    def decode(self, message: GrpcMessage) -> GrpcCall:
        """A message as a request; the metadata's request id wins over the message's id."""
        asked = message.request
        if isinstance(asked, ServingError):
            raise asked
        self._served.check(asked.model_name, asked.model_version)
        check_client_id(asked.id)
        columns = columns_of(self._inputs, asked)
        named = request_id(message.request_id, asked.id)
        outputs = check_outputs([output.name for output in asked.outputs])
        for output in asked.outputs:
            check_extensions(output.parameters)
        request = self._inputs.request(columns, named, self._traffic, self.protocol, asked.id)
        return GrpcCall(request, asked.id, outputs, bool(asked.raw_input_contents))

    def encode(self, call: GrpcCall, answer: Answer) -> Any:
        """A ModelInferResponse with the outputs asked for."""
        name, version = self._served.name, self._served.version
        response = pb.ModelInferResponse(
            model_name=name, model_version=version, id=call.id or answer.request_id
        )
        for key, value in answer.parameters.items():
            response.parameters[key].string_param = value
        shape = [len(answer.outcome.decisions), 1]
        for output in call.outputs:
            tensor = response.outputs.add(name=output, datatype=OUTPUTS[output], shape=shape)
            if call.raw:
                response.raw_output_contents.append(raw_output(output, answer))
            elif output == "probability":
                tensor.contents.fp64_contents.extend(answer.outcome.probability)
            else:
                tensor.contents.bytes_contents.extend(text_output(output, answer))
        return response


def columns_of(inputs: Inputs, request: Any) -> Columns:
    """The input tensors as columns, from raw or from typed contents."""
    tensors, raw = request.inputs, request.raw_input_contents
    check_names_once(inputs, [t.name for t in tensors])
    if raw and len(raw) != len(tensors):
        found, wanted = f"{len(raw)} tensors", f"{len(tensors)}"
        raise bad_input("wrong_value_count", "raw_input_contents", found, wanted)
    size = batch_size(inputs, [(t.name, list(t.shape)) for t in tensors])
    columns = {}
    for i, tensor in enumerate(tensors):
        spec = inputs.by_name[tensor.name]
        check_datatype(spec, tensor.datatype)
        check_extensions(tensor.parameters)
        if raw and tensor.HasField("contents"):
            field = f"{spec.name}.contents"
            raise bad_input("contents_twice", field, "raw and typed contents", "one of them")
        columns[spec.name] = (
            raw_values(spec, raw[i], size) if raw else _typed(spec, tensor.contents, size)
        )
    return columns


def _typed(spec: Input, contents: Any, size: int) -> Any:
    values = getattr(contents, _CONTENTS[spec.datatype])
    if len(values) != size:
        found, wanted = f"{len(values)} values", f"{size} for its shape"
        raise bad_input("wrong_value_count", f"{spec.name}.contents", found, wanted)
    if spec.datatype == "BYTES":
        return texts(spec, values)
    return np.array(values, dtype=np.float64) if spec.datatype == "FP64" else list(values)
