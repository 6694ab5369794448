"""Charts as values: scales, axes, and marks at positions in drawing units. Pure.

`chart.html.j2` draws a chart in a page, `picture.svg.j2` charts in a file of their own. A tone is
the name of a colour in `tones.css.j2`, which has one for either colour scheme.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

_FINEST = 1.5
"""The least height of a bar: a bin that holds a single value is still visible."""


@dataclass(frozen=True)
class Tick:
    """A labelled position along an axis."""

    at: float
    label: str


@dataclass(frozen=True)
class Axis:
    """From `start` to `end` in drawing units; `name` is the quantity."""

    start: float
    end: float
    ticks: tuple[Tick, ...] = ()
    name: str = ""


@dataclass(frozen=True)
class Scale:
    """Maps values [low, high] onto positions [start, end]; `log` needs low > 0."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def at(self, value: float) -> float:
        """The position of a value; a value outside lies on the border."""
        inside = min(max(value, self.low), self.high)
        low, high = self.low, self.high
        if self.log:
            inside, low, high = math.log10(inside), math.log10(low), math.log10(high)
        share = (inside - low) / (high - low) if high > low else 0.5
        return round(self.start + share * (self.end - self.start), 1)

    def axis(
        self,
        values: Iterable[float] = (),
        form: Callable[[float], str] = "{:g}".format,
        name: str = "",
    ) -> Axis:
        """An axis with ticks at these values."""
        ticks = tuple(Tick(self.at(value), form(value)) for value in values)
        return Axis(self.start, self.end, ticks, name)


@dataclass(frozen=True)
class Bar:
    """A filled box; `title` is shown when the pointer is over it."""

    kind: ClassVar = "bar"
    x: float
    y: float
    width: float
    height: float
    tone: str
    title: str


@dataclass(frozen=True)
class Curve:
    """A line through points."""

    kind: ClassVar = "curve"
    points: tuple[tuple[float, float], ...]
    tone: str
    dashed: bool = False

    @property
    def path(self) -> str:
        return "M" + " ".join(f"{x},{y}" for x, y in self.points)


@dataclass(frozen=True)
class Rule:
    """A straight line; `faint` for the reach of a measurement."""

    kind: ClassVar = "rule"
    start: tuple[float, float]
    end: tuple[float, float]
    tone: str
    faint: bool = False


@dataclass(frozen=True)
class Dot:
    """A point; `title` is shown when the pointer is over it."""

    kind: ClassVar = "dot"
    x: float
    y: float
    tone: str
    title: str


@dataclass(frozen=True)
class Label:
    """Text in the drawing; `anchor` is the end of it that lies at x: start, middle or end."""

    kind: ClassVar = "label"
    x: float
    y: float
    text: str
    tone: str = "ink"
    anchor: str = "start"


Mark = Bar | Curve | Rule | Dot | Label


@dataclass(frozen=True)
class Chart:
    """A drawing of `width` by `height` units; `title` says in words what it shows."""

    title: str
    width: float
    height: float
    x: Axis
    y: Axis
    marks: tuple[Mark, ...]


@dataclass(frozen=True)
class Key:
    """An entry of a legend."""

    tone: str
    name: str


@dataclass(frozen=True)
class Level:
    """A horizontal bar of HTML; `share` is its length, 1 for the longest of the picture."""

    tone: str
    share: float
    label: str
    title: str


@dataclass(frozen=True)
class Levels:
    """Bars below one another that have a name in common."""

    name: str
    levels: tuple[Level, ...]


def bars(
    edges: Sequence[float],
    counts: Sequence[int],
    to: tuple[Scale, Scale],
    tone: Callable[[float], str],
    title: Callable[[float, float, int], str],
) -> tuple[Bar, ...]:
    """The bins of a histogram that hold anything, on scales for value and count.

    `tone` judges the middle of a bin; `title` has its ends and count.
    """
    x, y = to
    drawn = []
    for low, high, count in zip(edges[:-1], edges[1:], counts, strict=True):
        if count:
            left, top = x.at(low), min(y.at(count), round(y.start - _FINEST, 1))
            width = round(max(x.at(high) - left - 1, 1), 1)
            height = round(y.start - top, 1)
            drawn.append(
                Bar(left, top, width, height, tone((low + high) / 2), title(low, high, count))
            )
    return tuple(drawn)


def even_values(high: float, steps: int = 5) -> list[float]:
    """From 0 to at least `high`, in at most `steps` steps of 1, 2 or 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(high / steps))
    step = next(m * power for m in (1, 2, 5, 10) if m * power * steps >= high * (1 - 1e-9))
    return [step * n for n in range(math.ceil(high / step - 1e-9) + 1)]


def log_values(low: float, high: float, most: int = 7) -> list[float]:
    """1, 2, 5 times powers of ten within [low, high]; powers alone where those are too many."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    inside = [v for e in decades for m in (1, 2, 5) if low <= (v := float(f"{m}e{e}")) <= high]
    if not inside:
        return [float(f"{math.sqrt(low * high):.2g}")]
    return inside if len(inside) <= most else [v for v in inside if f"{v:e}".startswith("1.0")]


def levels(
    names: Sequence[str],
    series: Mapping[Key, Sequence[float | None]],
    form: Callable[[float], str],
) -> tuple[Levels, ...]:
    """For each name a bar of every series that has a value there; all bars start at zero."""
    known = [value for values in series.values() for value in values if value is not None]
    longest = max(known, default=0) or 1
    return tuple(
        Levels(
            name,
            tuple(
                Level(key.tone, value / longest, form(value), f"{name}, {key.name}: {form(value)}")
                for key, values in series.items()
                if (value := values[i]) is not None
            ),
        )
        for i, name in enumerate(names)
    )
