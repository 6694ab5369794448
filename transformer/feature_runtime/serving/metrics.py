"""The pod's Prometheus metrics, under the names that rules, gates and dashboards rely on.

The registry is the pod's own: kserve's histograms of its unused hooks stay out of /metrics.
A child is looked up at its first use and kept, because looking up labels costs more than counting.
Former names and labels (docs/adr/0070) are exposed beside the present ones for one release, and
cost nothing per request: a label is fixed when a child is made, and a former metric re-emits what
another counted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Metric,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.registry import Collector

from feature_runtime.core.availability import Status
from feature_runtime.core.release import Release
from feature_runtime.core.traffic import Traffic, former_arm

PARTS = ("total", "parse", "store", "encode", "infer", "log")
DEPENDENCIES = ("store", "predictor")

_SECONDS = (
    0.0001, 0.00025, 0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015,
    0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1.0, 2.5,
)  # fmt: skip
_AGES = (60, 300, 600, 1800, 3600, 5400, 7200, 14400, 43200, 86400, 93600, 172800, 604800, 2592000)
_SCORES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0)
_BY = ("release", "arm", "traffic")

M = TypeVar("M", Counter, Histogram)


class Renamed(Collector):
    """The samples of a metric again under its former name; nothing is observed twice."""

    def __init__(self, metric: Collector, former: str) -> None:
        self._metric = metric
        self._former = former

    def collect(self) -> Iterator[Metric]:
        for metric in self._metric.collect():
            text = f"Deprecated, goes with the next release: use {metric.name}."
            renamed = Metric(self._former, text, metric.type)
            renamed.samples = [
                sample._replace(name=self._former + sample.name.removeprefix(metric.name))
                for sample in metric.samples
            ]
            yield renamed


class Metrics:
    """The pod's counters for one release; every method is cheap enough for each request."""

    def __init__(self, release: Release) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # an unread second series each
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self._release = release.id
        self._make_request_metrics()
        self._make_feature_metrics()
        self._bind()
        up = Gauge(
            "proviso_dependency_up", "1 while the dependency answers.", ["dependency"],
            registry=self.registry,
        )  # fmt: skip
        self._store_faults = Counter(
            "proviso_store_faults_total", "Reads and probes of the store that failed, by code.",
            ["code"], registry=self.registry,
        )  # fmt: skip
        self._store_replaced = Counter(
            "proviso_store_connections_replaced_total",
            "Connections that did not answer: idle ones before use, others lost with a command.",
            ["reason"], registry=self.registry,
        )  # fmt: skip
        info = Gauge(
            "proviso_release_info", "1, labelled with what this pod serves.",
            ["release", "model", "service", "service_digest", "model_digest", "contract_digest"],
            registry=self.registry,
        )  # fmt: skip
        service, model = release.digests["service"], release.digests["model"]
        info.labels(release.id, release.model, release.service.name, service, model, service).set(1)
        self._up_of = {name: up.labels(name) for name in DEPENDENCIES}

    def _make_request_metrics(self) -> None:
        self._requests = Counter(
            "proviso_requests_total", "Requests by outcome.",
            [*_BY, "protocol", "code", "reason"], registry=self.registry,
        )  # fmt: skip
        self._seconds = Histogram(
            "proviso_request_duration_seconds", "Time of answered requests, whole and by part.",
            [*_BY, "part"], buckets=_SECONDS, registry=self.registry,
        )  # fmt: skip
        self.registry.register(Renamed(self._seconds, "proviso_request_seconds"))
        self._decisions = Counter(
            "proviso_decisions_total", "Decisions, fallbacks included.",
            [*_BY, "decision"], registry=self.registry,
        )  # fmt: skip
        self._score = Histogram(
            "proviso_score", "Probabilities answered.",
            _BY, buckets=_SCORES, registry=self.registry,
        )  # fmt: skip

    def _make_feature_metrics(self) -> None:
        self._status = Counter(
            "proviso_feature_status_total", "Feature values used, by status.",
            [*_BY, "view", "feature", "status"], registry=self.registry,
        )  # fmt: skip
        self._age = Histogram(
            "proviso_feature_age_seconds", "Scoring moment minus the winner's event time.",
            [*_BY, "view"], buckets=_AGES, registry=self.registry,
        )  # fmt: skip
        self._defaults = Counter(
            "proviso_default_used_total",
            "Approved replacements used, by status. The label reason is deprecated: use status.",
            [*_BY, "feature", "status", "reason"], registry=self.registry,
        )  # fmt: skip

        self._failures = Counter(
            "proviso_function_failures_total",
            "Rows that got the fallback because a function of the project failed, by code.",
            [*_BY, "feature", "code"], registry=self.registry,
        )  # fmt: skip

    def _bind(self) -> None:
        self._request_of = self._children(self._requests)
        self._seconds_of = self._children(self._seconds)
        self._decision_of = self._children(self._decisions)
        self._score_of = self._children(self._score)
        self._status_of = self._children(self._status)
        self._age_of = self._children(self._age)
        self._default_of = self._children(self._defaults)
        self._failure_of = self._children(self._failures)

    def _children(self, metric: M) -> Callable[..., M]:
        """A metric's children by traffic and its own labels, of which each has few values."""

        def child(traffic: Traffic, *labels: str) -> M:
            return metric.labels(self._release, former_arm(traffic), traffic, *labels)

        return lru_cache(maxsize=None)(child)

    def request(self, traffic: Traffic, protocol: str, code: int, reason: str) -> None:
        """One request came to its end; code is HTTP's, also for gRPC."""
        self._request_of(traffic, protocol, str(code), reason).inc()

    def part(self, traffic: Traffic, part: str, nanoseconds: int) -> None:
        """How long a part of an answered request took."""
        self._seconds_of(traffic, part).observe(nanoseconds / 1e9)

    def dependency(self, name: str, *, up: bool) -> None:
        """Whether the store or the predictor answered last time."""
        self._up_of[name].set(1 if up else 0)

    def store_fault(self, code: str) -> None:
        """The store did not answer, or not with what was asked for."""
        self._store_faults.labels(code).inc()

    def store_replaced(self, reason: str) -> None:
        """A connection to the store was given up: `idle` or `lost`."""
        self._store_replaced.labels(reason).inc()

    def features(
        self,
        traffic: Traffic,
        consumed: tuple[tuple[str, str], ...],
        status: NDArray[np.int8],
        replaced: NDArray[np.bool_],
    ) -> None:
        """Statuses [n, K] of the consumed features, and where replacements were used."""
        for k, (view, feature) in enumerate(consumed):
            counts = np.bincount(status[:, k], minlength=len(Status))
            for code in np.flatnonzero(counts):
                name = Status(int(code)).name
                self._status_of(traffic, view, feature, name).inc(int(counts[code]))
        for i, k in np.argwhere(replaced):
            name = Status(int(status[i, k])).name
            self._default_of(traffic, str(consumed[k]), name, name).inc()

    def function_failure(self, traffic: Traffic, feature: str, code: str) -> None:
        """One row for which a feature's function gave no usable value."""
        self._failure_of(traffic, feature, code).inc()

    def age(self, traffic: Traffic, view: str, microseconds: int) -> None:
        """Age of one winner at its scoring moment."""
        self._age_of(traffic, view).observe(microseconds / 1e6)

    def decision(self, traffic: Traffic, decision: str, probability: float | None) -> None:
        """One row's decision; probability None where it was rejected."""
        self._decision_of(traffic, decision).inc()
        if probability is not None:
            self._score_of(traffic).observe(probability)
