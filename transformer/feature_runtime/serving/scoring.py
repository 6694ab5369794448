"""Scores a request: clock, store, availability rule, encoder, model, decision, record.

No protocol and no server here: the ports (store, predictor, sink, clock) are given.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from feature_runtime.core import moments
from feature_runtime.core.encode import Encoded, Encoder
from feature_runtime.core.project_functions import NO_FUNCTIONS, Library
from feature_runtime.core.release import Release
from feature_runtime.serving.call_limit import CallLimit
from feature_runtime.serving.errors import ServingError, bad_input, unavailable
from feature_runtime.serving.lookup import FeatureLookup, Lookup
from feature_runtime.serving.metrics import Metrics
from feature_runtime.serving.outcome import Decider, Outcome
from feature_runtime.serving.ports import Predictor, Sink, Store
from feature_runtime.serving.record import Recorder
from feature_runtime.serving.request import EVENT_TS, ScoringRequest

Clock = Callable[[ScoringRequest], NDArray[np.int64]]
"""The scoring moments [n] of a request; refuses one that this clock does not serve."""


class Stopwatch:
    """The one place where the parts of a request are timed, in nanoseconds."""

    def __init__(self) -> None:
        self._started = self._lap = time.perf_counter_ns()
        self.parts: dict[str, int] = {}
        self.current = "parse"

    def enter(self, part: str) -> None:
        """Ends the current part and begins the next."""
        now = time.perf_counter_ns()
        self.parts[self.current] = self.parts.get(self.current, 0) + now - self._lap
        self._lap, self.current = now, part

    @property
    def total(self) -> int:
        return time.perf_counter_ns() - self._started

    def microseconds(self) -> dict[str, int]:
        """The parts so far, and the time since the start, for the record."""
        return {name: ns // 1_000 for name, ns in self.parts.items()} | {
            "total": self.total // 1_000
        }


def live_clock(max_client_skew: int, now: Callable[[], int] = moments.now) -> Clock:
    """t is this machine's clock, once a request; a client too far from it is refused."""

    def read(request: ScoringRequest) -> NDArray[np.int64]:
        t = now()
        far = np.flatnonzero(np.abs(request.event_ts - t) > max_client_skew)
        if far.size:
            i = int(far[0])
            found = moments.format_moment(int(request.event_ts[i]))
            within = moments.format_duration(max_client_skew)
            wanted = f"within {within} of {moments.format_moment(t)}"
            raise bad_input("event_ts_out_of_range", f"{EVENT_TS}[{i}]", found, wanted)
        return np.full(request.size, t, dtype=np.int64)

    return read


def replay_clock(request: ScoringRequest) -> NDArray[np.int64]:
    """t is the request's own moment: for replays only, no manifest asks for it."""
    return request.event_ts


@dataclass(frozen=True)
class Ports:
    """What a scorer talks to."""

    clock: Clock
    store: Store
    predictor: Predictor
    sink: Sink


class Scorer:
    """Scores requests of one release."""

    def __init__(
        self,
        release: Release,
        ports: Ports,
        recorder: Recorder,
        metrics: Metrics,
        library: Library = NO_FUNCTIONS,
    ) -> None:
        self._service = release.service
        self._ports = ports
        self._recorder = recorder
        self._metrics = metrics
        self._lookup = FeatureLookup(release.service)
        self._encoder = Encoder(release.service, library)
        self._limit = CallLimit(release.service.limits.deadline) if library else None
        self._decider = Decider(release.service)

    async def score(self, request: ScoringRequest, watch: Stopwatch) -> Outcome:
        """The outcome, its record written. Raises a ServingError; then nothing may be answered."""
        at = self._ports.clock(request)
        watch.enter("store")
        keys = self._lookup.keys(request)
        blobs = await self._read(list(dict.fromkeys(k for row in keys for k in row)))
        watch.enter("encode")
        lookup = self._lookup.read(keys, blobs, at)
        encoded = self._encode_in_time(request, at, lookup, watch)
        watch.enter("infer")
        probability = await self._infer(encoded)
        watch.enter("log")
        outcome = self._decider.outcome(at, lookup, encoded, probability)
        took = watch.microseconds()
        records = self._recorder.records(request, lookup, encoded, outcome, took)
        await self._ports.sink.write(records)
        self._count(request, lookup, encoded, outcome)
        watch.enter("total")
        if outcome.all_rejected and self._service.decision.fallback_http == 503:
            raise unavailable("fallback", "all_rows_rejected", outcome.reasons[0] or "")
        return outcome

    def warm_up(self, request: ScoringRequest) -> None:
        """Everything that needs neither store nor predictor, once, so that no client waits."""
        at = request.event_ts
        keys = self._lookup.keys(request)
        lookup = self._lookup.read(keys, {k: None for row in keys for k in row}, at)
        encoded = self._encode(request, at, lookup)
        outcome = self._decider.outcome(at, lookup, encoded, np.zeros(request.size))
        list(self._recorder.records(request, lookup, encoded, outcome, {}))

    def _encode_in_time(
        self, request: ScoringRequest, at: NDArray[np.int64], lookup: Lookup, watch: Stopwatch
    ) -> Encoded:
        """As `_encode`; a function of the project may run until the deadline."""
        if self._limit is None:
            return self._encode(request, at, lookup)
        with self._limit.until(watch.total // 1_000):
            return self._encode(request, at, lookup)

    def _encode(self, request: ScoringRequest, at: NDArray[np.int64], lookup: Lookup) -> Encoded:
        values, status, texts = lookup.values, lookup.status, lookup.texts
        return self._encoder.encode(request.fields, at, values, status, texts)

    async def _read(self, keys: list[bytes]) -> dict[bytes, bytes | None]:
        try:
            values = await self._ports.store.read(keys)
        except ServingError:
            self._metrics.dependency("store", up=False)
            raise
        self._metrics.dependency("store", up=True)
        return dict(zip(keys, values, strict=True))

    async def _infer(self, encoded: Encoded) -> NDArray[np.float64]:
        """Probabilities [n]; rejected rows are not sent and stay NaN."""
        probability = np.full(len(encoded.vector), np.nan)
        scored = ~encoded.rejected
        if scored.any():
            try:
                probability[scored] = await self._ports.predictor.infer(encoded.vector[scored])
            except ServingError:
                self._metrics.dependency("predictor", up=False)
                raise
            self._metrics.dependency("predictor", up=True)
        return probability

    def _count(
        self, request: ScoringRequest, lookup: Lookup, encoded: Encoded, outcome: Outcome
    ) -> None:
        traffic = request.traffic
        replaced = encoded.applied.replaced
        self._metrics.features(traffic, self._service.consumed, lookup.status, replaced)
        for failure in encoded.failed:
            self._metrics.function_failure(traffic, failure.feature, failure.code)
        for i, decision in enumerate(outcome.decisions):
            self._metrics.decision(traffic, decision, outcome.probability_of(i))
            for view, winner in zip(self._service.views, lookup.winners[i], strict=True):
                if winner.row is not None:
                    age = int(outcome.at[i]) - winner.row.event_ts
                    self._metrics.age(traffic, view.name, age)
