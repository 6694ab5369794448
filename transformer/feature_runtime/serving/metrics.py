"""What the pod counts, under the names that dashboards and gates rely on.

The registry is the pod's own: kserve's histograms of its unused hooks stay out of /metrics.
Children are bound once, because looking up labels costs more than counting.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)

from feature_runtime.core.availability import Status
from feature_runtime.core.release import Release

PARTS = ("total", "parse", "store", "encode", "infer", "log")
DEPENDENCIES = ("store", "predictor")

_SECONDS = (
    0.0001, 0.00025, 0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015,
    0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1.0, 2.5,
)  # fmt: skip
_AGES = (60, 300, 600, 1800, 3600, 5400, 7200, 14400, 43200, 86400, 93600, 172800, 604800, 2592000)
_SCORES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0)


class Metrics:
    """The pod's counters for one release; every method is cheap enough for each request."""

    def __init__(self, release: Release) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series for each, that nobody reads
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self._release = release.id
        self._make_request_metrics()
        self._make_feature_metrics()
        self._up = Gauge(
            "proviso_dependency_up", "1 while the dependency answers.", ["dependency"],
            registry=self.registry,
        )  # fmt: skip
        info = Gauge(
            "proviso_release_info", "1, labelled with what this pod serves.",
            ["release", "model", "service", "contract_digest", "model_digest"],
            registry=self.registry,
        )  # fmt: skip
        info.labels(
            release.id, release.model, release.service.name,
            release.digests["service"], release.digests["model"],
        ).set(1)  # fmt: skip
        for dependency in DEPENDENCIES:
            self.dependency(dependency, up=False)

    def _make_request_metrics(self) -> None:
        self._requests = Counter(
            "proviso_requests_total", "Requests by what became of them.",
            ["release", "arm", "protocol", "code", "reason"], registry=self.registry,
        )  # fmt: skip
        self._seconds = Histogram(
            "proviso_request_seconds", "Time of answered requests, whole and by part.",
            ["release", "arm", "part"], buckets=_SECONDS, registry=self.registry,
        )  # fmt: skip
        self._decisions = Counter(
            "proviso_decisions_total", "Decisions, fallbacks included.",
            ["release", "arm", "decision"], registry=self.registry,
        )  # fmt: skip
        self._score = Histogram(
            "proviso_score", "Probabilities answered.",
            ["release", "arm"], buckets=_SCORES, registry=self.registry,
        )  # fmt: skip

    def _make_feature_metrics(self) -> None:
        self._status = Counter(
            "proviso_feature_status_total", "Feature values used, by status.",
            ["release", "arm", "view", "feature", "status"], registry=self.registry,
        )  # fmt: skip
        self._age = Histogram(
            "proviso_feature_age_seconds", "Scoring moment minus the winner's event time.",
            ["release", "arm", "view"], buckets=_AGES, registry=self.registry,
        )  # fmt: skip
        self._defaults = Counter(
            "proviso_default_used_total", "Approved replacements used, by status.",
            ["release", "arm", "feature", "reason"], registry=self.registry,
        )  # fmt: skip
        self._status_of = lru_cache(maxsize=None)(self._status.labels)
        self._age_of = lru_cache(maxsize=None)(self._age.labels)
        self._seconds_of = lru_cache(maxsize=None)(self._seconds.labels)

    def request(self, arm: str, protocol: str, code: int, reason: str) -> None:
        """One request came to its end; code is HTTP's, also for gRPC."""
        self._requests.labels(self._release, arm, protocol, str(code), reason).inc()

    def part(self, arm: str, part: str, nanoseconds: int) -> None:
        """How long a part of an answered request took."""
        self._seconds_of(self._release, arm, part).observe(nanoseconds / 1e9)

    def dependency(self, name: str, *, up: bool) -> None:
        """Whether the store or the predictor answered last time."""
        self._up.labels(name).set(1 if up else 0)

    def features(
        self,
        arm: str,
        consumed: tuple[tuple[str, str], ...],
        status: NDArray[np.int8],
        replaced: NDArray[np.bool_],
    ) -> None:
        """Statuses [n, K] of the consumed features, and where replacements were used."""
        for k, (view, feature) in enumerate(consumed):
            counts = np.bincount(status[:, k], minlength=len(Status))
            for code in np.flatnonzero(counts):
                self._status_of(self._release, arm, view, feature, Status(int(code)).name).inc(
                    int(counts[code])
                )
        for i, k in np.argwhere(replaced):
            name = str(consumed[k])
            self._defaults.labels(self._release, arm, name, Status(int(status[i, k])).name).inc()

    def age(self, arm: str, view: str, microseconds: int) -> None:
        """Age of one winner at its scoring moment."""
        self._age_of(self._release, arm, view).observe(microseconds / 1e6)

    def decision(self, arm: str, decision: str, probability: float | None) -> None:
        """One row's decision; probability None where it was rejected."""
        self._decisions.labels(self._release, arm, decision).inc()
        if probability is not None:
            self._score.labels(self._release, arm).observe(probability)
