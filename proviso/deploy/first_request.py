"""The proof that a deployment ends with: one transaction, scored through the gateway."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from feature_runtime.core.moments import now
from proviso.clients.endpoint import Answer, EndpointRequest, RestClient
from proviso.contracts.base import ContractError, Problem
from proviso.kube.api import Progress
from proviso.release.directory import Release

_SECONDS = 120.0
Id = int | str


@dataclass(frozen=True)
class Endpoint:
    """Where a release is asked: host:port of the gateway, and the host that it routes by."""

    address: str
    host: str
    release: Release


@dataclass(frozen=True)
class Scored:
    """An answer with a probability, and the line of a shell that asks again."""

    answer: Answer
    command: str

    def __str__(self) -> str:
        said, milliseconds = self.answer, self.answer.seconds * 1e3
        probability = f"{said.probability:.6f}"
        return f"{said.decision} at {probability} by {said.release}, {milliseconds:.0f} ms"


def ask(endpoint: Endpoint, ids: Mapping[str, Sequence[Id]], progress: Progress) -> Scored:
    """Asks about one entity after the other until one is scored.

    ids: by entity, those that the data may have. Raises ContractError after two minutes: rows
    that were just written are seen when their deadline is over, half a minute later.
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
            asked = _question(release, ids, number)
            answer = await client.ask(asked)
            if answer.probability is not None:
                return Scored(answer, curl(endpoint, asked))
            said = answer.error or f"{answer.decision} without a score: {answer.status}"
            if time.monotonic() > ends:
                raise ContractError(
                    [Problem(f"{endpoint.host} at {endpoint.address}", said[:500], "a score")]
                )
            if number == 0:
                progress(f"not scored yet: {said[:200]}")
            number += 1
            await asyncio.sleep(0.2)
    finally:
        await client.close()


def _question(release: Release, ids: Mapping[str, Sequence[Id]], number: int) -> EndpointRequest:
    service = release.service
    chosen = {e.join_key: ids[e.name][number % len(ids[e.name])] for e in service.entities}
    fields = dict.fromkeys(service.fields, 20.0)
    return EndpointRequest(f"deploy-{time.time_ns()}-{number}", now(), chosen, fields)


def curl(endpoint: Endpoint, asked: EndpointRequest) -> str:
    """A line for a shell that asks the same over V1."""
    instance = {**asked.ids, **asked.fields, "event_ts": "NOW"}
    # The shell puts its own moment there: a request may be no older than the plan allows.
    body = json.dumps({"instances": [instance]}).replace("NOW", "'$(date -u +%FT%TZ)'")
    url = f"http://{endpoint.address}/v1/models/{endpoint.release.model_name}:predict"
    header = "content-type: application/json"
    return f"curl -s -H 'host: {endpoint.host}' -H '{header}' {url} -d '{body}'"
