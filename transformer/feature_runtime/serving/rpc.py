"""V2 over gRPC: kserve's protocol and health calls, the pod's own ModelInfer."""

from __future__ import annotations

from typing import Any

import grpc
import grpc.aio
from kserve.protocol.dataplane import DataPlane
from kserve.protocol.grpc.interceptors import ExceptionToStatusInterceptor

from feature_runtime.core.traffic import Traffic
from feature_runtime.serving.codecs.grpc import GrpcCodec, GrpcMessage
from feature_runtime.serving.description import Description
from feature_runtime.serving.errors import ServingError, internal_error
from feature_runtime.serving.logs import log
from feature_runtime.serving.pod import Pod
from feature_runtime.serving.request import header_request_id
from feature_runtime.serving.rpc_services import DescribedServicer, add_services

_ENVELOPE = 64 * 1024


class GrpcSource:
    """A gRPC message, which has already arrived."""

    def __init__(self, message: GrpcMessage) -> None:
        self.given = message.request_id
        self._message = message

    async def read(self) -> GrpcMessage:
        """The message."""
        return self._message


class Servicer(DescribedServicer):
    """One listener over gRPC. traffic: of its ports.

    What is overridden of kserve's is listed in kserve_overrides.py.
    """

    def __init__(
        self, pod: Pod, description: Description, traffic: Traffic, plane: DataPlane
    ) -> None:
        super().__init__(pod, description, plane)
        self._traffic = traffic
        self._codec = GrpcCodec(pod.inputs, description.served, traffic)

    async def ModelInfer(self, request: Any, context: Any) -> Any:  # noqa: N802
        """V2 infer; raw or typed contents, answered in the form of the request."""
        given = _metadata(context, "x-request-id")
        source = GrpcSource(GrpcMessage(request, given))
        try:
            response = await self._pod.infer(self._codec, source, self._traffic)
        except ServingError as error:
            await self._abort(context, error, given)
        else:
            self._set_metadata(context, response.parameters["request_id"].string_param)
            return response

    async def _not_offered(self, _: Any, context: Any) -> None:
        """UNIMPLEMENTED: a release is deployed whole, clients neither load nor unload it."""
        await context.abort(grpc.StatusCode.UNIMPLEMENTED, "releases are deployed, not loaded")

    RepositoryModelLoad = RepositoryModelUnload = _not_offered

    def _set_metadata(self, context: Any, named: str, *more: tuple[str, str]) -> None:
        headers = (("x-request-id", named), ("x-release", self._pod.release.id), *more)
        context.set_trailing_metadata(headers)

    async def refuse(self, context: Any, error: ServingError) -> None:
        """Ends a call that is no prediction with an error."""
        await self._abort(context, error, _metadata(context, "x-request-id"))

    async def _abort(self, context: Any, error: ServingError, given: str | None) -> None:
        named = error.request_id or header_request_id(given)
        more = [("x-reason", error.reason), ("x-code", error.code)]
        if error.retry_after is not None:
            more.append(("retry-after", str(error.retry_after)))
        self._set_metadata(context, named, *more)
        await context.abort(grpc.StatusCode[error.status.grpc], str(error))


class Refusals(ExceptionToStatusInterceptor):  # type: ignore[misc]
    """Ends calls that raised. kserve's own logs a traceback for every call that is refused."""

    async def handle_exception(
        self,
        ex: Exception,
        request_or_iterator: Any,  # noqa: ARG002
        context: Any,
        method_name: str,
    ) -> None:
        """Aborts the call; a call that is aborted already stays so."""
        if isinstance(ex, grpc.aio.AbortError):
            raise ex
        log.error("internal server error in %s", method_name, exc_info=ex)
        await context.abort(grpc.StatusCode.INTERNAL, str(internal_error()))


class RpcServer:
    """The gRPC server of a pod. max_message: bytes of a request that are still accepted."""

    def __init__(self, servicer: Servicer, pod: Pod, address: str, max_message: int) -> None:
        options = [
            # The limit is on the request; the envelope around its tensors comes on top.
            ("grpc.max_receive_message_length", max_message + _ENVELOPE),
            ("grpc.so_reuseport", 0),
        ]
        self._server = grpc.aio.server(interceptors=(Refusals(),), options=options)
        add_services(self._server, servicer, pod)
        self._server.add_insecure_port(address)

    async def start(self) -> None:
        """Listens."""
        await self._server.start()

    async def stop(self, grace: float) -> None:
        """Takes no more calls, and gives the running ones `grace` seconds."""
        await self._server.stop(grace)


def _metadata(context: Any, name: str) -> str | None:
    for key, value in context.invocation_metadata() or ():
        if key == name:
            return str(value)
    return None
