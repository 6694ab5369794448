"""The geometry of the report's charts: data in, positions in drawings 480 units wide out.

Pure. The templates turn these into inline SVG. A plotting library would be the obvious choice;
matplotlib was weighed and left out: its SVG has colours and font outlines frozen into it, so it
can follow neither the reader's dark mode nor the page's font, and its text cannot be searched.
What is left to compute once ticks and bins are known fits on this page.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.metrics import precision_recall_curve

from proviso.pages.axes import Scale, Tick

Floats = NDArray[np.float64]

WIDTH = 480.0
EDGE, LEFT, RIGHT = 2.0, 44.0, 476.0  # LEFT where there are labels at the y axis
_TOP, _BASE, _SCORE_BASE = 20.0, 76.0, 104.0
_CURVE_POINTS = 240
_BINS = 48
_ROOM = 70.0
_DAY = 86_400
_UNITS = ((_DAY, "d", 3_600, "h"), (3_600, "h", 60, "min"), (60, "min", 1, "s"))
_TIME_STEPS = (1, 5, 15, 30, 60, 300, 900, 1_800, 3_600, 7_200, 10_800, 21_600, 43_200)


@dataclass(frozen=True)
class Line:
    """A curve as SVG path data; its label hangs at (x, y)."""

    role: str
    path: str
    label: str
    x: float
    y: float


@dataclass(frozen=True)
class Curves:
    """Precision over recall. `point` is where the threshold stands: recall, precision, x, y."""

    height: float
    top: float
    bottom: float
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    lines: tuple[Line, ...]
    base_rate: float
    base_y: float
    point: tuple[float, float, float, float] | None


@dataclass(frozen=True)
class Bar:
    """One bin of a histogram; `title` is what hovering it says."""

    x: float
    y: float
    width: float
    height: float
    tone: str
    title: str


@dataclass(frozen=True)
class Mark:
    """A vertical line across a panel with a short label to its left ("end") or right ("start")."""

    x: float
    label: str
    anchor: str
    tone: str


@dataclass(frozen=True)
class Panel:
    """A histogram; its name and note stand above it, outside the drawing, where they can wrap."""

    name: str
    note: str
    left: float
    base: float
    bars: tuple[Bar, ...]
    marks: tuple[Mark, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...] = ()


_Trace = tuple[Floats, Floats]
_Plane = tuple[Scale, Scale]


def finite(values: ArrayLike) -> Floats:
    """The finite ones among the values; None counts as NaN."""
    array = np.asarray(values, dtype=np.float64).ravel()
    return np.asarray(array[np.isfinite(array)], dtype=np.float64)


def curves(
    scores: Floats, labels: Floats, baseline: Floats | None, threshold: float
) -> Curves | None:
    """Scores [n] against labels [n] (0, 1, NaN = not known); None unless both classes occur."""
    known = np.isfinite(labels) & np.isfinite(scores)
    label = labels[known] > 0.5
    if not label.any() or label.all():
        return None
    top, bottom = 14.0, 262.0
    x, y = Scale(0, 1, LEFT, RIGHT), Scale(0, 1, bottom, top)
    point = _operating_point(scores[known], label, threshold, x, y)
    clutter = [(point[2] + shift, point[3]) for shift in (0, 50, 100)] if point else []
    model = _trace(scores[known], label)
    lines = [_line("model", model, clutter, (x, y))]
    if baseline is not None and np.isfinite(baseline[known]).all():
        clutter += [(x.at(r), y.at(p)) for r, p in zip(*(t.tolist() for t in model), strict=True)]
        lines.append(_line("baseline", _trace(baseline[known], label), clutter, (x, y)))
    base_rate = float(label.mean())
    return Curves(
        height=300.0,
        top=top,
        bottom=bottom,
        x_ticks=tuple(Tick(x.at(v), f"{v:.0%}") for v in (0, 0.25, 0.5, 0.75, 1)),
        y_ticks=tuple(Tick(y.at(v), f"{v:.0%}") for v in (0, 0.25, 0.5, 0.75, 1)),
        lines=tuple(lines),
        base_rate=base_rate,
        base_y=y.at(base_rate),
        point=point,
    )


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
    x = Scale(0, 1, LEFT, RIGHT)
    panels = []
    for row, (value, tone) in enumerate(((1, "positive"), (0, "negative"))):
        chosen = scores[known][positive if value else ~positive]
        bars, y_ticks = _log_bars(chosen, x, tone)
        at = x.at(threshold)
        sides = (f"{decisions[0]} \u25c2", f"\u25b8 {decisions[1]}") if row == 0 else ("", "")
        panels.append(
            Panel(
                name=f"{label_name} = {value}",
                note=f"{chosen.size:,} scores",
                left=LEFT,
                base=_SCORE_BASE,
                bars=bars,
                marks=(Mark(at, sides[0], "end", "ink"), Mark(at, sides[1], "start", "ink")),
                x_ticks=tuple(Tick(x.at(v), f"{v:g}") for v in (0, 0.25, 0.5, 0.75, 1)),
                y_ticks=y_ticks,
            )
        )
    return tuple(panels)


def latency_panels(latency_ms: Mapping[str, Sequence[float]]) -> tuple[Panel, ...]:
    """Latency by protocol on one logarithmic axis of milliseconds."""
    found = {name: finite(values) for name, values in latency_ms.items()}
    found = {name: values[values > 0] for name, values in found.items()}
    found = {name: values for name, values in found.items() if values.size}
    if not found:
        return ()
    everything = np.concatenate(list(found.values()))
    x = Scale(float(everything.min()) / 1.15, float(everything.max()) * 1.15, EDGE, RIGHT, log=True)
    edges = np.geomspace(x.low, x.high, _BINS + 1)
    ticks = tuple(Tick(x.at(v), f"{v:g} ms") for v in _log_ticks(x.low, x.high))
    panels = []
    for name, values in found.items():
        median, late = (float(np.percentile(values, q)) for q in (50, 95))
        note = f"{values.size:,} requests, p50 {median:.1f} ms, p95 {late:.1f} ms"
        panels.append(
            Panel(
                name=name,
                note=note,
                left=EDGE,
                base=_BASE,
                bars=_bars(values, edges, x, lambda _: "model", _milliseconds),
                marks=(
                    Mark(x.at(median), "p50", "end", "ink"),
                    Mark(x.at(late), "p95", "start", "ink"),
                ),
                x_ticks=ticks,
            )
        )
    return tuple(panels)


def age_panels(
    ages_s: Mapping[str, Sequence[float]], limits: Mapping[str, Mapping[str, float | None]]
) -> tuple[Panel, ...]:
    """Age of what was served, a panel and an axis of its own for each view.

    `limits` holds slo_s and ttl_s by view, in seconds; either may be missing.
    """
    found = {view: finite(values) for view, values in ages_s.items()}
    found = {view: values[values >= 0] for view, values in found.items()}
    found = {view: values for view, values in found.items() if values.size}
    return tuple(_age_panel(view, values, limits.get(view, {})) for view, values in found.items())


def _age_panel(view: str, values: Floats, limits: Mapping[str, float | None]) -> Panel:
    slo, ttl = limits.get("slo_s"), limits.get("ttl_s")
    known = [limit for limit in (slo, ttl) if limit]
    widest = 1.4 * max(known) if known else math.inf
    high = max(1.0, min(float(values.max()), widest), *(1.15 * v for v in known))
    x = Scale(0, high, EDGE, RIGHT)

    def tone(age: float) -> str:
        if ttl and age > ttl:
            return "bad"
        return "warn" if slo and age > slo else "good"

    marks = [Mark(x.at(slo), "SLO", "end", "warn")] if slo else []
    marks += [Mark(x.at(ttl), "TTL", "start", "bad")] if ttl else []
    older = int((values > x.high).sum())
    note = f"{values.size:,} ages"
    if slo:
        note = f"{(values <= slo).mean():.1%} within {duration(slo)}"
    if older:
        note += f", {older:,} beyond the axis"
    edges = np.linspace(0, x.high, _BINS + 1)
    bars = _bars(values[values <= x.high], edges, x, tone, duration)
    ticks = tuple(Tick(x.at(v), duration(v)) for v in _time_ticks(x.high))
    return Panel(view, note, EDGE, _BASE, bars, tuple(marks), ticks)


def _trace(scores: Floats, label: NDArray[np.bool_]) -> _Trace:
    """Recall ascending and precision, thinned to what a screen can show."""
    precision, recall, _ = precision_recall_curve(label, scores, drop_intermediate=True)
    # The last point (recall 0, precision 1) is sklearn's convention, not a threshold.
    precision, recall = precision[-2::-1], recall[-2::-1]
    wanted = np.searchsorted(recall, np.linspace(recall[0], 1, _CURVE_POINTS))
    keep = np.unique(np.clip(wanted, 0, recall.size - 1))
    return recall[keep], precision[keep]


def _line(role: str, trace: _Trace, away_from: Sequence[tuple[float, float]], to: _Plane) -> Line:
    """A curve; its label hangs near recall 0.35, where there is room beside what is drawn.

    Curves of this kind fall to the right, so what is above and to the right of a point is free.
    """
    recall, precision = (part.tolist() for part in trace)
    points = [(to[0].at(r), to[1].at(p)) for r, p in zip(recall, precision, strict=True)]

    def room(point: tuple[float, float]) -> float:
        return min((*(math.dist(point, other) for other in away_from), _ROOM))

    fitting = [point for point in points if point[0] < RIGHT - _ROOM] or points
    x, y = max(sorted(fitting, key=lambda point: abs(point[0] - to[0].at(0.35))), key=room)
    path = " ".join(f"{px},{py}" for px, py in points)
    return Line(role, f"M{path}", role, x + 7, y - 7)


def _operating_point(
    scores: Floats, label: NDArray[np.bool_], threshold: float, x: Scale, y: Scale
) -> tuple[float, float, float, float] | None:
    chosen = scores >= threshold
    if not chosen.any():
        return None
    recall, precision = float(chosen[label].mean()), float(label[chosen].mean())
    return recall, precision, x.at(recall), y.at(precision)


def _log_bars(values: Floats, x: Scale, tone: str) -> tuple[tuple[Bar, ...], tuple[Tick, ...]]:
    """Bars as high as the logarithm of 1 + count, and ticks at powers of ten."""
    edges = np.linspace(x.low, x.high, _BINS + 1)
    counts, _ = np.histogram(np.clip(values, x.low, x.high), edges)
    most = max(int(counts.max()), 1)
    y = Scale(0, math.log10(1 + most), _SCORE_BASE, _TOP)
    bars = tuple(
        Bar(
            x=x.at(low),
            y=y.at(math.log10(1 + n)),
            width=round(x.at(high) - x.at(low) - 1, 1),
            height=round(_SCORE_BASE - y.at(math.log10(1 + n)), 1),
            tone=tone,
            title=f"{n:,} with a score from {low:.2f} to {high:.2f}",
        )
        for low, high, n in _bins(edges, counts)
    )
    powers = [10**e for e in range(len(str(most)))]
    shown = powers[:: math.ceil(len(powers) / 3)]
    return bars, tuple(Tick(y.at(math.log10(1 + n)), _compact(n)) for n in shown)


def _bars(
    values: Floats,
    edges: Floats,
    x: Scale,
    tone: Callable[[float], str],
    wording: Callable[[float], str],
) -> tuple[Bar, ...]:
    """Bars of a plain histogram; `tone` judges the middle of a bin."""
    counts, _ = np.histogram(np.clip(values, edges[0], edges[-1]), edges)
    y = Scale(0, max(float(counts.max()), 1.0), _BASE, _TOP)
    return tuple(
        Bar(
            x=x.at(low),
            y=min(y.at(n), _BASE - 1.5),  # a single one must be visible, too
            width=round(max(x.at(high) - x.at(low) - 1, 1), 1),
            height=round(max(_BASE - y.at(n), 1.5), 1),
            tone=tone((low + high) / 2),
            title=f"{n:,} from {wording(low)} to {wording(high)}",
        )
        for low, high, n in _bins(edges, counts)
    )


def _bins(edges: Floats, counts: NDArray[np.int64]) -> list[tuple[float, float, int]]:
    """(low, high, count) of the bins that hold anything."""
    each = zip(edges[:-1].tolist(), edges[1:].tolist(), counts.tolist(), strict=True)
    return [(low, high, n) for low, high, n in each if n]


def _log_ticks(low: float, high: float) -> list[float]:
    """Round values in [low, high]: 1, 2, 5 per decade, or whole decades where those crowd."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    fine = [float(f"{m}e{e}") for e in decades for m in (1, 2, 5)]
    inside = [v for v in fine if low <= v <= high]
    if not inside:
        return [float(f"{math.sqrt(low * high):.2g}")]
    if len(inside) <= 6:
        return inside
    return [v for v in inside if f"{v:e}".startswith("1.0")]


def _time_ticks(high: float) -> list[float]:
    """From 0 to `high` seconds in round steps, at most six of them."""
    steps = [*_TIME_STEPS, *(_DAY * n for n in (1, 2, 5, 10, 30, 90, 365))]
    step = next((s for s in steps if high / s <= 5), high / 4)
    return [i * step for i in range(int(high / step) + 1)]


def duration(seconds: float) -> str:
    """Seconds as a person says them: two units at most."""
    if seconds < 60:
        return f"{seconds:.3g} s" if seconds >= 0.001 else "0"
    whole = round(seconds)
    for size, name, smaller, smaller_name in _UNITS:
        if whole >= size:
            count, rest = divmod(whole, size)
            below = rest // smaller
            return f"{count} {name}" + (f" {below} {smaller_name}" if below else "")
    return f"{whole} s"


def _milliseconds(value: float) -> str:
    return f"{value:.1f} ms"


def _compact(count: int) -> str:
    """1, 100, 10k, 1M: for ticks."""
    for size, suffix in ((1_000_000, "M"), (1_000, "k")):
        if count >= size:
            return f"{count // size}{suffix}"
    return str(count)
