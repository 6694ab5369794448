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
from feature_runtime.serving import answers, protocol
from feature_runtime.serving.errors import Code, ServingError, shown, too_large
from feature_runtime.serving.outcome import Outcome
from feature_runtime.serving.pod import Pod
from feature_runtime.serving.protocol import Asked
from feature_runtime.serving.request import Columns, ScoringRequest, request_id

_log = logging.getLogger("kserve.proviso")
_JSON = "application/json"
_BINARY_LENGTH = "inference-header-content-length"


class Rest:
    """The prediction routes of one listener. name: the public model name; traffic: of its ports."""

    def __init__(self, pod: Pod, name: str, traffic: Traffic) -> None:
        self._pod = pod
        self._name = name
        self._traffic = traffic
        self._max_body = pod.release.service.limits.max_body_bytes

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
        """The process."""
        return JSONResponse({"live": True})

    async def ready(self, _: Request) -> Response:
        """The pod, which is one for all of its listeners."""
        return JSONResponse({"ready": self._pod.ready}, 200 if self._pod.ready else 503)

    async def metrics(self, _: Request) -> Response:
        """Prometheus text."""
        body = generate_latest(self._pod.metrics.registry)
        return Response(body, headers={"content-type": CONTENT_TYPE_LATEST})

    async def predict_v1(self, request: Request) -> Response:
        """V1 predict."""

        def parse(body: bytes, given: str | None) -> ScoringRequest:
            columns = protocol.parse_v1(self._pod.inputs, body)
            return self._scoring(columns, given)

        def write(scored: ScoringRequest, outcome: Outcome) -> Response:
            body = answers.v1_body(self._pod.release, scored, outcome)
            return self._response(200, body, scored.request_id)

        return await self._predict("v1", request, parse, write)

    async def predict_v2(self, request: Request) -> Response:
        """V2 infer, JSON or binary."""
        asked = Asked()

        def parse(body: bytes, given: str | None) -> ScoringRequest:
            nonlocal asked
            length = request.headers.get(_BINARY_LENGTH)
            columns, asked = protocol.parse_v2(self._pod.inputs, body, length)
            return self._scoring(columns, given or asked.id)

        def write(scored: ScoringRequest, outcome: Outcome) -> Response:
            body, head = answers.v2_body(self._pod.release, self._name, asked, scored, outcome)
            if head is None:
                return self._response(200, body, scored.request_id)
            binary = {"content-type": "application/octet-stream", _BINARY_LENGTH: str(head)}
            return self._response(200, body, scored.request_id, binary)

        return await self._predict("v2", request, parse, write)

    def _scoring(self, columns: Columns, given: str | None) -> ScoringRequest:
        return self._pod.inputs.request(columns, request_id(given), self._traffic)

    async def _predict(
        self,
        version: str,
        request: Request,
        parse: Callable[[bytes, str | None], ScoringRequest],
        write: Callable[[ScoringRequest, Outcome], Response],
    ) -> Response:
        given = request.headers.get("x-request-id")

        async def read() -> ScoringRequest:
            self._check_name(request.path_params["model_name"])
            return parse(await read_body(request, self._max_body), given)

        try:
            return await self._pod.answer(version, self._traffic, read, write)
        except ServingError as refusal:
            return self._refused(refusal, given)

    def _check_name(self, found: str) -> None:
        if found != self._name:
            raise ServingError(Code.NOT_FOUND, "not_found", "model", shown(found), self._name)

    def _refused(self, refusal: ServingError, given: str | None) -> Response:
        try:
            named = request_id(given)
        except ServingError:
            named = request_id(None)
        retry = refusal.retry_after
        headers = {} if retry is None else {"retry-after": str(retry)}
        body = orjson.dumps(refusal.body(named))
        return self._response(refusal.code.http, body, named, headers)

    def _response(
        self, code: int, body: bytes, named: str, more: Mapping[str, str] | None = None
    ) -> Response:
        headers = {"content-type": _JSON, "x-request-id": named, "x-release": self._pod.release.id}
        return Response(body, code, headers | dict(more or {}))


async def read_body(request: Request, limit: int) -> bytes:
    """The body, refused as soon as it is known to be over `limit` bytes."""
    length = request.headers.get("content-length", "")
    if length.isdecimal() and int(length) > limit:
        raise too_large("body", f"{length} bytes", f"at most {limit}")
    chunks, size = [], 0
    try:
        async for chunk in request.stream():
            size += len(chunk)
            if size > limit:
                raise too_large("body", f"more than {limit} bytes", f"at most {limit}")
            chunks.append(chunk)
    except ClientDisconnect as error:
        raise ServingError(Code.GONE, "disconnect", "body", "no end", "a whole body") from error
    return b"".join(chunks)


async def unexpected(_: Request, error: Exception) -> Response:
    """A fault of ours: the log has it whole, the client only that there was one."""
    _log.error("unexpected error in a request", exc_info=error)
    refusal = ServingError(Code.INTERNAL, "internal", "server", "a fault of its own", "none", 1)
    return Response(orjson.dumps(refusal.body("")), 500, {"content-type": _JSON})


class RestServer(RESTServer):  # type: ignore[misc]
    """kserve's HTTP server with the pod's routes, and without its load and unload calls.

    Anybody who reaches the port could unload the model with those.
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
