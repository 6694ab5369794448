"""Load through the gateway: what was asked, when, over which protocol, and what came back.

`batch` asks a number of questions at a concurrency; `Load` asks at a constant rate in a thread of
its own while a test changes the cluster, and stops by itself. On a machine that cannot answer at
that rate it waits: a change has to be harmless under load, not under more than the CPU can answer.
"""

from __future__ import annotations

import asyncio
import itertools
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Self

from feature_runtime.core.moments import now
from feature_runtime.core.service import Service
from proviso.clients.endpoint import Answer, Client, EndpointRequest, GrpcClient, RestClient

MAX_SECONDS = 1500.0
"""The longest load, in seconds."""
MOST_UNDER_WAY = 4
"""Requests of a load that wait for their answers at the same time."""


@dataclass(frozen=True)
class Gateway:
    """How the public endpoint is reached: an address, and the host that it routes by."""

    address: str
    host: str
    model: str
    service: Service

    def clients(self) -> tuple[Client, Client]:
        """REST and gRPC."""
        return (
            RestClient(f"http://{self.address}", self.model, self.service, self.host),
            GrpcClient(self.address, self.model, self.service, self.host),
        )


@dataclass(frozen=True)
class Sent:
    """One request. began: the monotonic clock's seconds."""

    request: EndpointRequest
    began: float
    answer: Answer

    @property
    def ended(self) -> float:
        return self.began + self.answer.seconds


def releases(sent: Sequence[Sent]) -> Counter[str | None]:
    """Answers by the release that they name; None: no answer."""
    return Counter(one.answer.release for one in sent)


def failed(sent: Sequence[Sent]) -> list[Sent]:
    return [one for one in sent if not one.answer.answered]


def batch(
    gateway: Gateway, asked: Sequence[EndpointRequest], count: int, tag: str, concurrency: int = 4
) -> list[Sent]:
    """`count` questions, in turn over REST and gRPC, at most `concurrency` under way."""
    return asyncio.run(_batch(gateway, asked, count, tag, concurrency))


async def _batch(
    gateway: Gateway, asked: Sequence[EndpointRequest], count: int, tag: str, concurrency: int
) -> list[Sent]:
    clients, numbers, sent = gateway.clients(), iter(range(count)), list[Sent]()

    async def work() -> None:
        for number in numbers:
            sent.append(await _ask(clients, asked, number, tag))

    await asyncio.gather(*(work() for _ in range(concurrency)))
    await asyncio.gather(*(client.close() for client in clients))
    return sent


async def _ask(
    clients: Sequence[Client], asked: Sequence[EndpointRequest], number: int, tag: str
) -> Sent:
    chosen = asked[number % len(asked)]
    request = replace(chosen, request_id=f"{tag}-{number}", t=now())
    began = time.monotonic()
    return Sent(request, began, await clients[number % len(clients)].ask(request))


@dataclass
class Load:
    """Requests at `rate` a second from entering to leaving the context."""

    gateway: Gateway
    asked: Sequence[EndpointRequest]
    tag: str
    rate: float = 40.0
    sent: list[Sent] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        assert self._thread is not None
        self._thread.join(60)

    async def _run(self) -> None:
        clients, running = self.gateway.clients(), set[asyncio.Task[None]]()
        began = due = time.monotonic()
        for number in itertools.count():
            due = max(due + 1 / self.rate, time.monotonic())
            await asyncio.sleep(due - time.monotonic())
            if len(running) >= MOST_UNDER_WAY:
                await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            if self._stop.is_set() or time.monotonic() - began > MAX_SECONDS:
                break
            task = asyncio.create_task(self._one(clients, number))
            running.add(task)
            task.add_done_callback(running.discard)
        await asyncio.gather(*running)
        await asyncio.gather(*(client.close() for client in clients))

    async def _one(self, clients: Sequence[Client], number: int) -> None:
        self.sent.append(await _ask(clients, self.asked, number, self.tag))
