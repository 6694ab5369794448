"""The figures that a plan may monitor and a contract may bound, and what each one covers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Covers = Literal["latency", "errors", "features", "business"]


@dataclass(frozen=True)
class Metric:
    """What a figure covers, whether it is a share of 0 to 1, and which side of a bound is bad."""

    covers: Covers
    share: bool = True
    bad: Literal["high", "low", "either"] = "high"


METRICS: Mapping[str, Metric] = {
    "latency_p95_ms": Metric("latency", share=False),
    "latency_p99_ms": Metric("latency", share=False),
    "http_error_rate": Metric("errors"),
    "feature_missing_rate": Metric("features"),
    "feature_null_rate": Metric("features"),
    "default_used_rate": Metric("features"),
    "freshness_breach_rate": Metric("features"),
    "skew_failure_rate": Metric("features"),
    "feature_drift_psi": Metric("features", share=False),
    "review_rate": Metric("business", bad="either"),
    "approval_rate": Metric("business", bad="either"),
}
"""review_rate is the share of decisions `at_or_above`, approval_rate of those `below`."""

ALWAYS_MONITORED = (
    "latency_p95_ms",
    "http_error_rate",
    "feature_missing_rate",
    "freshness_breach_rate",
    "skew_failure_rate",
)
"""Without one of these an incident has a cause that nobody sees."""
