"""gRPC services of a pod beside inference: what it says about itself, health and reflection.

A message that is not protobuf, or much too long, is refused here for all of them: grpc would answer
the first with the name of a Python class.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

import grpc
import grpc.aio
from google.protobuf.message import DecodeError
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2_grpc
from kserve.protocol.dataplane import DataPlane
from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb
from kserve.protocol.grpc import grpc_predict_v2_pb2_grpc as pb_grpc
from kserve.protocol.grpc.servicer import InferenceServicer

from feature_runtime.serving import model_config
from feature_runtime.serving.description import Description
from feature_runtime.serving.errors import (
    ServingError,
    invalid_protobuf,
    message_too_large,
    service_not_found,
)
from feature_runtime.serving.pod import Pod

INFERENCE = "inference.GRPCInferenceService"
HEALTH = "grpc.health.v1.Health"

_COUNTED = "ModelInfer"
"""Gets what is no message too, as the error that says so: a refused prediction is counted."""
_MAX_QUESTION = 4096
"""Bytes of a message that is no prediction: a name and a version. Reflection repeats it."""
_WATCH_SECONDS = 1.0

Refuse = Callable[[Any, ServingError], Awaitable[None]]


class DescribedServicer(InferenceServicer, ABC):  # type: ignore[misc]
    """kserve's servicer, which here also knows versions and Triton's model configuration."""

    def __init__(self, pod: Pod, description: Description, plane: DataPlane) -> None:
        super().__init__(plane, None)
        self._pod = pod
        self._description = description

    @abstractmethod
    async def refuse(self, context: Any, error: ServingError) -> None:
        """Ends a call with an error."""

    async def ServerMetadata(self, _: Any, context: Any) -> Any:  # noqa: N802, ARG002
        """The server's name, and the extensions that it serves."""
        return pb.ServerMetadataResponse(**self._description.server())

    async def ModelReady(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Readiness of the model, which is the pod's."""
        await self._check(request, context)
        return pb.ModelReadyResponse(ready=self._pod.ready)

    async def ModelMetadata(self, request: Any, context: Any) -> Any:  # noqa: N802
        """The model's version and tensors."""
        await self._check(request, context)
        return pb.ModelMetadataResponse(**self._description.metadata())

    async def ModelConfig(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Triton's model configuration."""
        await self._check(request, context)
        return model_config.ModelConfigResponse(config=self._description.config())

    async def _check(self, request: Any, context: Any) -> None:
        try:
            self._description.served.check(request.name, request.version)
        except ServingError as error:
            await self.refuse(context, error)


class Health(health_pb2_grpc.HealthServicer):  # type: ignore[misc]
    """grpc.health.v1: the pod's readiness, as of the server and of its inference service.

    grpcio's own servicer keeps a condition for every name that a client makes up.
    """

    def __init__(self, pod: Pod, refuse: Refuse) -> None:
        self._pod = pod
        self._refuse = refuse

    async def Check(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Whether the pod takes requests."""
        await self._check(request, context)
        return self._response()

    async def Watch(self, request: Any, context: Any) -> AsyncIterator[Any]:  # noqa: N802
        """Readiness now and at every change; ends when the pod stops taking requests."""
        await self._check(request, context)
        yield (last := self._response())
        while True:
            await asyncio.sleep(_WATCH_SECONDS)
            if (now := self._response()) != last:
                yield (last := now)
                if not self._pod.ready:
                    return

    async def _check(self, request: Any, context: Any) -> None:
        if request.service not in ("", INFERENCE):
            await self._refuse(context, service_not_found(request.service, INFERENCE))

    def _response(self) -> Any:
        status = health_pb2.HealthCheckResponse.ServingStatus
        return health_pb2.HealthCheckResponse(
            status=status.SERVING if self._pod.ready else status.NOT_SERVING
        )


def add_services(server: grpc.aio.Server, servicer: DescribedServicer, pod: Pod) -> None:
    """All services of a pod, on a server that is not started yet."""
    guarded = _Guarded(server, servicer.refuse)
    pb_grpc.add_GRPCInferenceServiceServicer_to_server(servicer, guarded)
    guarded.add_registered_method_handlers(
        INFERENCE,
        {
            model_config.METHOD: grpc.unary_unary_rpc_method_handler(
                servicer.ModelConfig,
                request_deserializer=model_config.ModelConfigRequest.FromString,
                response_serializer=model_config.ModelConfigResponse.SerializeToString,
            )
        },
    )
    health_pb2_grpc.add_HealthServicer_to_server(Health(pod, servicer.refuse), guarded)
    names = (INFERENCE, HEALTH, reflection.SERVICE_NAME)
    reflection_pb2_grpc.add_ServerReflectionServicer_to_server(
        reflection.aio.ReflectionServicer(names), guarded
    )


class _Guarded:
    """Stands for a server while generated code adds its services.

    Where a client's bytes are no message of the method, the method does not see them.
    """

    def __init__(self, server: grpc.aio.Server, refuse: Refuse) -> None:
        self._server = server
        self._refuse = refuse

    def add_generic_rpc_handlers(self, handlers: object) -> None:
        """Nothing: the same methods come once more, by name."""

    def add_registered_method_handlers(self, service: str, handlers: Mapping[str, Any]) -> None:
        """The methods of a service, each with its guard."""
        guarded = {name: self._guard(name, handler) for name, handler in handlers.items()}
        generic = grpc.method_handlers_generic_handler(service, guarded)
        self._server.add_generic_rpc_handlers((generic,))
        self._server.add_registered_method_handlers(service, guarded)

    def _guard(self, name: str, handler: Any) -> Any:
        parse = handler.request_deserializer
        if name == _COUNTED:
            return handler._replace(request_deserializer=_read(parse, None))
        handler = handler._replace(request_deserializer=_read(parse, _MAX_QUESTION))
        if handler.unary_unary:
            return handler._replace(unary_unary=self._one(handler.unary_unary))
        if handler.unary_stream:
            return handler._replace(unary_stream=self._one_to_many(handler.unary_stream))
        return handler._replace(stream_stream=self._many(handler.stream_stream))

    def _one(self, answer: Callable[[Any, Any], Awaitable[Any]]) -> Any:
        async def guarded(request: Any, context: Any) -> Any:
            await self._check(request, context)
            return await answer(request, context)

        return guarded

    def _one_to_many(self, answer: Callable[[Any, Any], AsyncIterator[Any]]) -> Any:
        async def guarded(request: Any, context: Any) -> AsyncIterator[Any]:
            await self._check(request, context)
            async for response in answer(request, context):
                yield response

        return guarded

    def _many(self, answer: Callable[[Any, Any], AsyncIterator[Any]]) -> Any:
        async def checked(requests: AsyncIterator[Any], context: Any) -> AsyncIterator[Any]:
            async for request in requests:
                await self._check(request, context)
                yield request

        async def guarded(requests: AsyncIterator[Any], context: Any) -> AsyncIterator[Any]:
            async for response in answer(checked(requests, context), context):
                yield response

        return guarded

    async def _check(self, request: Any, context: Any) -> None:
        if isinstance(request, ServingError):
            await self._refuse(context, request)


def _read(parse: Callable[[bytes], Any], limit: int | None) -> Callable[[bytes], Any]:
    """A deserializer that gives the error, because grpc answers one that raises by itself."""

    def message(data: bytes) -> Any:
        if limit is not None and len(data) > limit:
            return message_too_large(len(data), limit)
        try:
            return parse(data)
        except DecodeError:
            return invalid_protobuf()

    return message
