"""Stage `promote`: the release held its budget in shadow and under load.

Both figures are held to the plan here, whatever the evidence says of itself: a load test that
passed under last month's budget proves nothing about today's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from proviso.contracts.base import InputError
from proviso.contracts.plan import Plan
from proviso.gates.evidence import Desk
from proviso.gates.register import Subject
from proviso.gates.verdict import Finding


@dataclass(frozen=True)
class _Bound:
    """A figure of some evidence and the least or most that the plan lets pass."""

    figure: str
    limit: float
    least: bool = False

    def judge(self, figures: Mapping[str, Any]) -> str:
        """Why the figure does not hold; '' when it does. No figure, and NaN, do not."""
        found = figures.get(self.figure)
        word = "at least" if self.least else "at most"
        if isinstance(found, bool) or not isinstance(found, int | float):
            return f"{self.figure}: found nothing, wanted {word} {self.limit:g}"
        holds = found >= self.limit if self.least else found <= self.limit
        return "" if holds else f"{self.figure}: found {found:g}, wanted {word} {self.limit:g}"


def promote_findings(subject: Subject, desk: Desk) -> Iterator[Finding]:
    """What the promote stage needs beside all of `shadow`."""
    yield _within(desk, "shadow", "shadow traffic", _shadow_bounds(subject.plan))
    yield _within(desk, "load", "latency and errors", _load_bounds(subject.plan))


def _shadow_bounds(plan: Plan) -> tuple[_Bound, ...]:
    return (
        _Bound("requests", plan.shadow.min_requests, least=True),
        _Bound("seconds", plan.shadow.duration / 1e6, least=True),
        _Bound("decision_disagreement", plan.shadow.max_decision_disagreement),
    )


def _load_bounds(plan: Plan) -> tuple[_Bound, ...]:
    """The error budget is a share: what may fail is what need not be available."""
    return (
        _Bound("latency_p95_ms", plan.latency_slo.p95_ms),
        _Bound("latency_p99_ms", plan.latency_slo.p99_ms),
        _Bound("http_error_rate", round(1 - plan.error_budget.availability_percent / 100, 9)),
        _Bound("requests_per_second", plan.stress_test.min_requests_per_second, least=True),
        _Bound("seconds", plan.stress_test.duration / 1e6, least=True),
    )


def _within(desk: Desk, kind: str, check: str, bounds: tuple[_Bound, ...]) -> Finding:
    try:
        evidence = desk.read(kind)
    except InputError as error:
        return Finding(check, False, str(error)[:2_000])
    reasons = [*evidence.reasons, *filter(None, (b.judge(evidence.figures) for b in bounds))]
    if reasons:
        return Finding(check, False, "; ".join(reasons)[:2_000])
    figures = ", ".join(f"{b.figure} {evidence.figures[b.figure]:g}" for b in bounds)
    return Finding(check, True, figures)
