"""The rows of one entity, and the availability rule applied to them at a moment."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass

from feature_runtime.core.availability import Row, Status, ViewTimes, availability

_NEWEST = 8  # rows that the rule is given first
_MORE = 4  # how many times as many it gets next


@dataclass(frozen=True)
class EntityRows:
    """One entity's rows, ordered by (event_ts, created_ts).

    events, created: their moments. first: where in the table of values the first row is.
    """

    first: int
    events: list[int]
    created: list[int]

    def winner_at(self, times: ViewTimes, t: int) -> tuple[Row | None, Status]:
        """The rule's winner and status at t; the winner's `run_id` is its place in the table.

        The rule gets only the rows that can win. A row before t - lookback is not usable, and a row
        after t is not visible at t, because no source delay is negative. The rows are in the order
        in which the greatest usable one wins, so a winner among the newest rows is the winner of
        all. If none of the newest is usable, as of a busy entity whose last rows are still on their
        way, the rule gets several times as many, up to the whole lookback.
        """
        oldest = bisect_left(self.events, t - times.lookback)
        end = bisect_right(self.events, t, lo=oldest)
        count = _NEWEST
        while True:
            newest = self._first_equal(max(oldest, end - count), oldest)
            winner, status = availability(times, self._rows(newest, end), t)
            if winner is not None or newest == oldest:
                return winner, status
            count *= _MORE

    def _first_equal(self, i: int, oldest: int) -> int:
        """The first of the rows with the times of row i: of equal rows the first wins."""
        while i > oldest and self._order(i - 1) == self._order(i):
            i -= 1
        return i

    def _rows(self, start: int, end: int) -> list[Row]:
        return [Row(self.events[i], self.created[i], (), self.first + i) for i in range(start, end)]

    def _order(self, i: int) -> tuple[int, int]:
        return self.events[i], self.created[i]
