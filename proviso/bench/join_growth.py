"""The join's bench at several sizes within one memory bound: table, exponents, picture."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence

from proviso.bench.join import GROWING, Bench, Figures, Progress, compare
from proviso.bench.join_data import Size
from proviso.pages.charts import Chart, Curve, Dot, Key, Mark, Scale, log_values
from proviso.pages.shell import picture

STEPS = (0.1, 0.3, 1, 3)
_TONES = ("baseline", "model", "positive")
_WIDTH, _HEIGHT = 420.0, 316.0
_LEFT, _RIGHT, _TOP, _BASE = 56.0, 396.0, 24.0, 268.0


def grow(full: Size, rounds: int, memory: str, progress: Progress) -> list[Bench]:
    """The bench at shares of the full size and beyond it, everything in proportion."""
    return [compare(_scaled(full, step), rounds, memory, progress, GROWING) for step in STEPS]


def _scaled(size: Size, step: float) -> Size:
    return Size(*(max(1, round(n * step)) for n in (size.labels, size.rows, size.entities)))


def growth_table(benches: Sequence[Bench]) -> str:
    """Markdown: a line for each size and contestant, then the exponents."""
    header = ["rows", "contestant", "s", "CPU s", "peak GiB", "spilled GiB", "wrong rows"]
    rows = [header, ["---:", "---", *["---:"] * (len(header) - 2)]]
    for bench in benches:
        for f in bench.figures:
            sizes = [f"{size / 2**30:.2f}" for size in (f.peak, f.spilled)]
            seconds = [f"{statistics.median(values):.2f}" for values in (f.cold, f.cpu)]
            rows.append([f"{bench.size.rows:,}", f.name, *seconds, *sizes, f"{f.wrong:,}"])
    lines = [f"| {' | '.join(row)} |" for row in rows]
    for what, value in (("Time", _seconds), ("CPU time", _cpu)):
        exponents = [f"{name}: {_exponent(benches, name, value):.2f}" for name in _names(benches)]
        lines += ["", f"{what} grows with rows to the power of: {', '.join(exponents)}."]
    lines += [f"Labels a tenth of the rows; engine's memory {benches[0].memory}."]
    return "\n".join([*lines, f"{benches[-1].machine}."])


def _seconds(figures: Figures) -> float:
    return figures.seconds


def _cpu(figures: Figures) -> float:
    return statistics.median(figures.cpu)


def _names(benches: Sequence[Bench]) -> list[str]:
    return [figures.name for figures in benches[0].figures]


def _exponent(benches: Sequence[Bench], name: str, value: Callable[[Figures], float]) -> float:
    """The slope of the line through the logarithms."""
    points = [(math.log(b.size.rows), math.log(value(b.of(name)))) for b in benches]
    x, y = (sum(values) / len(points) for values in zip(*points, strict=True))
    rise = sum((px - x) * (py - y) for px, py in points)
    return float(rise / sum((px - x) ** 2 for px, _ in points))


# --- the picture -----------------------------------------------------------------------------


def growth_picture(benches: Sequence[Bench]) -> str:
    """An SVG file with two charts over rows of history, all axes logarithmic."""
    legend = [Key(tone, name) for tone, name in zip(_TONES, _names(benches), strict=False)]
    panels = [
        _panel("seconds", benches, _seconds),
        _panel("peak memory, GiB", benches, lambda figures: figures.peak / 2**30),
    ]
    return picture("Time and peak memory over rows of history", panels, legend)


def _panel(title: str, benches: Sequence[Bench], value: Callable[[Figures], float]) -> Chart:
    rows = [bench.size.rows for bench in benches]
    lines = {name: [value(bench.of(name)) for bench in benches] for name in _names(benches)}
    low, high = _bounds([one for line in lines.values() for one in line])
    x = Scale(min(rows), max(rows), _LEFT, _RIGHT, log=True)
    y = Scale(low, high, _BASE, _TOP, log=True)
    marks: list[Mark] = []
    for tone, (name, line) in zip(_TONES, lines.items(), strict=False):
        points = tuple((x.at(n), y.at(one)) for n, one in zip(rows, line, strict=True))
        marks.append(Curve(points, tone))
        marks += [
            Dot(*at, tone, f"{name}, {_short(n)} rows: {one:.3g}")
            for at, n, one in zip(points, rows, line, strict=True)
        ]
    across = x.axis(rows, _short, "rows of history")
    return Chart(title, _WIDTH, _HEIGHT, across, y.axis(log_values(low, high, 12)), tuple(marks))


def _bounds(values: Sequence[float]) -> tuple[float, float]:
    """Ends of an axis that holds the values: 1, 2 or 5 times a power of ten."""
    ends = log_values(min(values) / 10, max(values) * 10, 100)
    return max(e for e in ends if e <= min(values)), min(e for e in ends if e > max(values))


def _short(rows: float) -> str:
    return f"{rows / 1e6:g} M" if rows >= 1_000_000 else f"{rows:,.0f}"
