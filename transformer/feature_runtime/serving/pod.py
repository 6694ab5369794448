"""One release behind any protocol: what holds for every request, in one place.

`Pod.infer` is the path of a request: it sheds what is over the bound, refuses while the pod is not
its release, decodes, scores and encodes within the deadline, and counts the outcome. Beside
requests it watches the dependencies.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

import numpy as np

from feature_runtime.core import moments
from feature_runtime.core.release import Release
from feature_runtime.core.service import RequestField
from feature_runtime.core.traffic import LIVE, Traffic
from feature_runtime.core.values import Column, texts_of
from feature_runtime.serving.codecs import Call, Codec, Message, Reply, Source
from feature_runtime.serving.errors import (
    ErrorStatus,
    ServingError,
    WaitedFor,
    deadline_exceeded,
    internal_error,
    request_timeout,
    wrong_release,
)
from feature_runtime.serving.logs import log
from feature_runtime.serving.metrics import Metrics
from feature_runtime.serving.outcome import Answer
from feature_runtime.serving.request import Inputs, ScoringRequest, header_request_id
from feature_runtime.serving.scoring import Ports, Scorer, Stopwatch

_PROBE_SECONDS = 2.0
_GIVEN_UP = ErrorStatus.DISCONNECTED.http
_WAITED_FOR: Mapping[str, WaitedFor] = {"store": "store", "infer": "predictor"}


@dataclass
class _Attempt:
    """A request on its way; request_id is known once it is decoded."""

    watch: Stopwatch
    request_id: str | None = None


def _sample(field: RequestField) -> Column:
    """A value of a field's type, for the first request that a pod makes up."""
    if field.dtype == "string":
        return texts_of([""])
    return np.zeros(1, np.int64) if field.dtype == "timestamp" else np.zeros(1, np.float64)


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

        The deadline covers the reading too. Whatever else goes wrong is an internal error, so that
        it ends as the others do: counted, with its request id, its connection kept.
        """
        attempt = _Attempt(Stopwatch())
        try:
            self._admit(traffic)
            self._in_flight[traffic] += 1
            try:
                reply = await self._in_time(codec, source, attempt)
            finally:
                self._in_flight[traffic] -= 1
        except asyncio.CancelledError:
            # gRPC cancels a call that its client took back, or whose own deadline has passed.
            self.metrics.request(traffic, codec.protocol, _GIVEN_UP, "cancelled")
            raise
        except Exception as raised:
            error = raised if isinstance(raised, ServingError) else internal_error()
            error.request_id = attempt.request_id or header_request_id(source.given)
            self.metrics.request(traffic, codec.protocol, error.status.http, error.reason)
            if error is raised:
                raise
            log.error("internal server error in request %s", error.request_id, exc_info=raised)
            raise error from raised
        self.metrics.request(traffic, codec.protocol, 200, "ok")
        for part, nanoseconds in attempt.watch.parts.items():
            self.metrics.part(traffic, part, nanoseconds)
        self.metrics.part(traffic, "total", attempt.watch.total)
        return reply

    async def _in_time(
        self, codec: Codec[Message, Call, Reply], source: Source[Message], attempt: _Attempt
    ) -> Reply:
        try:
            async with asyncio.timeout(self._deadline / 1e6):
                call = codec.decode(await source.read())
                attempt.request_id = call.request.request_id
                outcome = await self._scorer.score(call.request, attempt.watch)
                answer = Answer(call.request.request_id, self.release.id, outcome)
                return codec.encode(call, answer)
        except TimeoutError as error:
            if attempt.watch.current == "parse":
                raise request_timeout(self._deadline) from error
            waited_for: WaitedFor = _WAITED_FOR.get(attempt.watch.current, "answer")
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
            fields={field.name: _sample(field) for field in service.request_fields},
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
        except Exception as error:  # noqa: BLE001  # or this was the last probe
            self.metrics.dependency(name, up=False)
            if not isinstance(error, ServingError | TimeoutError):
                log.error("internal error in the probe of the %s", name, exc_info=error)
        else:
            self.metrics.dependency(name, up=True)

    async def close(self) -> None:
        """Closes the store, the predictor and the sink."""
        self.ready = False
        await self._ports.store.close()
        await self._ports.predictor.close()
        self._ports.sink.close()
