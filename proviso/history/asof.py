"""The as-of join's state: label rows in memory, while the rows of history stream past them once.

As-of join: assign each row of history to the first label row of its entity that can see it, keep
the greatest row of each label row, then take the running maximum over the label rows of an entity
in order of their moments. No row of history is sorted. Memory grows with the label rows only.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

Ints = np.ndarray[Any, np.dtype[np.int64]]
Table = np.ndarray[Any, np.dtype[np.int64]]
NEVER = -(2**62)
"""The event of a label row without a winner: so long ago that differences still fit."""

_GAP = 2048  # rows that a thread of the engine reads at a time


class FeatureRows(NamedTuple):
    """Rows of a view's history; entities by number, moments in microseconds."""

    entity: Ints
    visible: Ints
    event: Ints
    created: Ints
    row: Ints


class Winners(NamedTuple):
    """The greatest visible row for each label row; where there is none, `event` is NEVER."""

    event: Ints
    created: Ints
    row: Ints


class SuspectedDuplicates(NamedTuple):
    """Entities and moments that may have several rows with the same times; `all`: any may."""

    all: bool
    event: Ints
    entity: Ints


class AsOfState:
    """Label rows (an entity and a moment each), and the greatest row assigned to each so far."""

    def __init__(self, entity: Ints, moment: Ints, entities: int) -> None:
        """Label rows sorted by entity (a number below `entities`), then by moment."""
        self._entity, self._moment = entity, moment
        self._start, self._end = int(moment.min()), int(moment.max()) + 1
        # Compared in this order: event, created, and of equal rows the first in the file.
        self._best: Table = np.full((3, len(moment)), NEVER)
        self._index(entities)

    def _index(self, entities: int) -> None:
        """Cells of an entity and 2**shift microseconds, with about one label row in each."""
        span, each = self._end - self._start, max(1, len(self._moment) // entities)
        self._shift = (span // each).bit_length()
        self._width = (span >> self._shift) + 1
        sizes = np.bincount(
            self._cell(self._entity, self._moment), minlength=entities * self._width
        )
        self._first = np.append(0, np.cumsum(sizes))
        self._rounds = int(sizes.max()).bit_length()

    def _cell(self, entity: Ints, moment: Ints) -> Ints:
        return entity * self._width + ((moment - self._start) >> self._shift)

    def assign(self, rows: FeatureRows) -> None:
        """Assigns each row to the first label row that can see it, which keeps the greatest."""
        place = self._place(rows.entity, np.clip(rows.visible, self._start, self._end))
        seen = place < self._first[(rows.entity + 1) * self._width]
        values = (rows.event, rows.created, -rows.row)
        self._keep(place[seen], [value[seen] for value in values])

    def _place(self, entity: Ints, moment: Ints) -> Ints:
        """The entity's first label row at or after a moment, or else the next entity's first."""
        cell = self._cell(entity, moment)
        low, high = self._first[cell], self._first[cell + 1]
        for _ in range(self._rounds):
            several = np.flatnonzero(low < high)
            middle = (low[several] + high[several]) >> 1
            before = self._moment[middle] < moment[several]
            low[several[before]] = middle[before] + 1
            high[several[~before]] = middle[~before]
        return low

    def _keep(self, place: Ints, values: Sequence[Ints]) -> None:
        """Keeps the greatest values of each label row; what follows a greater one starts anew."""
        for line, best in enumerate(self._best):
            greater = place[values[line] > best[place]]
            for following in self._best[line + 1 :]:
                following[greater] = NEVER
            np.maximum.at(best, place, values[line])
            equal = values[line] == best[place]
            place, values = place[equal], [value[equal] for value in values]

    def winners(self) -> Winners:
        """The running maximum by entity, in order of the label rows, once all is assigned."""
        best, step = self._best, 1
        while (same := self._entity[step:] == self._entity[:-step]).any():
            earlier, later = best[:, :-step], best[:, step:]
            best[:, step:] = np.where(same & _greater(earlier, later), earlier, later)
            step *= 2
        return Winners(best[0], best[1], -best[2])


class DuplicateFinder:
    """Finds rows that may have the (event, entity, created) of another one.

    A history is written in this order, so it streams past as few ascending runs. Two rows with the
    same times lie in two runs that overlap. Threads read in turn, so that a gap in an ascending
    run may be the border between two.
    """

    def __init__(self) -> None:
        self._first: list[Table] = [np.empty((3, 0), np.int64)]
        self._last: list[Table] = [np.empty((3, 0), np.int64)]

    def see(self, rows: FeatureRows) -> None:
        """Takes the next rows of the stream."""
        columns = np.stack([rows.event, rows.entity, rows.created])
        ascends = _greater(columns[:, 1:], columns[:, :-1])
        starts = np.flatnonzero(~ascends | (np.diff(rows.row) > _GAP)) + 1
        self._first.append(columns[:, np.append(0, starts)])
        self._last.append(columns[:, np.append(starts, len(rows.row)) - 1])

    def suspected(self) -> SuspectedDuplicates:
        """The entities and moments whose rows have to be compared."""
        bounds = np.concatenate([*self._first, *self._last], axis=1)
        first, last = np.split(_ranks(bounds), 2)
        order = first.argsort()
        reach = np.maximum.accumulate(last[order])
        meets = first[order][1:] <= reach[:-1]
        by_rank = np.empty((2, len(order) * 2), np.int64)
        by_rank[:, np.concatenate([first, last])] = bounds[:2]
        low, high = by_rank[:, first[order][1:][meets]], by_rank[:, reach[:-1][meets]]
        return SuspectedDuplicates(bool((low != high).any()), event=low[0], entity=low[1])


def _greater(columns: Table, others: Table) -> Any:
    """Column by column of two tables, whether the former is greater, compared from the top."""
    greater = columns[-1] > others[-1]
    for one, other in zip(columns[-2::-1], others[-2::-1], strict=True):
        greater = (one > other) | ((one == other) & greater)
    return greater


def _ranks(table: Table) -> Ints:
    """The rank of each column among all, compared from the top; equal ones have equal ranks."""
    ascending = np.lexsort(table[::-1])
    ordered = table[:, ascending]
    rank = np.empty(table.shape[1], np.int64)
    rank[ascending] = np.cumsum(np.append(0, _greater(ordered[:, 1:], ordered[:, :-1])))
    return rank
