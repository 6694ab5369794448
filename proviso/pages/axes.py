"""Axes of drawings: values to positions, and positions with a label. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Tick:
    """A labelled position along an axis."""

    at: float
    label: str


@dataclass(frozen=True)
class Scale:
    """Maps values [low, high] onto positions [start, end]; `log` needs low > 0."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def at(self, value: float) -> float:
        """The position of a value; what lies outside sits on the border."""
        inside = min(max(value, self.low), self.high)
        low, high = self.low, self.high
        if self.log:
            inside, low, high = math.log10(inside), math.log10(low), math.log10(high)
        share = (inside - low) / (high - low) if high > low else 0.5
        return round(self.start + share * (self.end - self.start), 1)
