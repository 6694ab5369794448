"""The proof that a deployment ends with: one transaction, scored through the gateway."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass

from feature_runtime.moments import now
from proviso.contracts.base import ContractError, Problem
from proviso.deploy.cluster import Progress
from proviso.online.clients import Answer, Question, RestClient
from proviso.training.release import Release

_SECONDS = 60.0


@dataclass(frozen=True)
class Scored:
    """An answer, and how to get another."""

    answer: Answer
    command: str

    def __str__(self) -> str:
        said = self.answer
        return (
            f"{said.decision} at {said.probability} by {said.release}, {said.seconds * 1e3:.0f} ms"
        )


def ask(address: str, host: str, release: Release, progress: Progress) -> Scored:
    """Asks until the gateway leads to a release. Raises ContractError after a minute."""
    return asyncio.run(_ask(address, host, release, progress))


async def _ask(address: str, host: str, release: Release, progress: Progress) -> Scored:
    client = RestClient(f"http://{address}", release.model_name, release.service, host)
    ends, number = time.monotonic() + _SECONDS, 0
    try:
        while True:
            answer = await client.ask(_question(release, number))
            if answer.answered:
                return Scored(answer, curl(address, host, release))
            if time.monotonic() > ends:
                found = f"{answer.code}: {answer.error}"
                raise ContractError([Problem(f"{host} at {address}", found, "a scored request")])
            if number == 0:
                progress(f"no answer yet: {answer.code} {answer.error}")
            number += 1
            await asyncio.sleep(0.5)
    finally:
        await client.close()


def _question(release: Release, number: int) -> Question:
    """Somebody whom nobody has seen: answered by the contract's defaults, by any data."""
    service = release.service
    ids: dict[str, int | str] = {
        entity.join_key: 0 if entity.dtype == "int64" else "nobody" for entity in service.entities
    }
    fields = dict.fromkeys(service.fields, 1.0)
    return Question(f"deploy-{time.time_ns()}-{number}", now(), ids, fields)


def curl(address: str, host: str, release: Release) -> str:
    """A line for a shell that asks the same over V1."""
    service = release.service
    instance = {
        **{e.join_key: 0 if e.dtype == "int64" else "nobody" for e in service.entities},
        **dict.fromkeys(service.fields, 1.0),
        "event_ts": "NOW",
    }
    # The shell puts its own moment there: a request may be no older than the plan allows.
    body = json.dumps({"instances": [instance]}).replace("NOW", "'$(date -u +%FT%TZ)'")
    url = f"http://{address}/v1/models/{release.model_name}:predict"
    return f"curl -s -H 'host: {host}' -H 'content-type: application/json' {url} -d '{body}'"
