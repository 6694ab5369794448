"""Clients of the endpoint: V2 REST and V2 gRPC, one transaction a request.

Owns the HTTP client and, beside bench/sweep_target.py, `tritonclient` in the control plane.
(tritonclient and the KServe SDK register the same protobuf symbols, so the pod's server is never
imported here.)
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol, Self

import httpx
import numpy as np
import tritonclient.grpc.aio as triton
from numpy.typing import NDArray
from tritonclient.utils import InferenceServerException

from feature_runtime.core.moments import format_moment
from feature_runtime.core.record import FieldValue
from feature_runtime.core.service import DATATYPES, Service

OUTPUTS = ("probability", "decision", "status")
TIMEOUT_SECONDS = 10.0
_GRPC_MISTAKES = frozenset(
    f"StatusCode.{name}" for name in ("INVALID_ARGUMENT", "NOT_FOUND", "UNIMPLEMENTED", "CANCELLED")
)
_KINDS: Mapping[str, type[Any]] = {
    "INT64": np.int64,
    "FP64": np.float64,
    "BOOL": np.bool_,
    "BYTES": np.object_,
}
Ids = Mapping[str, int | str]


@dataclass(frozen=True)
class EndpointRequest:
    """One transaction to be scored. `ids` and `fields` by request name; t in microseconds.

    fields: as JSON has them, moments as RFC 3339; None is left out.
    """

    request_id: str
    t: int
    ids: Ids
    fields: Mapping[str, FieldValue]


@dataclass(frozen=True)
class Answer:
    """A response; `code` is the HTTP status or gRPC's as text, `error` the reason of a failure."""

    protocol: str
    code: str
    seconds: float
    probability: float | None = None
    decision: str | None = None
    status: Mapping[str, Any] | None = None
    release: str | None = None
    scored_at: str | None = None
    error: str | None = None

    @property
    def answered(self) -> bool:
        return self.error is None

    @property
    def refused(self) -> bool:
        """Whether it failed by the client's own mistake, as monitoring counts: 4xx but not 429."""
        mistake = self.code.startswith("4") and self.code != "429"
        return not self.answered and (mistake or self.code in _GRPC_MISTAKES)

    @property
    def feature_status(self) -> Mapping[str, str]:
        """Status by `view:feature`, of the response."""
        features = (self.status or {}).get("features", {})
        return {name: str(status) for name, status in features.items()}


class Client(Protocol):
    """One protocol of the endpoint."""

    async def ask(self, request: EndpointRequest) -> Answer: ...

    async def close(self) -> None: ...


class RestClient:
    """V2 REST with JSON tensors. host: what a gateway at `url` routes by."""

    def __init__(self, url: str, model: str, service: Service, host: str | None = None) -> None:
        self._url = f"{url.rstrip('/')}/v2/models/{model}/infer"
        self._service = service
        headers = {} if host is None else {"host": host}
        self._http = httpx.AsyncClient(timeout=TIMEOUT_SECONDS, trust_env=False, headers=headers)

    async def ask(self, request: EndpointRequest) -> Answer:
        started = time.perf_counter()
        headers = {"x-request-id": request.request_id}
        body = rest_body(self._service, request)
        try:
            reply = await self._http.post(self._url, json=body, headers=headers)
        except httpx.HTTPError as error:
            seconds = time.perf_counter() - started
            return Answer("rest", "none", seconds, error=f"{type(error).__name__}: {error}")
        seconds = time.perf_counter() - started
        if reply.status_code != 200:
            return Answer("rest", str(reply.status_code), seconds, error=_error_of(reply))
        return _rest_answer(reply.json(), seconds)

    async def close(self) -> None:
        await self._http.aclose()


