"""V1 and V2 over HTTP: routes on kserve's application, in front of what kserve serves itself.

kserve's own predict handlers build a pydantic model per request, answer wrong input with their
own errors and have no bound on a body; see docs/adr/0030. Health and metadata are kserve's.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping

import orjson
from fastapi import FastAPI
from kserve.protocol.dataplane import DataPlane
from kserve.protocol.rest.server import RESTServer
from kserve.protocol.rest.v1_endpoints import V1Endpoints
from kserve.protocol.rest.v2_endpoints import V2Endpoints
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from feature_runtime.core.traffic import Traffic
from feature_runtime.serving.codecs import Call, Codec
from feature_runtime.serving.codecs.v1 import V1Codec
from feature_runtime.serving.codecs.v2 import V2Codec
from feature_runtime.serving.codecs.values import HttpMessage, HttpReply
from feature_runtime.serving.errors import (
    ErrorStatus,
    ServingError,
    internal_error,
    model_not_found,
    too_large,
)
from feature_runtime.serving.pod import Pod
from feature_runtime.serving.request import request_id

_log = logging.getLogger("kserve.proviso")
_JSON = "application/json"
_BINARY = "application/octet-stream"
_JSON_LENGTH = "inference-header-content-length"


class HttpSource:
    """A request that is still arriving. limit: bytes of its body; name: the model served."""

    def __init__(self, request: Request, name: str, limit: int) -> None:
        self._request = request
        self._name = name
        self._limit = limit

    async def read(self) -> HttpMessage:
        """The message; refused as soon as it is for another model or known to be too large."""
        named = self._request.path_params["model_name"]
        if named != self._name:
            raise model_not_found(named, self._name)
        headers = self._request.headers
        body = await read_body(self._request, self._limit)
        return HttpMessage(body, headers.get("x-request-id"), headers.get(_JSON_LENGTH))


class Rest:
    """The prediction routes of one listener. name: the public model name; traffic: of its ports."""

    def __init__(self, pod: Pod, name: str, traffic: Traffic) -> None:
        self._pod = pod
        self._name = name
        self._traffic = traffic
        self._max_body = pod.release.service.limits.max_body_bytes
        self._v1 = V1Codec(pod.inputs, traffic)
        self._v2 = V2Codec(pod.inputs, name, traffic)

    def routes(self) -> list[Route]:
        """Raw routes: no model validation, no dependency injection on the hot path."""
        return [
            Route("/v1/models/{model_name}:predict", self.predict_v1, methods=["POST"]),
            Route("/v2/models/{model_name}/infer", self.predict_v2, methods=["POST"]),
        ]

    def shadow_app(self) -> Starlette:
        """Predictions and health alone: what mirrored traffic and a probe of its port need."""
        health = [
            Route("/v2/health/live", self.live, methods=["GET"]),
            Route("/v2/health/ready", self.ready, methods=["GET"]),
        ]
        handlers = {Exception: unexpected}
        return Starlette(routes=[*self.routes(), *health], exception_handlers=handlers)

    async def live(self, _: Request) -> Response:
        """Liveness of the process."""
        return JSONResponse({"live": True})

    async def ready(self, _: Request) -> Response:
        """Readiness of the pod, the same on all of its listeners."""
        return JSONResponse({"ready": self._pod.ready}, 200 if self._pod.ready else 503)

    async def metrics(self, _: Request) -> Response:
        """Prometheus text."""
        body = generate_latest(self._pod.metrics.registry)
        return Response(body, headers={"content-type": CONTENT_TYPE_LATEST})

    async def predict_v1(self, request: Request) -> Response:
        """V1 predict."""
        return await self._predict(self._v1, request)

    async def predict_v2(self, request: Request) -> Response:
        """V2 infer, JSON or binary."""
        return await self._predict(self._v2, request)

    async def _predict(
        self, codec: Codec[HttpMessage, Call, HttpReply], request: Request
    ) -> Response:
        source = HttpSource(request, self._name, self._max_body)
        try:
            reply = await self._pod.infer(codec, source, self._traffic)
        except ServingError as error:
            return self._error(error, request.headers.get("x-request-id"))
        if reply.json_length is None:
            return self._response(200, reply.body, reply.request_id)
        binary = {"content-type": _BINARY, _JSON_LENGTH: str(reply.json_length)}
        return self._response(200, reply.body, reply.request_id, binary)

    def _error(self, error: ServingError, given: str | None) -> Response:
        try:
            named = request_id(given)
        except ServingError:
            named = request_id(None)
        retry = error.retry_after
        headers = {} if retry is None else {"retry-after": str(retry)}
        return self._response(error.status.http, orjson.dumps(error.body(named)), named, headers)

    def _response(
        self, code: int, body: bytes, named: str, more: Mapping[str, str] | None = None
    ) -> Response:
        headers = {"content-type": _JSON, "x-request-id": named, "x-release": self._pod.release.id}
        return Response(body, code, headers | dict(more or {}))


async def read_body(request: Request, limit: int) -> bytes:
    """The body, refused as soon as it is known to be over `limit` bytes."""
    length = request.headers.get("content-length", "")
    if length.isdecimal() and int(length) > limit:
        raise too_large("body_too_large", "body", f"{length} bytes", f"at most {limit}")
    chunks, size = [], 0
    try:
        async for chunk in request.stream():
            size += len(chunk)
            if size > limit:
                found = f"more than {limit} bytes"
                raise too_large("body_too_large", "body", found, f"at most {limit}")
            chunks.append(chunk)
    except ClientDisconnect as error:
        raise ServingError(
            ErrorStatus.DISCONNECTED,
            "disconnect",
            "client_disconnected",
            "body",
            message="the client disconnected before the end of the body",
        ) from error
    return b"".join(chunks)


async def unexpected(_: Request, error: Exception) -> Response:
    """An internal server error: the log has the details, the client does not."""
    _log.error("unexpected error in a request", exc_info=error)
    return Response(orjson.dumps(internal_error().body("")), 500, {"content-type": _JSON})


class RestServer(RESTServer):  # type: ignore[misc]
    """kserve's HTTP server with the pod's routes, and without its load and unload calls.

    Any client that reaches the port could unload the model with those. What is overridden here is
    listed in kserve_overrides.py.
    """

    def serve_pod(self, rest: Rest) -> None:
        """The routes that `create_application` will register."""
        self._rest = rest

    def _register_endpoints(self, app: FastAPI) -> None:
        plane: DataPlane = self.dataplane
        v1, v2 = V1Endpoints(plane), V2Endpoints(plane)
        app.router.routes.extend(self._rest.routes())
        app.router.routes.append(Route("/metrics", self._rest.metrics, methods=["GET"]))
        routes: Mapping[str, Callable[..., Awaitable[object]]] = {
            "/": plane.live,
            "/v1/models": v1.models,
            "/v1/models/{model_name}": v1.model_ready,
            "/v2": v2.metadata,
            "/v2/health/live": v2.live,
            "/v2/health/ready": v2.ready,
            "/v2/models": v2.models,
            "/v2/models/{model_name}": v2.model_metadata,
            "/v2/models/{model_name}/ready": v2.model_ready,
        }
        for path, endpoint in routes.items():
            app.add_api_route(
                path, endpoint, methods=["GET"], response_model=None, response_class=JSONResponse
            )

    def _add_middlewares(self, app: FastAPI) -> None:
        """None: kserve's times every request into a log."""

    def _add_exception_handlers(self, app: FastAPI) -> None:
        super()._add_exception_handlers(app)
        app.add_exception_handler(Exception, unexpected)
