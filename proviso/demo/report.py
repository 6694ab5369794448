"""The report of `make demo`: verdicts, quality, latency, freshness, refused requests.

One file without scripts, fonts or images from elsewhere; its Content-Security-Policy forbids them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment

from feature_runtime.core.moments import format_moment
from proviso.demo import charts
from proviso.pages.charts import Key
from proviso.pages.shell import environment, write_page

_TEMPLATES = Path(__file__).parent / "templates"
_MAX_TEXT = 600
_MAX_ROWS = 200
_MAX_MISMATCHES = 10
_METRIC_NAMES = {"auc": "ROC AUC", "average_precision": "Average precision"}
_STRATA = {
    "before_created": "in the minute before a run became readable",
    "after_created": "in the minute after a run became readable",
    "missing_key": "an entity without any usable row",
    "stale": "the newest usable row is older than its TTL",
    "after_last_run": "after the last run of the span has started",
    "made": "made up, where the data has too few of a kind",
    "all": "everything asked",
}
_STATUS_TONES = {
    "OK": "good",
    "STALE": "warn",
    "MISSING_KEY": "missing",
    "NULL": "baseline",
    "TYPE": "bad",
}


@dataclass(frozen=True)
class RefusedRequest:
    """A request that must be refused: what was asked, what came back, and why."""

    title: str
    asked: str
    answered: str
    reason: str


@dataclass(frozen=True)
class ReportData:
    """The content of the page.

    release: release.yml as plain data. replay: the content of replay.json. scores, labels and
    baseline_scores: [n] over the test days; a label is 0, 1, or NaN/None (not known).
    verdicts: Verdict.as_dict() each, plus `expected` (whether it should pass) and optionally
    `title`. steps: (name, seconds). freshness: view -> slo_s, ttl_s in seconds.
    commands: how to repeat what the page shows.
    """

    title: str
    release: Mapping[str, Any]
    replay: Mapping[str, Any]
    scores: Sequence[float]
    labels: Sequence[float | None]
    refusals: Sequence[RefusedRequest]
    verdicts: Sequence[Mapping[str, Any]]
    steps: Sequence[tuple[str, float]]
    threshold: float
    freshness: Mapping[str, Mapping[str, float | None]]
    baseline_scores: Sequence[float] | None = None
    label_name: str = "label"
    commands: Sequence[str] = ("make demo",)


@dataclass(frozen=True)
class _Metric:
    """A figure of the model against its baseline; None where the labels did not allow one."""

    name: str
    model: float | None
    baseline: float | None


@dataclass(frozen=True)
class _Latency:
    protocol: str
    p50: float
    p95: float


def write_report(data: ReportData, path: Path) -> None:
    """Writes the page to `path`, whole or not at all; its folder is made."""
    write_page(_environment(), "report.html.j2", _context(data), path)


def _environment() -> Environment:
    where = environment(_TEMPLATES)
    where.filters["short"] = _short
    where.filters["figure"] = _figure
    where.filters["difference"] = _difference
    where.filters["duration"] = charts.duration
    return where


def _context(data: ReportData) -> dict[str, Any]:
    card = data.release.get("card") or {}
    verdicts = [_verdict(verdict) for verdict in data.verdicts]
    return {
        "data": data,
        "release": data.release,
        "days": _days(card),
        "verdicts": verdicts,
        "surprises": sum(not verdict["as_intended"] for verdict in verdicts),
        "metrics": list(_metrics(card)),
        "latencies": list(_latencies(data.replay)),
        "requests": int(data.replay.get("requests", 0)),
        "mismatch_count": int(data.replay.get("mismatch_count", 0)),
        "max_difference": float(data.replay.get("max_probability_difference", 0.0)),
        "compared": sum(data.replay.get("skew", {}).values()),
        "mismatches": list(data.replay.get("mismatches", ()))[:_MAX_MISMATCHES],
        "statuses": _statuses(data.replay),
        "status_tones": _STATUS_TONES,
        "status_legend": [Key(tone, status) for status, tone in _STATUS_TONES.items()],
        "strata": _strata(data.replay),
        "left_out": _left_out(data.replay),
        "refusals": list(data.refusals)[:_MAX_ROWS],
        "steps": list(data.steps)[:_MAX_ROWS],
        "total_seconds": sum(seconds for _, seconds in data.steps),
        "longest": max((seconds for _, seconds in data.steps), default=0.0) or 1.0,
        **_charts(data),
    }


def _charts(data: ReportData) -> dict[str, Any]:
    scores = np.asarray(data.scores, dtype=np.float64)
    labels = np.asarray(data.labels, dtype=np.float64)
    given = data.baseline_scores
    baseline = None if given is None else np.asarray(given, dtype=np.float64)
    at_or_above, below = _decisions(data.release)
    known = int((np.isfinite(scores) & np.isfinite(labels)).sum())
    return {
        "quality": charts.quality(scores, labels, baseline, data.threshold),
        "score_panels": charts.score_panels(
            scores, labels, data.threshold, data.label_name, (below, at_or_above)
        ),
        "latency_panels": charts.latency_panels(data.replay.get("latency_ms", {})),
        "age_panels": charts.age_panels(data.replay.get("feature_age_s", {}), data.freshness),
        "at_or_above": at_or_above,
        "known_labels": known,
        "unknown_labels": int(scores.size) - known,
    }


def _verdict(verdict: Mapping[str, Any]) -> dict[str, Any]:
    """A verdict as its card shows it; `why` is the first thing that speaks against it."""
    findings = list(verdict.get("findings", ()))
    refusals = [finding for finding in findings if not finding["ok"]]
    passed, expected = bool(verdict["passed"]), bool(verdict.get("expected", True))
    stage = str(verdict.get("stage", ""))
    why = "Every check holds."
    if refusals:
        why = f"{refusals[0]['check']}: {refusals[0]['detail']}"
    return {
        "title": verdict.get("title") or f"Gate {stage}{'' if expected else ', meant to refuse'}",
        "word": "PASS" if passed else "REFUSED",
        "passed": passed,
        "as_intended": passed == expected,
        "why": why if findings else "Nothing was looked at.",
        "findings": findings[:_MAX_ROWS],
        "refused": len(refusals),
        "evidence": dict(verdict.get("evidence") or {}),
    }


def _metrics(card: Mapping[str, Any]) -> Iterator[_Metric]:
    """The card's shares, average precision first: where positives are rare it says most."""
    metrics = card.get("metrics") or {}
    model, baseline = metrics.get("model") or {}, metrics.get("baseline") or {}
    for name in sorted(model, key=lambda name: (name != "average_precision", name != "auc")):
        yield _Metric(_metric_name(name), _share(model[name]), _share(baseline.get(name)))


