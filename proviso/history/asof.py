"""A join's questions, answered while the history streams past them; so they alone need memory.

A row can be an answer from the moment on at which it is visible. So it is offered to one question
only, the first of its entity that is asked then or later; each question keeps the greatest row
offered, and in the end the greatest one kept by it or by an earlier question of its entity is its
answer. No row is sorted, and each is seen once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

Ints = np.ndarray[Any, np.dtype[np.int64]]
Table = np.ndarray[Any, np.dtype[np.int64]]
NEVER = -(2**62)
"""The event of a question that has no answer: so long ago that differences still fit."""

_GAP = 2048  # rows that a thread of the engine reads at a time


class Rows(NamedTuple):
    """Rows of a view's history; entities by number, moments in microseconds."""

    entity: Ints
    visible: Ints
    event: Ints
    created: Ints
    row: Ints


class Answers(NamedTuple):
    """The greatest visible row for each question; where there is none, `event` is NEVER."""

    event: Ints
    created: Ints
    row: Ints


class Suspects(NamedTuple):
    """Entities and moments of which several rows may be the same; `all` if it could be any."""

    all: bool
    event: Ints
    entity: Ints


class Questions:
    """Who is asked about when, and the best row offered to each question so far."""

    def __init__(self, entity: Ints, moment: Ints, entities: int) -> None:
        """Questions in order of their entities, which are numbers below `entities`, and moments."""
        self._entity, self._moment = entity, moment
        self._start, self._end = int(moment.min()), int(moment.max()) + 1
        # Lines are compared in turn: event, created, and of equal rows the first in the file.
        self._best: Table = np.full((3, len(moment)), NEVER)
        self._index(entities)

    def _index(self, entities: int) -> None:
        """Cells of an entity and 2**shift microseconds, with about one question in each."""
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

    def offer(self, rows: Rows) -> None:
        """Lets each row be the answer to the first question that may see it, if it is greater."""
        place = self._place(rows.entity, np.clip(rows.visible, self._start, self._end))
        asked = place < self._first[(rows.entity + 1) * self._width]
        values = (rows.event, rows.created, -rows.row)
        self._keep(place[asked], [value[asked] for value in values])

    def _place(self, entity: Ints, moment: Ints) -> Ints:
        """The entity's first question that is not before a moment, or else the next entity's."""
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
        """Keeps the greatest values of each question; what follows a greater one starts anew."""
        for line, best in enumerate(self._best):
            greater = place[values[line] > best[place]]
            for following in self._best[line + 1 :]:
                following[greater] = NEVER
            np.maximum.at(best, place, values[line])
            equal = values[line] == best[place]
            place, values = place[equal], [value[equal] for value in values]

    def answers(self) -> Answers:
        """The answers, in order of the questions, once every row has been offered."""
        best, step = self._best, 1
        while (same := self._entity[step:] == self._entity[:-step]).any():
            earlier, later = best[:, :-step], best[:, step:]
            best[:, step:] = np.where(same & _greater(earlier, later), earlier, later)
            step *= 2
        return Answers(best[0], best[1], -best[2])


class Repeats:
    """Finds rows that may have the (event, entity, created) of another one.

    A history is written in this order, so it comes in few runs that ascend; what two rows have in
    common, two runs have. Threads read in turn, so what ascends with a gap may be two runs.
    """

    def __init__(self) -> None:
        self._first: list[Table] = [np.empty((3, 0), np.int64)]
        self._last: list[Table] = [np.empty((3, 0), np.int64)]

    def see(self, rows: Rows) -> None:
        """Looks at the next rows."""
        columns = np.stack([rows.event, rows.entity, rows.created])
        ascends = _greater(columns[:, 1:], columns[:, :-1])
        starts = np.flatnonzero(~ascends | (np.diff(rows.row) > _GAP)) + 1
        self._first.append(columns[:, np.append(0, starts)])
        self._last.append(columns[:, np.append(starts, len(rows.row)) - 1])

    def suspects(self) -> Suspects:
        """Whose rows of which moments have to be compared."""
        bounds = np.concatenate([*self._first, *self._last], axis=1)
        first, last = np.split(_ranks(bounds), 2)
        order = first.argsort()
        reach = np.maximum.accumulate(last[order])
        meets = first[order][1:] <= reach[:-1]
        by_rank = np.empty((2, len(order) * 2), np.int64)
        by_rank[:, np.concatenate([first, last])] = bounds[:2]
        low, high = by_rank[:, first[order][1:][meets]], by_rank[:, reach[:-1][meets]]
        return Suspects(bool((low != high).any()), event=low[0], entity=low[1])


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
