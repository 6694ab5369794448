"""The plan's metrics as PromQL over the series of a transformer.

rules.py records them under the plan's names and holds them to its bounds. A figure counts the same
events as the evidence of the same name (docs/monitoring.md), over a window instead of a sample. A
metric that no running pod can count (`Metric.not_live`) has no expression and gets no series.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from feature_runtime.core.moments import MINUTE, SECOND
from proviso.contracts.plan import Plan

MIN_REQUESTS = 20
"""With fewer requests in a window a quantile or a share is not judged: one slow request of three
is no verdict. How many a rollout step needs is the plan's `canary.min_requests`."""

TRAFFIC = ("model_name", "release", "traffic")
VIEW = (*TRAFFIC, "view")
FEATURE = (*VIEW, "feature")


@dataclass(frozen=True)
class QueryContext:
    """The plan, whose model's pods are queried, and the window."""

    plan: Plan
    window: str

    def per_second(self, series: str, by: tuple[str, ...], **labels: str) -> str:
        """How fast a counter grows, summed over the pods of each group."""
        chosen = selector(self.plan, series, **labels)
        return f"sum by ({', '.join(by)}) (rate({chosen}[{self.window}]))"

    def share(self, series: str, by: tuple[str, ...], **labels: str) -> str:
        """The part of a counter that has `labels`: 0 without a part, nothing without traffic."""
        return ratio(self.per_second(series, by, **labels), self.per_second(series, by))


Figure = Callable[[QueryContext], str]


def selector(plan: Plan, series: str, **labels: str) -> str:
    """A series of this plan's model; a value that starts with ~ or !~ is a regular expression."""
    matchers = [_matcher(name, value) for name, value in labels.items()]
    return f"{series}{{{', '.join([_matcher('model_name', plan.model_name), *matchers])}}}"


def ratio(part: str, whole: str) -> str:
    """part / whole for two vectors with the same labels.

    A part that was never counted is 0, and a whole of nothing gives no sample, not NaN.
    """
    return f"({part} or {whole} * 0) / ({whole} > 0)"


def prometheus_span(microseconds: int) -> str:
    """A plan's duration as Prometheus writes it: 300 s is 5m, a day and an hour 1d1h."""
    left, parts = microseconds // SECOND, []
    for letter, size in (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)):
        count, left = divmod(left, size)
        if count:
            parts.append(f"{count}{letter}")
    return "".join(parts)


def every(window: int) -> str:
    """How often a figure over a window is computed: long windows move slowly and cost much.

    At most two minutes, so that a recorded value never goes stale (five) before the next.
    """
    return prometheus_span(min(max(window // 120, 15 * SECOND), 2 * MINUTE))


def request_rate(context: QueryContext) -> str:
    """Requests a second, answered or not."""
    return context.per_second("proviso_requests_total", TRAFFIC)


def answer_rate(context: QueryContext) -> str:
    """Requests a second that were answered."""
    return context.per_second("proviso_requests_total", TRAFFIC, code="200")


def latency_ms(quantile: float) -> Figure:
    """A quantile of answered requests' time at the transformer, in ms."""

    def expression(context: QueryContext) -> str:
        series = "proviso_request_duration_seconds"
        buckets = context.per_second(f"{series}_bucket", (*TRAFFIC, "le"), part="total")
        counted = context.per_second(f"{series}_count", TRAFFIC, part="total")
        return f"1000 * histogram_quantile({quantile:g}, {buckets}) and ({counted} > 0)"

    return expression


def error_rate(by: tuple[str, ...], **labels: str) -> Figure:
    """5xx and 429 of all requests but other 4xx, which are the client's mistakes."""

    def expression(context: QueryContext) -> str:
        series = "proviso_requests_total"
        failed = context.per_second(series, by, code="~5..|429", **labels)
        ours = context.per_second(series, by, code="!~4[013-9].|42[0-8]", **labels)
        return ratio(failed, ours)

    return expression


def feature_missing_rate(context: QueryContext) -> str:
    """Lookups that found no row; the mean over the views, each of which a row looks up once."""
    share = context.share("proviso_feature_status_total", VIEW, status="MISSING_KEY")
    return f"avg by ({', '.join(TRAFFIC)}) ({share})"


def feature_null_rate(context: QueryContext) -> str:
    """Values that the row holds as null; of the worst feature."""
    share = context.share("proviso_feature_status_total", FEATURE, status="NULL")
    return f"max by ({', '.join(TRAFFIC)}) ({share})"


def default_used_rate(context: QueryContext) -> str:
    """Predictions that used a feature's approved replacement; of the worst feature."""
    used = context.per_second("proviso_default_used_total", (*TRAFFIC, "feature"))
    predictions = context.per_second("proviso_decisions_total", TRAFFIC)
    of_all = f"{used} / on ({', '.join(TRAFFIC)}) group_left () ({predictions} > 0)"
    return f"max by ({', '.join(TRAFFIC)}) ({of_all}) or ({predictions} > 0) * 0"


def review_rate(context: QueryContext) -> str:
    """Decisions in the plan's word at or above the threshold, fallbacks included."""
    word = context.plan.decision.at_or_above
    return context.share("proviso_decisions_total", TRAFFIC, decision=word)


def approval_rate(context: QueryContext) -> str:
    """Decisions in the plan's word below the threshold."""
    return context.share("proviso_decisions_total", TRAFFIC, decision=context.plan.decision.below)


def stale_rate(context: QueryContext) -> str:
    """Lookups that found only a row older than its view's online_ttl, by view."""
    return context.share("proviso_feature_status_total", VIEW, status="STALE")


LIVE: Mapping[str, Figure] = {
    "latency_p95_ms": latency_ms(0.95),
    "latency_p99_ms": latency_ms(0.99),
    "http_error_rate": error_rate(TRAFFIC),
    "feature_missing_rate": feature_missing_rate,
    "feature_null_rate": feature_null_rate,
    "default_used_rate": default_used_rate,
    "review_rate": review_rate,
    "approval_rate": approval_rate,
}
"""The expression of every metric that a pod counts, by its name in `contracts.metrics.METRICS`."""


def _matcher(name: str, value: str) -> str:
    for sign in ("!~", "~"):
        if value.startswith(sign):
            return f'{name}{"=" if sign == "~" else ""}{sign}"{value.removeprefix(sign)}"'
    return f'{name}="{value}"'
