"""Durations and windows for a reader."""

from __future__ import annotations

from feature_runtime.core.moments import format_duration
from proviso.contracts.base import ALL_TIME


def lasting(microseconds: int) -> str:
    """A duration for a reader: `1 d 6 h`, `15 min`."""
    text = format_duration(microseconds)
    units = {"D": " d ", "H": " h ", "M": " min ", "S": " s "}
    return "".join(units.get(c, c) for c in text if c not in "PT").strip()


def reach(window: int) -> str:
    """What a window covers, for a reader."""
    return "all time" if window == ALL_TIME else f"the {lasting(window)}"
