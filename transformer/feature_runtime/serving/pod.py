"""One release behind any protocol: what holds for every request, in one place.

`Pod.infer` is the path of a request: it sheds what is over the bound, refuses while the pod is not
its release, decodes, scores and encodes within the deadline, and counts the outcome. Beside
requests it watches the dependencies.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping

import numpy as np

from feature_runtime.core import moments
from feature_runtime.core.release import Release
from feature_runtime.core.traffic import LIVE, Traffic
from feature_runtime.serving.codecs import Call, Codec, Message, Reply, Source
from feature_runtime.serving.errors import (
    ErrorStatus,
    ServingError,
    WaitedFor,
    deadline_exceeded,
    wrong_release,
)
from feature_runtime.serving.metrics import Metrics
from feature_runtime.serving.outcome import Answer
from feature_runtime.serving.request import Inputs, ScoringRequest
from feature_runtime.serving.scoring import Ports, Scorer, Stopwatch

_PROBE_SECONDS = 2.0
_WAITED_FOR: Mapping[str, WaitedFor] = {"parse": "request", "store": "store", "infer": "predictor"}


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
        self._in_flight: Counter[Traffic] = Counter()
        self._max_in_flight = max_in_flight
        self._deadline = release.service.limits.deadline

    async def infer(
        self, codec: Codec[Message, Call, Reply], source: Source[Message], traffic: Traffic
    ) -> Reply:
        """Reads a message, scores its request and encodes the answer; or raises a ServingError.

        The deadline covers the reading too.
        """
        watch = Stopwatch()
        try:
            self._admit(traffic)
            self._in_flight[traffic] += 1
            try:
                reply = await self._in_time(codec, source, watch)
            finally:
                self._in_flight[traffic] -= 1
        except ServingError as error:
            self.metrics.request(traffic, codec.protocol, error.status.http, error.reason)
            raise
        except Exception:
            self.metrics.request(traffic, codec.protocol, ErrorStatus.INTERNAL.http, "internal")
            raise
        self.metrics.request(traffic, codec.protocol, 200, "ok")
        for part, nanoseconds in watch.parts.items():
            self.metrics.part(traffic, part, nanoseconds)
        self.metrics.part(traffic, "total", watch.total)
        return reply

    async def _in_time(
        self, codec: Codec[Message, Call, Reply], source: Source[Message], watch: Stopwatch
    ) -> Reply:
        try:
            async with asyncio.timeout(self._deadline / 1e6):
                call = codec.decode(await source.read())
                outcome = await self._scorer.score(call.request, watch)
                answer = Answer(call.request.request_id, self.release.id, outcome)
                return codec.encode(call, answer)
        except TimeoutError as error:
            waited_for: WaitedFor = _WAITED_FOR.get(watch.current, "answer")
            if waited_for in ("store", "predictor"):
                self.metrics.dependency(waited_for, up=False)
            raise deadline_exceeded(waited_for, self._deadline) from error

    def _admit(self, traffic: Traffic) -> None:
        if self._fault is not None:
            release = f"the release {self.release.id}"
            raise wrong_release("pod_release_mismatch", self._fault, release)
        if self._in_flight[traffic] >= self._max_in_flight:
            raise ServingError(
                ErrorStatus.SHED,
                "shed",
                "too_many_requests",
                "load",
                found=f"{self._in_flight[traffic]} requests in flight",
                wanted=f"less than {self._max_in_flight}",
                retry_after=1,
            )

    def warm_up(self) -> None:
        """Ready from here on, if this pod is its release: no dependency takes part in that."""
        service = self.release.service
        ids = {e.name: [0 if e.dtype == "int64" else "0"] for e in service.entities}
        request = ScoringRequest(
            request_id="warm-up",
            client_request_id=None,
            traffic=LIVE,
            protocol="v1",
            ids=ids,
            fields={name: np.zeros(1) for name in service.fields},
            event_ts=np.array([moments.now()], dtype=np.int64),
        )
        self._scorer.warm_up(request)
        self.ready = self._fault is None

    async def watch_dependencies(self) -> None:
        """Updates `proviso_dependency_up` without traffic, until cancelled."""
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
        """Closes the store, the predictor and the sink."""
        self.ready = False
        await self._ports.store.close()
        await self._ports.predictor.close()
        self._ports.sink.close()
