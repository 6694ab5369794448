"""The last step of a deployment: one transaction is scored through the gateway."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from feature_runtime.core.moments import now
from feature_runtime.core.record import FieldValue
from proviso.clients.endpoint import Answer, EndpointRequest, RestClient
from proviso.contracts.base import ContractError, Problem
from proviso.kube.api import Progress
from proviso.release.directory import Release

_SECONDS = 120.0
Id = int | str


@dataclass(frozen=True)
class Endpoint:
    """A release behind a gateway. address: host:port; host: the Host header that it routes by."""

    address: str
    host: str
    release: Release


@dataclass(frozen=True)
class Scored:
    """An answer with a probability, and the shell command that sends the request again."""

    answer: Answer
    command: str

    def __str__(self) -> str:
        answer, milliseconds = self.answer, self.answer.seconds * 1e3
        probability = f"{answer.probability:.6f}"
        return f"{answer.decision} at {probability} by {answer.release}, {milliseconds:.0f} ms"


def ask(endpoint: Endpoint, ids: Mapping[str, Sequence[Id]], progress: Progress) -> Scored:
    """Sends one request after the other, each about another entity, until one is scored.

    ids: by entity, those that the data may have. Raises ContractError after two minutes: rows that
    were just written become visible about half a minute later, when their deadline has passed.
    """
    return asyncio.run(_ask(endpoint, ids, progress))


async def _ask(endpoint: Endpoint, ids: Mapping[str, Sequence[Id]], progress: Progress) -> Scored:
    release = endpoint.release
    client = RestClient(
        f"http://{endpoint.address}", release.model_name, release.service, endpoint.host
    )
    ends, number = time.monotonic() + _SECONDS, 0
    try:
        while True:
            asked = _request(release, ids, number)
            answer = await client.ask(asked)
            if answer.probability is not None:
                return Scored(answer, curl(endpoint, asked))
            reason = answer.error or f"{answer.decision} without a score: {answer.status}"
            if time.monotonic() > ends:
                raise _unscored(endpoint, reason)
            if number == 0:
                progress(f"not scored yet: {reason[:200]}")
            number += 1
            await asyncio.sleep(0.2)
    finally:
        await client.close()


_SAMPLES: Mapping[str, FieldValue] = {
    "float64": 20.0,
    "int64": 20,
    "bool": False,
    "string": "first request",
    "timestamp": "1970-01-01T00:00:00Z",
}
"""A value of each type of a field, which an encoding takes for an unknown one."""


def _request(release: Release, ids: Mapping[str, Sequence[Id]], number: int) -> EndpointRequest:
    service = release.service
    chosen = {e.join_key: ids[e.name][number % len(ids[e.name])] for e in service.entities}
    fields = {field.name: _SAMPLES[field.dtype] for field in service.sent_fields}
    return EndpointRequest(f"deploy-{time.time_ns()}-{number}", now(), chosen, fields)


def _unscored(endpoint: Endpoint, reason: str) -> ContractError:
    message = f"no request was scored within {_SECONDS:.0f} s; the last answer: {reason[:500]}"
    path = f"{endpoint.host} at {endpoint.address}"
    return ContractError([Problem(path, code="first_request_not_scored", message=message)])


def curl(endpoint: Endpoint, asked: EndpointRequest) -> str:
    """A shell command that sends the same request over V1."""
    instance = {**asked.ids, **asked.fields, "event_ts": "NOW"}
    # The shell fills in the present moment: the plan bounds the age of a request.
    body = json.dumps({"instances": [instance]}).replace("NOW", "'$(date -u +%FT%TZ)'")
    url = f"http://{endpoint.address}/v1/models/{endpoint.release.model_name}:predict"
    header = "content-type: application/json"
    return f"curl -s -H 'host: {endpoint.host}' -H '{header}' {url} -d '{body}'"
