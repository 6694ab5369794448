"""The two charts of a sweep: p95 latency against throughput, and batch sizes by concurrency."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

from proviso.bench.sweep import EMBEDDED, Curve, Point, Spread
from proviso.bench.sweep_choice import Budget
from proviso.pages import charts
from proviso.pages.charts import Axis, Chart, Dot, Key, Label, Mark, Rule, Scale

WIDTH, _HEIGHT = 560.0, 384.0
_LEFT, _RIGHT, _TOP, _BASE = 50.0, 540.0, 28.0, 340.0
_TONES = ("model", "positive", "missing", "good", "warn", "bad")
_OFF, _ELSEWHERE = "baseline", "ink"
_PLACES = ((8, 15), (8, -8), (-8, 15), (-8, -8))
"""Where a dot's label may stand, from the dot: right of it first; left ones end at it."""
_LABEL = (26.0, 13.0)

_Point = tuple[Spread, Spread]
"""A measured point: its values along x and y over the rounds."""


@dataclass(frozen=True)
class Picture:
    """A chart with its legend, an entry for each contender."""

    chart: Chart
    legend: tuple[Key, ...]


def tones(curves: Sequence[Curve]) -> list[str]:
    """A colour for each: grey where batching is off, ink for what is not embedded."""
    chosen: list[str] = []
    for curve in curves:
        if curve.contender.where != EMBEDDED:
            chosen.append(_ELSEWHERE)
        elif not curve.contender.setting.dynamic:
            chosen.append(_OFF)
        else:
            used = sum(tone in _TONES for tone in chosen)
            chosen.append(_TONES[used % len(_TONES)])
    return chosen


def latency_picture(curves: Sequence[Curve], budget: Budget) -> Picture:
    """p95 (logarithmic) against throughput, with the budget as horizontal lines."""
    points = [point for curve in curves for point in curve.known]
    rates = charts.even_values(max(point.throughput.highest for point in points))
    x = Scale(0, rates[-1], _LEFT, _RIGHT)
    ends = [end for p in points for end in (p.p95_ms.lowest, p.p95_ms.highest)]
    low, high = min([*ends, budget.predictor_ms]), max([*ends, budget.p95_ms])
    y = Scale(low / 1.3, high * 1.5, _BASE, _TOP, log=True)
    left = f"left for the predictor: {budget.predictor_ms:g} ms"
    marks = (
        *_limit(y.at(budget.p95_ms), f"the plan's p95: {budget.p95_ms:g} ms", "bad"),
        *_limit(y.at(budget.predictor_ms), left, "warn"),
        *_lines(curves, (x, y), lambda point: (point.throughput, point.p95_ms)),
        *_concurrencies(curves, x, y),
    )
    across = x.axis(rates, "{:,.0f}".format, "inferences a second")
    up = y.axis(charts.log_values(y.low, y.high, 12), name="p95, ms")
    return _picture("p95 latency against throughput", curves, (across, up), marks)


def batch_picture(curves: Sequence[Curve]) -> Picture:
    """Inferences an execution by concurrency: what batching does, where it does anything."""
    points = [point for curve in curves for point in curve.known]
    counts = sorted({point.concurrency for point in points})
    x = Scale(counts[0] / 1.2, counts[-1] * 1.2, _LEFT, _RIGHT, log=True)
    sizes = charts.even_values(max(_batch(point)[1].highest for point in points))
    y = Scale(0, sizes[-1], _BASE, _TOP)
    axes = (x.axis(counts, "{:,}".format, "concurrency"), y.axis(sizes, name="inferences"))
    marks = tuple(_lines(curves, (x, y), _batch))
    return _picture("Inferences an execution", curves, axes, marks)


def _batch(point: Point) -> _Point:
    count = float(point.concurrency)
    return Spread(count, count, count), point.spread(lambda one: one.batch)


def _picture(
    title: str, curves: Sequence[Curve], axes: tuple[Axis, Axis], marks: tuple[Mark, ...]
) -> Picture:
    keys = zip(tones(curves), map(name_of, curves), strict=True)
    legend = tuple(Key(tone, name) for tone, name in keys)
    return Picture(Chart(title, WIDTH, _HEIGHT, *axes, marks), legend)


def name_of(curve: Curve) -> str:
    """A contender in the legend."""
    batching = f"batching {curve.contender.setting.name}"
    embedded = curve.contender.where == EMBEDDED
    return batching if embedded else f"{curve.contender.where}, {batching}"


def _limit(y: float, label: str, tone: str) -> tuple[Rule, Label]:
    return Rule((_LEFT, y), (_RIGHT, y), tone), Label(_LEFT + 6, y - 7, label, tone)


def _lines(
    curves: Sequence[Curve], to: tuple[Scale, Scale], values: Callable[[Point], _Point]
) -> Iterator[Mark]:
    """A contender's points in order of concurrency, with thin rules over the rounds."""
    x, y = to
    for curve, tone in zip(curves, tones(curves), strict=True):
        measured = [values(point) for point in curve.known]
        at = [(x.at(across.median), y.at(up.median)) for across, up in measured]
        for (across, up), (dot_x, dot_y) in zip(measured, at, strict=True):
            yield Rule((x.at(across.lowest), dot_y), (x.at(across.highest), dot_y), tone, True)
            yield Rule((dot_x, y.at(up.lowest)), (dot_x, y.at(up.highest)), tone, True)
        yield charts.Curve(tuple(at), tone)
        for point, (dot_x, dot_y) in zip(curve.known, at, strict=True):
            yield Dot(dot_x, dot_y, tone, _title(curve, point))


def _title(curve: Curve, point: Point) -> str:
    rate, late = point.throughput, point.p95_ms
    return (
        f"{curve.contender.name}, concurrency {point.concurrency}: {rate.median:,.0f}/s"
        f" ({rate.lowest:,.0f} to {rate.highest:,.0f}), p95 {late.median:.1f} ms"
        f" ({late.lowest:.1f} to {late.highest:.1f}),"
        f" {_batch(point)[1].median:.1f} inferences an execution"
    )


def _concurrencies(curves: Sequence[Curve], x: Scale, y: Scale) -> Iterator[Label]:
    """The concurrency beside each dot, where there is room."""
    at = [[(x.at(p.throughput.median), y.at(p.p95_ms.median)) for p in c.known] for c in curves]
    taken = [(dot_x - 4, dot_y + 6) for dot_x, dot_y in chain(*at)]
    for curve, tone, dots in zip(curves, tones(curves), at, strict=True):
        for point, dot in zip(curve.known, dots, strict=True):
            label = _placed(dot, str(point.concurrency), tone, taken)
            if label:
                yield label


def _placed(
    dot: tuple[float, float], text: str, tone: str, taken: list[tuple[float, float]]
) -> Label | None:
    """The label at the first place that is free; None where all are taken."""
    for dx, dy in _PLACES:
        start, y = dot[0] + dx - (_LABEL[0] if dx < 0 else 0), dot[1] + dy
        if all(abs(start - a) >= _LABEL[0] or abs(y - b) >= _LABEL[1] for a, b in taken):
            taken.append((start, y))
            anchor = "end" if dx < 0 else "start"
            return Label(round(dot[0] + dx, 1), round(y, 1), text, tone, anchor)
    return None
