"""The charts of the report: precision over recall, and histograms of scores, latency and age."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.metrics import precision_recall_curve

from proviso.pages.charts import (
    Axis,
    Bar,
    Chart,
    Curve,
    Dot,
    Key,
    Label,
    Mark,
    Rule,
    Scale,
    bars,
    log_values,
)

Floats = NDArray[np.float64]
_Plane = tuple[Scale, Scale]

_WIDTH = 480.0
_LEFT, _RIGHT = 44.0, 476.0
_EDGE = 2.0
"""Where a drawing without labels at its y axis starts."""
_BASE, _SCORE_BASE = 76.0, 104.0
_CURVE_POINTS = 240
_BINS = 48
_QUARTERS = (0, 0.25, 0.5, 0.75, 1)
_LABEL_ROOM = 110.0
_DAY = 86_400
_UNITS = ((_DAY, "d", 3_600, "h"), (3_600, "h", 60, "min"), (60, "min", 1, "s"))
_TIME_STEPS = (1, 5, 15, 30, 60, 300, 900, 1_800, 3_600, 7_200, 10_800, 21_600, 43_200)


@dataclass(frozen=True)
class Quality:
    """Precision over recall; `at_threshold` is (recall, precision), None if no score reaches it."""

    chart: Chart
    legend: tuple[Key, ...]
    at_threshold: tuple[float, float] | None
    base_rate: float


@dataclass(frozen=True)
class Panel:
    """A histogram; its name and note stand above it, outside the drawing, where they can wrap."""

    name: str
    note: str
    chart: Chart


def finite(values: ArrayLike) -> Floats:
    """The finite ones among the values; None counts as NaN."""
    array = np.asarray(values, dtype=np.float64).ravel()
    return np.asarray(array[np.isfinite(array)], dtype=np.float64)


# --- precision and recall --------------------------------------------------------------------


def quality(
    scores: Floats, labels: Floats, baseline: Floats | None, threshold: float
) -> Quality | None:
    """Scores [n] against labels [n] (0, 1, NaN = not known); None unless both classes occur."""
    known = np.isfinite(labels) & np.isfinite(scores)
    label = labels[known] > 0.5
    if not label.any() or label.all():
        return None
    x, y = Scale(0, 1, _LEFT, _RIGHT), Scale(0, 1, 262, 18)
    base_rate = float(label.mean())
    at_random = y.at(base_rate)
    marks: list[Mark] = [Rule((_LEFT, at_random), (_RIGHT, at_random), "baseline", faint=True)]
    legend = [Key("model", "model")]
    if baseline is not None and np.isfinite(baseline[known]).all():
        marks.append(_curve(baseline[known], label, (x, y), "baseline", dashed=True))
        legend.append(Key("baseline", "baseline"))
    marks.append(_curve(scores[known], label, (x, y), "model"))
    marks.append(Label(_LEFT + 6, at_random - 6, f"at random {base_rate:.2%}", "baseline"))
    reached = _at_threshold(scores[known], label, threshold)
    if reached:
        marks += _threshold_marks(x.at(reached[0]), y.at(reached[1]), reached, threshold)
    title = "Precision over recall of " + " and ".join(key.name for key in legend)
    across = x.axis(_QUARTERS, "{:.0%}".format, "recall")
    up = y.axis(_QUARTERS, "{:.0%}".format, "precision")
    chart = Chart(title, _WIDTH, 304, across, up, tuple(marks))
    return Quality(chart, tuple(legend), reached, base_rate)


def _curve(
    scores: Floats, label: NDArray[np.bool_], to: _Plane, tone: str, dashed: bool = False
) -> Curve:
    """Recall ascending and precision, thinned to what a screen can show."""
    precision, recall, _ = precision_recall_curve(label, scores, drop_intermediate=True)
    # The last point (recall 0, precision 1) is sklearn's convention, not a threshold.
    precision, recall = precision[-2::-1], recall[-2::-1]
    wanted = np.searchsorted(recall, np.linspace(recall[0], 1, _CURVE_POINTS))
    keep = np.unique(np.clip(wanted, 0, recall.size - 1))
    pairs = zip(recall[keep].tolist(), precision[keep].tolist(), strict=True)
    return Curve(tuple((to[0].at(r), to[1].at(p)) for r, p in pairs), tone, dashed)


def _at_threshold(
    scores: Floats, label: NDArray[np.bool_], threshold: float
) -> tuple[float, float] | None:
    chosen = scores >= threshold
    if not chosen.any():
        return None
    return float(chosen[label].mean()), float(label[chosen].mean())


def _threshold_marks(
    x: float, y: float, reached: tuple[float, float], threshold: float
) -> tuple[Mark, Mark]:
    recall, precision = reached
    title = f"Threshold {threshold:g}: precision {precision:.1%}, recall {recall:.1%}"
    label = f"threshold {threshold:g}"
    if x > _RIGHT - _LABEL_ROOM:
        return Dot(x, y, "ink", title), Label(x - 10, y + 20, label, anchor="end")
    return Dot(x, y, "ink", title), Label(x + 10, y - 9, label)


# --- histograms ------------------------------------------------------------------------------


def score_panels(
    scores: Floats,
    labels: Floats,
    threshold: float,
    label_name: str,
    decisions: tuple[str, str],
) -> tuple[Panel, ...]:
    """Scores of either label, counts on a log scale; `decisions` are (below, at or above)."""
    known = np.isfinite(scores) & np.isfinite(labels)
    if not known.any():
        return ()
    positive = labels[known] > 0.5
    sides = (f"{decisions[0]} \u25c2", f"\u25b8 {decisions[1]}")
    return (
        _score_panel(f"{label_name} = 1", scores[known][positive], "positive", threshold, sides),
        _score_panel(f"{label_name} = 0", scores[known][~positive], "negative", threshold),
    )


def _score_panel(
    name: str, scores: Floats, tone: str, threshold: float, sides: tuple[str, str] = ("", "")
) -> Panel:
    """Counts on a log scale that starts below 1, so that a bin with a single score is visible."""
    edges = np.linspace(0, 1, _BINS + 1)
    counts, _ = np.histogram(np.clip(scores, 0, 1), edges)
    most = max(int(counts.max()), 1)
    x, y = Scale(0, 1, _LEFT, _RIGHT), Scale(0.5, max(most, 2), _SCORE_BASE, 20, log=True)
    drawn = bars(
        edges.tolist(),
        counts.tolist(),
        (x, y),
        lambda _: tone,
        lambda low, high, n: f"{n:,} with a score from {low:.2f} to {high:.2f}",
    )
    powers = [10**e for e in range(len(str(most)))]
    up = y.axis(powers[:: math.ceil(len(powers) / 3)], _compact)
    marks = (*drawn, *_limits(_SCORE_BASE, (x.at(threshold), sides[0], sides[1], "ink")))
    title = f"Histogram of scores, with the threshold: {name}"
    chart = Chart(title, _WIDTH, _SCORE_BASE + 24, x.axis(_QUARTERS), up, marks)
    return Panel(name, f"{scores.size:,} scores", chart)


def latency_panels(latency_ms: Mapping[str, Sequence[float]]) -> tuple[Panel, ...]:
    """Latency by protocol on one logarithmic axis of milliseconds."""
    known = {name: finite(values) for name, values in latency_ms.items()}
    positive = {name: values[values > 0] for name, values in known.items()}
    shown = {name: values for name, values in positive.items() if values.size}
    if not shown:
        return ()
    everything = np.concatenate(list(shown.values()))
    low, high = float(everything.min()) / 1.15, float(everything.max()) * 1.15
    x = Scale(low, high, _EDGE, _RIGHT, log=True)
    return tuple(_latency_panel(name, values, x) for name, values in shown.items())


def _latency_panel(name: str, values: Floats, x: Scale) -> Panel:
    median, late = (float(np.percentile(values, q)) for q in (50, 95))
    edges = np.geomspace(x.low, x.high, _BINS + 1)
    marks = (
        *_histogram(values, edges, x, lambda _: "model", "{:.1f} ms".format),
        *_limits(_BASE, (x.at(median), "p50", "", "ink"), (x.at(late), "", "p95", "ink")),
    )
    note = f"{values.size:,} requests, p50 {median:.1f} ms, p95 {late:.1f} ms"
    across = x.axis(log_values(x.low, x.high), "{:g} ms".format)
    return Panel(name, note, _panel_chart(f"Histogram of request latency: {name}", across, marks))


def age_panels(
    ages_s: Mapping[str, Sequence[float]], limits: Mapping[str, Mapping[str, float | None]]
) -> tuple[Panel, ...]:
    """Age of what was served, a panel and an axis of its own for each view.

    `limits` holds slo_s and ttl_s by view, in seconds; either may be missing.
    """
    known = {view: finite(values) for view, values in ages_s.items()}
    shown = {view: values[values >= 0] for view, values in known.items()}
    return tuple(
        _age_panel(view, values, limits.get(view, {}))
        for view, values in shown.items()
        if values.size
    )


def _age_panel(view: str, values: Floats, limits: Mapping[str, float | None]) -> Panel:
    slo, ttl = limits.get("slo_s"), limits.get("ttl_s")
    known = [limit for limit in (slo, ttl) if limit]
    widest = 1.4 * max(known) if known else math.inf
    high = max(1.0, min(float(values.max()), widest), *(1.15 * v for v in known))
    x = Scale(0, high, _EDGE, _RIGHT)

    def tone(age: float) -> str:
        if ttl and age > ttl:
            return "bad"
        return "warn" if slo and age > slo else "good"

    edges = np.linspace(0, high, _BINS + 1)
    lines = [(x.at(slo), "SLO", "", "warn")] if slo else []
    lines += [(x.at(ttl), "", "TTL", "bad")] if ttl else []
    marks = (
        *_histogram(values[values <= high], edges, x, tone, duration),
        *_limits(_BASE, *lines),
    )
    across = x.axis(_time_values(high), duration)
    chart = _panel_chart(f"Histogram of feature age: {view}", across, marks)
    return Panel(view, _age_note(values, slo, high), chart)


def _age_note(values: Floats, slo: float | None, high: float) -> str:
    older = int((values > high).sum())
    note = (
        f"{(values <= slo).mean():.1%} within {duration(slo)}" if slo else f"{values.size:,} ages"
    )
    return f"{note}, {older:,} beyond the axis" if older else note


def _histogram(
    values: Floats,
    edges: Floats,
    x: Scale,
    tone: Callable[[float], str],
    form: Callable[[float], str],
) -> tuple[Bar, ...]:
    counts, _ = np.histogram(np.clip(values, edges[0], edges[-1]), edges)
    y = Scale(0, max(float(counts.max()), 1.0), _BASE, 20)

    def title(low: float, high: float, count: int) -> str:
        return f"{count:,} from {form(low)} to {form(high)}"

    return bars(edges.tolist(), counts.tolist(), (x, y), tone, title)


def _limits(base: float, *lines: tuple[float, str, str, str]) -> Iterator[Mark]:
    """Vertical lines: position, the words left and right of it, tone."""
    for x, left, right, tone in lines:
        yield Rule((x, 3), (x, base), tone)
        yield Label(x - 5, 13, left, tone, "end")
        yield Label(x + 5, 13, right, tone)


def _panel_chart(title: str, x: Axis, marks: tuple[Mark, ...]) -> Chart:
    return Chart(title, _WIDTH, _BASE + 24, x, Axis(_BASE, 0), marks)


# --- figures as text -------------------------------------------------------------------------


def duration(seconds: float) -> str:
    """Seconds as text of two units at most."""
    if seconds < 60:
        return f"{seconds:.3g} s" if seconds >= 0.001 else "0"
    whole = round(seconds)
    for size, name, smaller, smaller_name in _UNITS:
        if whole >= size:
            count, rest = divmod(whole, size)
            below = rest // smaller
            return f"{count} {name}" + (f" {below} {smaller_name}" if below else "")
    return f"{whole} s"


def _time_values(high: float) -> list[float]:
    """From 0 to `high` seconds in round steps, at most six of them."""
    steps = [*_TIME_STEPS, *(_DAY * n for n in (1, 2, 5, 10, 30, 90, 365))]
    step = next((s for s in steps if high / s <= 5), high / 4)
    return [i * step for i in range(int(high / step) + 1)]


def _compact(count: float) -> str:
    """1, 100, 10k, 1M: for ticks."""
    for size, suffix in ((1_000_000, "M"), (1_000, "k")):
        if count >= size:
            return f"{count / size:g}{suffix}"
    return f"{count:g}"
