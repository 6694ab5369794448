"""How the join grows: its bench at several sizes within one bound of memory, and a picture."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterator, Sequence

from proviso.bench.join import GROWING, Bench, Figures, Progress, compare
from proviso.bench.join_data import Size

STEPS = (0.1, 0.3, 1, 3)
_COLOURS = ("#7a869a", "#1f6feb", "#c2410c")
_WIDTH, _HEIGHT, _LEFT, _TOP, _BOTTOM, _GAP = 330, 260, 70, 46, 60, 100
_INK, _FAINT = "#1f2937", "#d5dae1"


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
    """An SVG with two panels of equal axes: time and peak memory over rows."""
    seconds = [[b.of(name).seconds for b in benches] for name in _names(benches)]
    memory = [[b.of(name).peak / 2**30 for b in benches] for name in _names(benches)]
    width = 2 * (_LEFT + _WIDTH) + _GAP // 2
    height = _TOP + _HEIGHT + _BOTTOM
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}"'
        f' viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="12" fill="{_INK}">'
    )
    parts = [
        head,
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
        *_panel(_LEFT, "seconds", benches, seconds),
        *_panel(2 * _LEFT + _WIDTH + _GAP // 4, "peak memory, GiB", benches, memory),
        *_legend(_names(benches), height - 10),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _panel(
    left: int, title: str, benches: Sequence[Bench], lines: Sequence[Sequence[float]]
) -> Iterator[str]:
    rows = [bench.size.rows for bench in benches]
    across = _axis(rows, left, _WIDTH)
    low, high = _decades([value for line in lines for value in line])
    up = _axis([low, high], _TOP + _HEIGHT, -_HEIGHT)
    yield f'<text x="{left}" y="{_TOP - 18}" font-weight="bold">{title}</text>'
    for value in _ticks(low, high):
        yield (
            f'<line x1="{left}" y1="{up(value):.1f}" x2="{left + _WIDTH}" y2="{up(value):.1f}"'
            f' stroke="{_FAINT}"/><text x="{left - 8}" y="{up(value) + 4:.1f}"'
            f' text-anchor="end">{value:g}</text>'
        )
    for value in rows:
        yield (
            f'<text x="{across(value):.1f}" y="{_TOP + _HEIGHT + 18}" text-anchor="middle">'
            f"{_short(value)}</text>"
        )
    for colour, line in zip(_COLOURS, lines, strict=True):
        points = [(across(x), up(y)) for x, y in zip(rows, line, strict=True)]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        yield f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>'
        for x, y in points:
            yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{colour}"/>'


def _axis(values: Sequence[float], start: float, length: float) -> Callable[[float], float]:
    """Where a value lies on a logarithmic axis over the values."""
    low, high = math.log(min(values)), math.log(max(values))
    return lambda value: start + length * (math.log(value) - low) / (high - low)


def _decades(values: Sequence[float]) -> tuple[float, float]:
    """Ends of an axis that holds the values: 1, 2 or 5 times a power of ten."""
    ends = sorted(m * 10.0**e for e in range(-4, 6) for m in (1, 2, 5))
    return max(e for e in ends if e <= min(values)), min(e for e in ends if e > max(values))


def _ticks(low: float, high: float) -> list[float]:
    ends = sorted(m * 10.0**e for e in range(-4, 6) for m in (1, 2, 5))
    return [end for end in ends if low <= end <= high]


def _short(rows: int) -> str:
    return f"{rows / 1e6:g} M" if rows >= 1_000_000 else f"{rows:,}"


def _legend(names: Sequence[str], y: int) -> Iterator[str]:
    x = _LEFT
    for colour, name in zip(_COLOURS, names, strict=True):
        yield f'<circle cx="{x + 5}" cy="{y - 4}" r="4" fill="{colour}"/>'
        yield f'<text x="{x + 15}" y="{y}">{name}</text>'
        x += 30 + 7 * len(name)
    yield f'<text x="{x + 20}" y="{y}">over rows of history; both axes logarithmic</text>'
