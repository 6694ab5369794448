"""One release behind any protocol: what holds for every request, in one place.

Sheds what is over the bound, refuses while the pod is not its release, keeps the deadline over
everything, counts what became of each request, and watches the dependencies without traffic.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import TypeVar

import numpy as np

from feature_runtime.core import moments
from feature_runtime.core.release import Release
from feature_runtime.core.traffic import LIVE, Traffic
from feature_runtime.serving.errors import Code, ServingError, too_late, unavailable
from feature_runtime.serving.metrics import Metrics
from feature_runtime.serving.outcome import Outcome
from feature_runtime.serving.request import Inputs, ScoringRequest
from feature_runtime.serving.scoring import Ports, Scorer, Stopwatch

Read = Callable[[], Awaitable[ScoringRequest]]
Answer = TypeVar("Answer")
Write = Callable[[ScoringRequest, Outcome], Answer]
_PROBE_SECONDS = 2.0
_WAITED_FOR = {"parse": "request", "store": "store", "infer": "predictor"}


class Pod:
    """A release at work. fault: why this pod is not its release; then it answers nothing.

    max_in_flight: requests at once, counted per traffic: a mirrored one never sheds a client's.
    """

    def __init__(
        self,
        release: Release,
        scorer: Scorer,
        ports: Ports,
        metrics: Metrics,
        *,
        fault: str | None,
        max_in_flight: int,
    ) -> None:
        self.release = release
        self.metrics = metrics
        self.inputs = Inputs(release.service)
        self.ready = False
        self._scorer = scorer
        self._ports = ports
        self._fault = fault
        self._in_flight: Counter[str] = Counter()
        self._max_in_flight = max_in_flight
        self._deadline = release.service.limits.deadline

    async def answer(
        self,
        protocol: str,
        traffic: Traffic,
        read: Read,
        write: Callable[[ScoringRequest, Outcome], Answer],
    ) -> Answer:
        """Reads a request, scores it and writes its answer; raises a ServingError instead.

        protocol: v1, v2 or grpc, for the metrics. The deadline covers the reading too.
        """
        watch = Stopwatch()
        try:
            self._admit(traffic)
            self._in_flight[traffic] += 1
            try:
                answer = await self._in_time(read, write, watch)
            finally:
                self._in_flight[traffic] -= 1
        except ServingError as refusal:
            self.metrics.request(traffic, protocol, refusal.code.http, refusal.reason)
            raise
        except Exception:
            self.metrics.request(traffic, protocol, Code.INTERNAL.http, "internal")
            raise
        self.metrics.request(traffic, protocol, 200, "ok")
        for part, nanoseconds in watch.parts.items():
            self.metrics.part(traffic, part, nanoseconds)
        self.metrics.part(traffic, "total", watch.total)
        return answer

    async def _in_time(self, read: Read, write: Write[Answer], watch: Stopwatch) -> Answer:
        try:
            async with asyncio.timeout(self._deadline / 1e6):
                request = await read()
                outcome = await self._scorer.score(request, watch)
                return write(request, outcome)
        except TimeoutError as error:
            waited_for = _WAITED_FOR.get(watch.current, "answer")
            if waited_for in ("store", "predictor"):
                self.metrics.dependency(waited_for, up=False)
            raise too_late(waited_for, self._deadline) from error

    def _admit(self, traffic: Traffic) -> None:
        if self._fault is not None:
            raise unavailable("identity", self._fault, f"the release {self.release.id}")
        if self._in_flight[traffic] >= self._max_in_flight:
            found = f"{self._in_flight[traffic]} requests in flight"
            raise ServingError(
                Code.SHED, "shed", "load", found, f"less than {self._max_in_flight}", 1
            )

    def warm_up(self) -> None:
        """Ready from here on, if this pod is its release: no dependency takes part in that."""
        service = self.release.service
        ids = {e.name: [0 if e.dtype == "int64" else "0"] for e in service.entities}
        request = ScoringRequest(
            request_id="warm-up",
            traffic=LIVE,
            ids=ids,
            fields={name: np.zeros(1) for name in service.fields},
            event_ts=np.array([moments.now()], dtype=np.int64),
        )
        self._scorer.warm_up(request)
        self.ready = self._fault is None

    async def watch_dependencies(self) -> None:
        """Keeps `proviso_dependency_up` true without traffic, until cancelled."""
        while True:
            await asyncio.gather(
                self._probe("store", self._ports.store.check),
                self._probe("predictor", self._ports.predictor.check),
            )
            await asyncio.sleep(_PROBE_SECONDS)

    async def _probe(self, name: str, check: Callable[[], Awaitable[None]]) -> None:
        try:
            async with asyncio.timeout(self._deadline / 1e6):
                await check()
        except (ServingError, TimeoutError):
            self.metrics.dependency(name, up=False)
        else:
            self.metrics.dependency(name, up=True)

    async def close(self) -> None:
        """Lets go of everything that the pod holds."""
        self.ready = False
        await self._ports.store.close()
        await self._ports.predictor.close()
        self._ports.sink.close()
