"""The geometry of the sweep's two pictures: curves in, positions in drawings 560 wide out. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from proviso.bench.sweep import EMBEDDED, Curve, Point
from proviso.bench.sweep_choice import Budget
from proviso.pages.axes import Scale, Tick

LEFT, RIGHT, TOP, BASE = 50.0, 540.0, 28.0, 340.0
TONES = ("model", "positive", "missing", "good", "warn", "bad")
OFF, ELSEWHERE = "baseline", "ink"
_STEPS = (1, 2, 5)
_PLACES = ((8, 15), (8, -8), (-8, 15), (-8, -8))
"""Where a dot's word may stand, from the dot: right of it first; left ones end at it."""
_WORD = (26.0, 13.0)


@dataclass(frozen=True)
class Word:
    """A short text near a dot."""

    x: float
    y: float
    anchor: str
    text: str


@dataclass(frozen=True)
class Dot:
    """A point; its bars reach over the rounds. `title` is what hovering it says."""

    x: float
    y: float
    left: float
    right: float
    high: float
    low: float
    title: str


@dataclass(frozen=True)
class Line:
    """A contender's points in order of concurrency."""

    name: str
    tone: str
    path: str
    dots: tuple[Dot, ...]
    words: tuple[Word, ...] = ()


@dataclass(frozen=True)
class Limit:
    """A horizontal line with a word above it."""

    y: float
    label: str
    tone: str


@dataclass(frozen=True)
class Picture:
    title: str
    x_title: str
    y_title: str
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    lines: tuple[Line, ...]
    limits: tuple[Limit, ...] = ()


def tones(curves: Sequence[Curve]) -> list[str]:
    """A colour for each: grey where batching is off, ink for what is not embedded."""
    found: list[str] = []
    for curve in curves:
        if curve.contender.where != EMBEDDED:
            found.append(ELSEWHERE)
        elif not curve.contender.setting.dynamic:
            found.append(OFF)
        else:
            used = sum(tone in TONES for tone in found)
            found.append(TONES[used % len(TONES)])
    return found


def latency_picture(curves: Sequence[Curve], budget: Budget) -> Picture:
    """p95 (logarithmic) against throughput, and the budget."""
    points = [point for curve in curves for point in curve.known]
    most = max(point.throughput.highest for point in points)
    step = _step(most / 5)
    x = Scale(0, step * math.ceil(most / step), LEFT, RIGHT)
    latencies = [v for p in points for v in (p.p95_ms.lowest, p.p95_ms.highest)]
    low, high = min([*latencies, budget.predictor_ms]), max([*latencies, budget.p95_ms])
    y = Scale(low / 1.3, high * 1.5, BASE, TOP, log=True)
    limits = (
        Limit(y.at(budget.p95_ms), f"the plan's p95: {budget.p95_ms:g} ms", "bad"),
        Limit(
            y.at(budget.predictor_ms), f"left for the predictor: {budget.predictor_ms:g} ms", "warn"
        ),
    )
    ticks = [value for value in _decades(y.low, y.high) if y.low <= value <= y.high]
    return Picture(
        title="p95 latency against throughput",
        x_title="inferences a second",
        y_title="p95, ms",
        x_ticks=tuple(Tick(x.at(v), f"{v:,.0f}") for v in _even(x.high, step)),
        y_ticks=tuple(Tick(y.at(v), f"{v:g}") for v in ticks),
        lines=tuple(_lines(curves, x, y)),
        limits=limits,
    )


def batch_picture(curves: Sequence[Curve]) -> Picture:
    """Inferences an execution by concurrency: what batching does, where it does anything."""
    points = [point for curve in curves for point in curve.known]
    counts = sorted({point.concurrency for point in points})
    x = Scale(counts[0] / 1.2, counts[-1] * 1.2, LEFT, RIGHT, log=True)
    most = max(point.spread(lambda one: one.batch).highest for point in points)
    step = _step(most / 5)
    y = Scale(0, step * math.ceil(most / step), BASE, TOP)
    return Picture(
        title="Inferences an execution",
        x_title="concurrency",
        y_title="inferences",
        x_ticks=tuple(Tick(x.at(v), f"{v:,}") for v in counts),
        y_ticks=tuple(Tick(y.at(v), f"{v:g}") for v in _even(y.high, step)),
        lines=tuple(_batches(curves, x, y)),
    )


def _lines(curves: Sequence[Curve], x: Scale, y: Scale) -> Iterator[Line]:
    drawn = [[_dot(curve, point, x, y) for point in curve.known] for curve in curves]
    taken = [(dot.x - 4, dot.y + 6) for dots in drawn for dot in dots]
    for curve, tone, dots in zip(curves, tones(curves), drawn, strict=True):
        counts = [str(point.concurrency) for point in curve.known]
        words = [_word(dot, text, taken) for dot, text in zip(dots, counts, strict=True)]
        shown = tuple(word for word in words if word)
        yield Line(name_of(curve), tone, _path(dots), tuple(dots), shown)


def _word(dot: Dot, text: str, taken: list[tuple[float, float]]) -> Word | None:
    """The text at the first place that is free; none where all are taken."""
    for dx, dy in _PLACES:
        start, y = dot.x + dx - (_WORD[0] if dx < 0 else 0), dot.y + dy
        if all(abs(start - a) >= _WORD[0] or abs(y - b) >= _WORD[1] for a, b in taken):
            taken.append((start, y))
            anchor = "end" if dx < 0 else "start"
            return Word(round(dot.x + dx, 1), round(y, 1), anchor, text)
    return None


def name_of(curve: Curve) -> str:
    """A contender in the legend."""
    batching = f"batching {curve.contender.setting.name}"
    embedded = curve.contender.where == EMBEDDED
    return batching if embedded else f"{curve.contender.where}, {batching}"


def _dot(curve: Curve, point: Point, x: Scale, y: Scale) -> Dot:
    rate, late = point.throughput, point.p95_ms
    title = (
        f"{curve.contender.name}, concurrency {point.concurrency}: {rate.median:,.0f}/s"
        f" ({rate.lowest:,.0f} to {rate.highest:,.0f}), p95 {late.median:.1f} ms"
        f" ({late.lowest:.1f} to {late.highest:.1f})"
    )
    return Dot(
        *(x.at(rate.median), y.at(late.median), x.at(rate.lowest), x.at(rate.highest)),
        *(y.at(late.highest), y.at(late.lowest), title),
    )


def _batches(curves: Sequence[Curve], x: Scale, y: Scale) -> Iterator[Line]:
    for curve, tone in zip(curves, tones(curves), strict=True):
        dots = []
        for point in curve.known:
            batch, at = point.spread(lambda one: one.batch), x.at(point.concurrency)
            name = f"{curve.contender.name}, concurrency {point.concurrency}"
            title = f"{name}: {batch.median:.1f} inferences an execution"
            bars = (at, at, y.at(batch.highest), y.at(batch.lowest))
            dots.append(Dot(at, y.at(batch.median), *bars, title))
        yield Line(name_of(curve), tone, _path(dots), tuple(dots))


def _path(dots: Sequence[Dot]) -> str:
    return "M" + " ".join(f"{dot.x},{dot.y}" for dot in dots)


def _step(about: float) -> float:
    """A round number that is not below."""
    power = 10.0 ** math.floor(math.log10(about))
    return next((m * power for m in _STEPS if m * power >= about), 10 * power)


def _even(high: float, step: float) -> list[float]:
    return [step * n for n in range(round(high / step) + 1)]


def _decades(low: float, high: float) -> list[float]:
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    return [float(f"{m}e{power}") for power in powers for m in _STEPS]
