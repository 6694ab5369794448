"""V2 over gRPC: kserve's protocol and health calls, the pod's own ModelInfer."""

from __future__ import annotations

from typing import Any

import grpc
import grpc.aio
import numpy as np
from kserve.protocol.dataplane import DataPlane
from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb
from kserve.protocol.grpc import grpc_predict_v2_pb2_grpc as pb_grpc
from kserve.protocol.grpc.interceptors import ExceptionToStatusInterceptor
from kserve.protocol.grpc.servicer import InferenceServicer

from feature_runtime.core.traffic import Traffic
from feature_runtime.serving import answers
from feature_runtime.serving.errors import Code, ServingError, bad_input, shown
from feature_runtime.serving.outcome import Outcome
from feature_runtime.serving.pod import Pod
from feature_runtime.serving.protocol import (
    OUTPUTS,
    batch_size,
    check_names_once,
    check_outputs,
    raw_values,
    texts,
)
from feature_runtime.serving.request import Columns, Input, Inputs, ScoringRequest, request_id

_CONTENTS = {"BYTES": "bytes_contents", "INT64": "int64_contents", "FP64": "fp64_contents"}
_ENVELOPE = 64 * 1024


class Servicer(InferenceServicer):  # type: ignore[misc]
    """One listener over gRPC. name: the public model name; traffic: of its ports."""

    def __init__(self, pod: Pod, name: str, traffic: Traffic, plane: DataPlane) -> None:
        super().__init__(plane, None)
        self._pod = pod
        self._name = name
        self._traffic = traffic

    async def ModelInfer(self, request: Any, context: Any) -> Any:  # noqa: N802
        """V2 infer; raw or typed contents, answered in the form of the request."""
        given = _metadata(context, "x-request-id")

        async def read() -> ScoringRequest:
            if request.model_name != self._name:
                found = shown(request.model_name)
                raise ServingError(Code.NOT_FOUND, "not_found", "model", found, self._name)
            columns = read_columns(self._pod.inputs, request)
            named = request_id(given or request.id)
            check_outputs([o.name for o in request.outputs])
            return self._pod.inputs.request(columns, named, self._traffic)

        def write(scored: ScoringRequest, outcome: Outcome) -> Any:
            self._set_metadata(context, scored.request_id)
            return self._response(request, scored, outcome)

        try:
            return await self._pod.answer("grpc", self._traffic, read, write)
        except ServingError as refusal:
            await self._abort(context, refusal, given)

    async def _not_offered(self, _: Any, context: Any) -> None:
        """A release is whole, and never loaded or unloaded by a client."""
        await context.abort(grpc.StatusCode.UNIMPLEMENTED, "releases are deployed, not loaded")

    RepositoryModelLoad = RepositoryModelUnload = _not_offered

    def _set_metadata(self, context: Any, named: str, *more: tuple[str, str]) -> None:
        headers = (("x-request-id", named), ("x-release", self._pod.release.id), *more)
        context.set_trailing_metadata(headers)

    async def _abort(self, context: Any, refusal: ServingError, given: str | None) -> None:
        try:
            named = request_id(given)
        except ServingError:
            named = request_id(None)
        retry = refusal.retry_after
        more = [] if retry is None else [("retry-after", str(retry))]
        self._set_metadata(context, named, ("x-reason", refusal.reason), *more)
        await context.abort(grpc.StatusCode[refusal.code.grpc], str(refusal))

    def _response(self, request: Any, scored: ScoringRequest, outcome: Outcome) -> Any:
        response = pb.ModelInferResponse(model_name=self._name, id=request.id or scored.request_id)
        facts = answers.parameters(self._pod.release, scored, outcome)
        for key, value in facts.items():
            response.parameters[key].string_param = value
        for output in check_outputs([o.name for o in request.outputs]):
            shape = [len(outcome.decisions), 1]
            tensor = response.outputs.add(name=output, datatype=OUTPUTS[output], shape=shape)
            if request.raw_input_contents:
                response.raw_output_contents.append(answers.raw_output(output, outcome))
            else:
                _fill(tensor.contents, output, outcome)
        return response


class RpcServer:
    """The gRPC server of a pod. max_message: bytes of a request that are still accepted."""

    def __init__(self, servicer: Servicer, address: str, max_message: int) -> None:
        options = [
            # The limit is on the request; the envelope around its tensors comes on top.
            ("grpc.max_receive_message_length", max_message + _ENVELOPE),
            ("grpc.so_reuseport", 0),
        ]
        self._server = grpc.aio.server(
            interceptors=(ExceptionToStatusInterceptor(),), options=options
        )
        pb_grpc.add_GRPCInferenceServiceServicer_to_server(servicer, self._server)
        self._server.add_insecure_port(address)

    async def start(self) -> None:
        """Listens."""
        await self._server.start()

    async def stop(self, grace: float) -> None:
        """Takes no more calls, and gives the running ones `grace` seconds."""
        await self._server.stop(grace)


def read_columns(inputs: Inputs, request: Any) -> Columns:
    """The input tensors as columns, from raw or from typed contents."""
    tensors, raw = request.inputs, request.raw_input_contents
    check_names_once(inputs, [t.name for t in tensors])
    if raw and len(raw) != len(tensors):
        raise bad_input("raw_input_contents", f"{len(raw)} tensors", f"{len(tensors)}")
    size = batch_size(inputs, [(t.name, list(t.shape)) for t in tensors])
    columns = {}
    for i, tensor in enumerate(tensors):
        spec = inputs.by_name[tensor.name]
        if tensor.datatype != spec.datatype:
            raise bad_input(f"{spec.name}.datatype", shown(tensor.datatype), spec.datatype)
        typed = tensor.HasField("contents")
        if raw and typed:
            raise bad_input(f"{spec.name}.contents", "raw and typed contents", "one of them")
        columns[spec.name] = (
            raw_values(spec, raw[i], size) if raw else _typed(spec, tensor.contents, size)
        )
    return columns


def _typed(spec: Input, contents: Any, size: int) -> Any:
    values = getattr(contents, _CONTENTS[spec.datatype])
    if len(values) != size:
        raise bad_input(f"{spec.name}.contents", f"{len(values)} values", f"{size} for its shape")
    if spec.datatype == "BYTES":
        return texts(spec, values)
    return np.array(values, dtype=np.float64) if spec.datatype == "FP64" else list(values)


def _fill(contents: Any, output: str, outcome: Outcome) -> None:
    if output == "probability":
        contents.fp64_contents.extend(answers.probability_array(outcome))
    else:
        texts_out = answers.outputs_as_text(outcome)[output]
        contents.bytes_contents.extend(text.encode() for text in texts_out)


def _metadata(context: Any, name: str) -> str | None:
    for key, value in context.invocation_metadata() or ():
        if key == name:
            return str(value)
    return None
