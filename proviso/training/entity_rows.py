"""The rows of one entity, and the availability rule applied to them at a moment."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass

from feature_runtime.core.availability import Row, Status, ViewTimes, availability

_NEWEST = 8  # rows that the rule is given first


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
        all. If none of the newest is usable, the rule gets the whole lookback.
        """
        oldest = bisect_left(self.events, t - times.lookback)
        end = bisect_right(self.events, t, lo=oldest)
        newest = max(oldest, end - _NEWEST)
        while newest > oldest and self._order(newest - 1) == self._order(newest):
            newest -= 1  # of equal rows the first wins
        winner, status = availability(times, self._rows(newest, end), t)
        if winner is None and newest > oldest:
            return availability(times, self._rows(oldest, end), t)
        return winner, status

    def _rows(self, start: int, end: int) -> list[Row]:
        return [Row(self.events[i], self.created[i], (), self.first + i) for i in range(start, end)]

    def _order(self, i: int) -> tuple[int, int]:
        return self.events[i], self.created[i]
