"""The geometry of the page's charts: figures in, positions in a drawing 480 wide out. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from proviso.pages.axes import Tick

WIDTH, LEFT, RIGHT, TOP, BASE = 480.0, 44.0, 470.0, 24.0, 210.0
_BAR = 0.36
_STEPS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.25, 0.5, 1.0)


@dataclass(frozen=True)
class Bar:
    """`label` stands above the bar; `title` is what hovering it says."""

    x: float
    y: float
    width: float
    height: float
    tone: str
    label: str
    title: str

    @property
    def middle(self) -> float:
        return round(self.x + self.width / 2, 1)


@dataclass(frozen=True)
class Series:
    """One bar per group; None where there is no figure."""

    name: str
    tone: str
    values: Sequence[float | None]


@dataclass(frozen=True)
class Groups:
    """Bars side by side, from zero; `names` are the groups' ticks."""

    names: tuple[Tick, ...]
    ticks: tuple[Tick, ...]
    bars: tuple[Bar, ...]


def grouped(groups: Sequence[str], series: Sequence[Series], percent: bool = False) -> Groups:
    """Series of bars by group. percent: shares, with labels in percent."""
    known = [value for one in series for value in one.values if value is not None]
    top = max([*known, 1e-6])
    step = next((s for s in _STEPS if top / s <= 5), 1.0)
    high = step * math.ceil(top / step - 1e-9)
    room = (RIGHT - LEFT) / max(len(groups), 1)
    width = min(2 * _BAR * room / len(series), 60.0)
    bars = []
    for i, group in enumerate(groups):
        start = LEFT + (i + 0.5) * room - width * len(series) / 2
        for j, one in enumerate(series):
            value = one.values[i]
            if value is None:
                continue
            label = _label(value, percent)
            height = round((BASE - TOP) * value / high, 1)
            at, y = round(start + j * width, 1), round(BASE - height, 1)
            title = f"{group}, {one.name}: {label}"
            bars.append(Bar(at, y, round(width - 3, 1), height, one.tone, label, title))
    ticks = [step * n for n in range(round(high / step) + 1)]
    return Groups(
        tuple(Tick(round(LEFT + (i + 0.5) * room, 1), name) for i, name in enumerate(groups)),
        tuple(
            Tick(round(BASE - (BASE - TOP) * t / high, 1), f"{t:.0%}" if percent else f"{t:g}")
            for t in (round(t, 6) for t in ticks)
        ),
        tuple(bars),
    )


def _label(value: float, percent: bool) -> str:
    if not percent:
        return f"{value:.3f}".lstrip("0")
    return f"{value:.0%}" if value == 0 or value >= 0.1 else f"{value:.1%}"
