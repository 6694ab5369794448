"""The moments that a skew test can judge: between the writers' merge clocks and the watermarks.

Before the greatest merge clock less the margin, keys have dropped rows that the history still has;
after the watermark, rows are missing that a run has yet to write. Outside this window a difference
is expected, so nothing can be concluded from one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from feature_runtime.core.moments import format_moment
from feature_runtime.core.service import Service
from proviso.contracts.contract import Contract, FeatureView
from proviso.contracts.publication import publishing_takes, runs_of
from proviso.history.extent import arrivals_end
from proviso.online.store import OnlineStore, Watermark


@dataclass(frozen=True)
class Window:
    """low <= t <= high, microseconds; `merge_clock`: the greatest of the views' writers."""

    low: int
    high: int
    merge_clock: int

    def __str__(self) -> str:
        return f"[{format_moment(self.low)}, {format_moment(self.high)}]"


class Inconclusive(ValueError):
    """The check can neither pass nor fail; the text says why."""


def window_of(service: Service, store: OnlineStore) -> Window:
    """The moments at which every consumed view can be judged. Raises Inconclusive."""
    marks: dict[str, Watermark] = {}
    for view in service.views:
        mark = store.watermark(view.name, view.schema)
        if mark is None:
            said = f"no watermark of {view.name} under schema {view.schema}"
            raise Inconclusive(f"{said}: it was never written")
        marks[view.name] = mark
    return common(marks, service.limits.clock_margin)


def known_offline(
    window: Window, contract: Contract, history: Path, views: Sequence[FeatureView]
) -> Window:
    """The window as far as the history has every arrival of its views without runs.

    A follower of a stream writes rows that the history has only after its next update. Raises
    Inconclusive when nothing is left.
    """
    high = window.high
    for view in views:
        end = None if runs_of(view) else arrivals_end(contract, history, view)
        if end is None:
            continue
        knows = end + publishing_takes(view) - 1
        if knows < window.low:
            raise Inconclusive(
                f"the history of {view.name} knows what becomes readable up to "
                f"{format_moment(knows)}, the store can be asked from {format_moment(window.low)} "
                "on: bring the history up to date (`proviso features --update`)"
            )
        high = min(high, knows)
    return replace(window, high=high)


def common(marks: dict[str, Watermark], margin: int) -> Window:
    """The window of all views. Raises Inconclusive when it is empty."""
    newest = max(marks, key=lambda view: marks[view].merge_clock)
    behind = min(marks, key=lambda view: marks[view].complete)
    merge_clock = marks[newest].merge_clock
    window = Window(merge_clock - margin, marks[behind].complete, merge_clock)
    if window.low > window.high:
        raise Inconclusive(
            f"the interval {window} is empty: {newest} was written at "
            f"{format_moment(merge_clock)}, {behind} is complete only up to its end"
        )
    return window


def moment_in(window: Window, asked: int | None, clock: int) -> int:
    """`asked`, or with None the latest moment up to the clock. Raises Inconclusive outside."""
    at = min(clock, window.high) if asked is None else asked
    if not window.low <= at <= window.high:
        raise Inconclusive(f"{format_moment(at)} is outside of the interval {window}")
    return at


def lag_warnings(at: int, clock: int, margin: int, asked: int | None) -> Sequence[str]:
    """A warning when a test of `now` had to use an earlier moment."""
    if asked is not None or clock - at <= margin:
        return ()
    return (f"now is {format_moment(clock)}, but the watermark ends at {format_moment(at)}",)