class GrpcClient:
    """V2 gRPC through tritonclient. host: what a gateway at `address` routes by."""

    def __init__(self, address: str, model: str, service: Service, host: str | None = None) -> None:
        self._model = model
        self._service = service
        options = None if host is None else [("grpc.default_authority", host)]
        self._client = triton.InferenceServerClient(address, channel_args=options)

    async def ask(self, request: EndpointRequest) -> Answer:
        started = time.perf_counter()
        try:
            result = await self._client.infer(
                self._model,
                _tensors(self._service, request),
                request_id=request.request_id,
                headers={"x-request-id": request.request_id},
                client_timeout=TIMEOUT_SECONDS,
            )
        except InferenceServerException as error:
            seconds = time.perf_counter() - started
            return Answer("grpc", str(error.status()), seconds, error=str(error.message())[:500])
        return _grpc_answer(result, time.perf_counter() - started)

    async def close(self) -> None:
        await self._client.close()


class Clients:
    """Sends requests over the given clients in turn; closes them all."""

    def __init__(self, *clients: Client) -> None:
        self._clients = clients

    async def ask(self, number: int, request: EndpointRequest) -> Answer:
        """Sends a request; `number` selects the client, so that a repeated replay uses the same."""
        return await self._clients[number % len(self._clients)].ask(request)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for client in self._clients:
            await client.close()


def clients_of(model_name: str, service: Service, rest: str, grpc: str | None = None) -> Clients:
    """Clients of an endpoint: REST at http://HOST:PORT and, if given, V2 gRPC at HOST:PORT."""
    protocols: list[Client] = [RestClient(rest, model_name, service)]
    if grpc:
        protocols.append(GrpcClient(grpc, model_name, service))
    return Clients(*protocols)


def rest_body(service: Service, request: EndpointRequest) -> dict[str, Any]:
    """A V2 REST request for one transaction: every input is [1, 1]."""
    values = _values(service, request)
    return {
        "inputs": [
            {"name": name, "datatype": datatype, "shape": [1, 1], "data": [value]}
            for name, datatype, value in values
        ]
    }


def _values(service: Service, request: EndpointRequest) -> list[tuple[str, str, Any]]:
    ids = [(e.join_key, DATATYPES[e.dtype], request.ids[e.join_key]) for e in service.entities]
    fields = [
        (field.name, DATATYPES[field.dtype], value)
        for field in service.sent_fields
        if (value := request.fields[field.name]) is not None
    ]
    return [*ids, *fields, ("event_ts", "BYTES", format_moment(request.t))]


def _tensors(service: Service, request: EndpointRequest) -> list[triton.InferInput]:
    tensors = []
    for name, datatype, value in _values(service, request):
        kind = _KINDS[datatype]
        array: NDArray[Any] = np.array(
            [[value.encode() if isinstance(value, str) else value]], dtype=kind
        )
        tensor = triton.InferInput(name, [1, 1], datatype)
        tensor.set_data_from_numpy(array)
        tensors.append(tensor)
    return tensors


def _error_of(reply: httpx.Response) -> str:
    """The reason in an error response: its `error` field, else its text."""
    try:
        said = reply.json()["error"]
    except (ValueError, TypeError, KeyError):
        said = reply.text
    return str(said)[:500]


def _rest_answer(body: Mapping[str, Any], seconds: float) -> Answer:
    outputs = {output["name"]: output["data"][0] for output in body["outputs"]}
    parameters = body.get("parameters") or {}
    return _answer("rest", outputs, parameters, seconds)


def _grpc_answer(result: Any, seconds: float) -> Answer:
    outputs = {name: result.as_numpy(name).reshape(-1)[0] for name in OUTPUTS}
    raw = result.get_response().parameters
    parameters = {name: raw[name].string_param for name in raw}
    return _answer("grpc", outputs, parameters, seconds)


def _answer(
    protocol: str, outputs: Mapping[str, Any], parameters: Mapping[str, Any], seconds: float
) -> Answer:
    probability = outputs["probability"]
    missing = probability is None or probability != probability
    return Answer(
        protocol=protocol,
        code="200",
        seconds=seconds,
        probability=None if missing else float(probability),
        decision=_text(outputs["decision"]),
        status=json.loads(_text(outputs["status"])),
        release=parameters.get("release"),
        scored_at=parameters.get("scored_at"),
    )


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value