def _metric_name(name: str) -> str:
    """`entity_precision_at_100` -> `Entity precision @100`; older cards have a former name."""
    name = name.replace("card_precision_at", "entity_precision_at")
    if name in _METRIC_NAMES:
        return _METRIC_NAMES[name]
    words, at, k = name.rpartition("_at_")
    text = f"{words} @{k}" if at and k.isdigit() else name
    return text.replace("_", " ").capitalize()


def _share(value: object) -> float | None:
    """A figure between 0 and 1, or None."""
    return float(value) if isinstance(value, int | float) and 0 <= value <= 1 else None


def _days(card: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(what, first to last day) of training and test, as far as the card says so."""
    data = card.get("data") or {}
    windows = (("trained on", data.get("train_days")), ("tested on", data.get("test_days")))
    return [(what, " to ".join(map(str, days))) for what, days in windows if days]


def _decisions(release: Mapping[str, Any]) -> tuple[str, str]:
    """The names of the decisions at or above the threshold, and below it."""
    decision = (release.get("service") or {}).get("decision") or {}
    return str(decision.get("at_or_above", "at or above")), str(decision.get("below", "below"))


def _latencies(replay: Mapping[str, Any]) -> Iterator[_Latency]:
    for protocol, values in replay.get("latency_ms", {}).items():
        known = charts.finite(values)
        if known.size:
            p50, p95 = np.percentile(known, (50, 95)).tolist()
            yield _Latency(protocol, p50, p95)


def _statuses(replay: Mapping[str, Any]) -> list[tuple[str, list[tuple[str, int]]]]:
    """Per feature its counts by status, in the order of the legend."""
    rank = {status: i for i, status in enumerate(_STATUS_TONES)}
    return [
        (name, sorted(((s, int(n)) for s, n in counts.items()), key=lambda c: rank.get(c[0], 99)))
        for name, counts in list(replay.get("statuses", {}).items())[:_MAX_ROWS]
    ]


def _strata(replay: Mapping[str, Any]) -> list[dict[str, Any]]:
    floors = replay.get("floors", {})
    return [
        {
            "name": name,
            "what": _STRATA.get(name, ""),
            "count": count,
            "floor": floors.get(name),
            "enough": count >= floors.get(name, 0),
        }
        for name, count in replay.get("strata", {}).items()
    ]


def _left_out(replay: Mapping[str, Any]) -> dict[str, Any] | None:
    gap = replay.get("left_out")
    if not gap:
        return None
    runs = [format_moment(int(run)) for run in gap["runs"]][:_MAX_ROWS]
    return {"view": gap["view"], "runs": runs, "transactions": gap["transactions"]}


def _short(value: object) -> str:
    """Text of bounded length, so that a long answer of a server cannot break the page."""
    text = str(value)
    return text if len(text) <= _MAX_TEXT else f"{text[:_MAX_TEXT]} \u2026"


def _figure(value: float | None) -> str:
    return "not known" if value is None else f"{value:.3f}"


def _difference(value: float) -> str:
    if value == 0:
        return "0"
    return f"{value:.1e}" if math.isfinite(value) else "\u221e"
