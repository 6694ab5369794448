"""The metrics that a plan may monitor and a contract may bound: one entry for each.

An entry names what the metric covers, its unit and which side of a bound is bad. Under the same
name a metric that a pod counts has its PromQL in `proviso.monitoring.queries.LIVE`, and the check
that measures it lists it in its `figures`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Covers = Literal["latency", "errors", "features", "business"]
Unit = Literal["ms", "share", "psi"]


@dataclass(frozen=True)
class Metric:
    """What a figure means.

    unit: `share` is of 0 to 1, not percent. not_live: what its measurement needs beside a pod's
    counters; empty when a pod counts it, so that it has PromQL. always: a plan that does not
    monitor it is refused.
    """

    covers: Covers
    unit: Unit
    bad: Literal["high", "low", "either"]
    not_live: str = ""
    always: bool = False


METRICS: Mapping[str, Metric] = {
    "latency_p95_ms": Metric("latency", unit="ms", bad="high", always=True),
    "latency_p99_ms": Metric("latency", unit="ms", bad="high"),
    "http_error_rate": Metric("errors", unit="share", bad="high", always=True),
    "feature_missing_rate": Metric("features", unit="share", bad="high", always=True),
    "feature_null_rate": Metric("features", unit="share", bad="high"),
    "default_used_rate": Metric("features", unit="share", bad="high"),
    "freshness_breach_rate": Metric(
        "features",
        unit="share",
        bad="high",
        not_live="each view's objective and publication",
        always=True,
    ),
    "skew_failure_rate": Metric(
        "features", unit="share", bad="high", not_live="the feature history", always=True
    ),
    "feature_drift_psi": Metric(
        "features", unit="psi", bad="high", not_live="the training data's distribution"
    ),
    "review_rate": Metric("business", unit="share", bad="either"),
    "approval_rate": Metric("business", unit="share", bad="either"),
}
"""review_rate is the share of decisions `at_or_above`, approval_rate of those `below`."""
