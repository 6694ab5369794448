"""V1 and V2 over HTTP: predictions, health and metadata, each answered in the protocol's form.

kserve's own handlers build a pydantic model per request, have no bound on a body, know no versions
and answer what they refuse with their own errors; see docs/adr/0030 and 0088.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import orjson
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.types import Message as AsgiMessage

from feature_runtime.core.traffic import Traffic
from feature_runtime.serving.codecs import Call, Codec
from feature_runtime.serving.codecs.compression import ACCEPTED, coding_of, inflate
from feature_runtime.serving.codecs.v1 import V1Codec
from feature_runtime.serving.codecs.v2 import V2Codec
from feature_runtime.serving.codecs.values import HttpMessage, HttpReply
from feature_runtime.serving.description import Description
from feature_runtime.serving.errors import (
    ErrorStatus,
    ServingError,
    internal_error,
    method_not_allowed,
    path_not_found,
    too_large,
)
from feature_runtime.serving.logs import log
from feature_runtime.serving.pod import Pod
from feature_runtime.serving.request import Served, header_request_id

_JSON = "application/json"
_BINARY = "application/octet-stream"
_JSON_LENGTH = "inference-header-content-length"

Handler = Callable[[Request], Awaitable[Response]]


class HttpSource:
    """A request that is still arriving. limit: bytes of its body, compressed and not."""

    def __init__(self, request: Request, served: Served, limit: int) -> None:
        self.given = request.headers.get("x-request-id")
        self._request = request
        self._served = served
        self._limit = limit

    async def read(self) -> HttpMessage:
        """The message; refused as soon as it is for another model or known to be too large."""
        _check_path(self._request, self._served)
        headers = self._request.headers
        coding = coding_of(headers.getlist("content-encoding"))
        body = inflate(await read_body(self._request, self._limit), coding, self._limit)
        return HttpMessage(body, self.given, headers.get(_JSON_LENGTH))


class Rest:
    """One listener over HTTP. traffic: of its ports."""

    def __init__(self, pod: Pod, description: Description, traffic: Traffic) -> None:
        self._pod = pod
        self._description = description
        self._served = description.served
        self._traffic = traffic
        self._max_body = pod.release.service.limits.max_body_bytes
        self._v1 = V1Codec(pod.inputs, traffic)
        self._v2 = V2Codec(pod.inputs, self._served, traffic)

    def app(self) -> Starlette:
        """Everything that a client may ask."""
        described = {
            "/": self.alive,
            "/metrics": self.metrics,
            "/v1/models": self.models,
            "/v1/models/{model_name}": self.model_ready,
            "/v2": self.server_metadata,
            "/v2/models": self.models,
            **_by_version("", self.model_metadata),
            **_by_version("/config", self.model_config),
            **_by_version("/ready", self.model_ready),
        }
        return self._application(described)

    def shadow_app(self) -> Starlette:
        """Predictions and health alone: what mirrored traffic and a probe of its port need."""
        return self._application({})

    def _application(self, described: Mapping[str, Handler]) -> Starlette:
        """Raw routes: no model validation, no dependency injection on the hot path.

        A path with a slash too many is unknown: the redirect that Starlette would make of it names
        whatever host the client has named.
        """
        predictions = {
            "/v1/models/{model_name}:predict": self.predict_v1,
            **_by_version("/infer", self.predict_v2),
        }
        asked = {"/v2/health/live": self.live, "/v2/health/ready": self.ready, **described}
        routes = [
            *(Route(path, handler, methods=["POST"]) for path, handler in predictions.items()),
            *(Route(path, handler, methods=["GET"]) for path, handler in asked.items()),
        ]
        handlers: Mapping[Any, Any] = {
            HTTPException: self.not_routed,
            ServingError: self.refused,
        }
        faults = Middleware(Faults, answer=self.fault)
        app = Starlette(routes=routes, middleware=[faults], exception_handlers=handlers)
        app.router.redirect_slashes = False
        return app

    async def alive(self, _: Request) -> Response:
        """Liveness as V1 clients ask for it."""
        return JSONResponse({"status": "alive"})

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

    async def server_metadata(self, _: Request) -> Response:
        """V2 metadata of the server."""
        return JSONResponse(self._description.server())

    async def models(self, _: Request) -> Response:
        """The names of the models: one."""
        return JSONResponse({"models": [self._served.name]})

    async def model_ready(self, request: Request) -> Response:
        """Readiness of the model, which is the pod's."""
        _check_path(request, self._served)
        ready = self._pod.ready
        return JSONResponse({"name": self._served.name, "ready": ready}, 200 if ready else 503)

    async def model_metadata(self, request: Request) -> Response:
        """V2 metadata of the model."""
        _check_path(request, self._served)
        return JSONResponse(self._description.metadata())

    async def model_config(self, request: Request) -> Response:
        """Triton's model configuration."""
        _check_path(request, self._served)
        return JSONResponse(self._description.config())

    async def predict_v1(self, request: Request) -> Response:
        """V1 predict."""
        return await self._predict(self._v1, request)

    async def predict_v2(self, request: Request) -> Response:
        """V2 infer, JSON or binary."""
        return await self._predict(self._v2, request)

    async def refused(self, request: Request, error: ServingError) -> Response:
        """A refusal of a request that is no prediction."""
        return self._error(error, request.headers.get("x-request-id"))

    async def not_routed(self, request: Request, error: HTTPException) -> Response:
        """404 or 405 in the form of every other error."""
        response = self._error(_no_route(request, error), request.headers.get("x-request-id"))
        response.headers.update(error.headers or {})
        return response

    def fault(self, request: Request, error: Exception) -> Response:
        """The answer where anything but a prediction failed; those have been answered before."""
        refused, given = internal_error(), request.headers.get("x-request-id")
        refused.request_id = header_request_id(given)
        log.error("internal server error in request %s", refused.request_id, exc_info=error)
        return self._error(refused, given)

    async def _predict(
        self, codec: Codec[HttpMessage, Call, HttpReply], request: Request
    ) -> Response:
        source = HttpSource(request, self._served, self._max_body)
        try:
            reply = await self._pod.infer(codec, source, self._traffic)
        except ServingError as error:
            return self._error(error, source.given)
        if reply.json_length is None:
            return self._response(200, reply.body, reply.request_id)
        binary = {"content-type": _BINARY, _JSON_LENGTH: str(reply.json_length)}
        return self._response(200, reply.body, reply.request_id, binary)

    def _error(self, error: ServingError, given: str | None) -> Response:
        named, headers = error.request_id or header_request_id(given), {}
        if error.retry_after is not None:
            headers["retry-after"] = str(error.retry_after)
        if error.status is ErrorStatus.TIMEOUT:
            headers["connection"] = "close"  # the rest of the request is not waited for
        if error.status is ErrorStatus.UNSUPPORTED:
            headers["accept-encoding"] = ACCEPTED
        return self._response(error.status.http, orjson.dumps(error.body(named)), named, headers)

    def _response(
        self, code: int, body: bytes, named: str, more: Mapping[str, str] | None = None
    ) -> Response:
        headers = {"content-type": _JSON, "x-request-id": named, "x-release": self._pod.release.id}
        return Response(body, code, headers | dict(more or {}))


def _by_version(verb: str, handler: Handler) -> dict[str, Handler]:
    """A V2 path of a model, without and with the version."""
    model = "/v2/models/{model_name}"
    return {f"{model}{verb}": handler, f"{model}/versions/{{model_version}}{verb}": handler}


def _check_path(request: Request, served: Served) -> None:
    served.check(request.path_params["model_name"], request.path_params.get("model_version"))


def _no_route(request: Request, error: HTTPException) -> ServingError:
    """Starlette's refusal of a path, or of its method; it raises no other."""
    if error.status_code == ErrorStatus.NOT_ALLOWED.http:
        return method_not_allowed(request.method, (error.headers or {}).get("Allow", ""))
    return path_not_found(request.url.path)


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


class Faults:
    """Middleware that answers where the application raised, and keeps the connection.

    A handler for Exception would run outside it, where the server ends the connection, and with it
    the requests behind this one.
    """

    def __init__(self, app: ASGIApp, answer: Callable[[Request, Exception], Response]) -> None:
        self._app = app
        self._answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = False

        async def watched(message: AsgiMessage) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except Exception as error:
            if started or scope["type"] != "http":
                raise
            await self._answer(Request(scope), error)(scope, receive, send)
