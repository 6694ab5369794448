"""Rows of views without runs for a replay: published when a writer knew of them, not before.

A request at t may see a row that became visible by then. Moments of publication are a grid of what
a row waits at the least, so that whatever is visible at t was known at the last moment of the grid.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from proviso.contracts.contract import Contract, FeatureView
from proviso.contracts.publication import publishing_takes, runs_of
from proviso.history.engines import history_engine
from proviso.history.values import EntityRow


def arrived_by(view: FeatureView, t: int) -> int:
    """The moment of publication that a request at `t` needs: the last of the grid."""
    return t - t % max(min(view.source_delay, publishing_takes(view)), 1)


class Arrivals:
    """The rows of one view without runs that become visible in [start, end), each given once."""

    def __init__(
        self, contract: Contract, history: Path, view: FeatureView, start: int, end: int
    ) -> None:
        if runs_of(view):
            raise TypeError(f"{view.name}: found runs, wanted rows that are published one by one")
        self._delay = publishing_takes(view)
        self._rows = history_engine().arriving_rows(contract, history, view, range(start, end))
        self._next = next(self._rows, None)

    def until(self, moment: int) -> Iterator[EntityRow]:
        """What a writer at `moment` knows and has not been given yet; moments rise."""
        while self._next is not None and self._known(self._next) <= moment:
            yield self._next
            self._next = next(self._rows, None)

    def _known(self, found: EntityRow) -> int:
        return max(found.row.created_ts - self._delay, found.row.event_ts)
