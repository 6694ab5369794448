"""A join's questions, answered while the history streams past them; so they alone need memory.

A row can be an answer from the moment on at which it is visible. So it is offered to one question
only, the first of its entity that is asked then or later; each question keeps the greatest row
offered, and in the end the greatest one kept by it or by an earlier question of its entity is its
answer. No row is sorted, and each is seen once.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

Ints = np.ndarray[Any, np.dtype[np.int64]]
NEVER = int(np.iinfo(np.int64).min)
"""The event of a question that has no answer."""

_NO_ROW = int(np.iinfo(np.int64).max)
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
        """Questions in order of their moments; entities are numbers below `entities`."""
        count = len(moment)
        self._moment = moment
        self._number = np.argsort(entity, kind="stable")  # place by (entity, moment) -> number
        self._entity = entity[self._number]
        self._end = np.searchsorted(self._entity, np.arange(entities), side="right")
        self._index()
        self._event = np.full(count, NEVER)
        self._created = np.full(count, NEVER)
        self._row = np.full(count, _NO_ROW)

    def _index(self) -> None:
        """Cells of an entity and 2**shift consecutive questions: about one place in each."""
        count, entities = len(self._moment), len(self._end)
        self._shift = entities.bit_length() - 1
        self._width = (count >> self._shift) + 1
        starts = np.arange(self._width) << self._shift
        cells = np.arange(entities)[:, None] * (count + 1) + starts
        places = self._entity * (count + 1) + self._number
        self._cells = np.append(np.searchsorted(places, cells.ravel()), count)
        self._rounds = int(np.diff(self._cells).max()).bit_length()

    def offer(self, rows: Rows) -> None:
        """Lets each row be the answer to the first question that may see it, if it is greater."""
        number = np.searchsorted(self._moment, rows.visible)
        place = self._first_place(rows.entity, number)
        asked = place < self._end[rows.entity]
        self._keep(place[asked], rows.event[asked], rows.created[asked], rows.row[asked])

    def _first_place(self, entity: Ints, number: Ints) -> Ints:
        """The first place of an entity, or else the one after its last, not before a question."""
        cell = entity * self._width + (number >> self._shift)
        low, high = self._cells[cell], self._cells[cell + 1]
        for _ in range(self._rounds):
            several = np.flatnonzero(low < high)
            middle = (low[several] + high[several]) >> 1
            before = self._number[middle] < number[several]
            low[several[before]] = middle[before] + 1
            high[several[~before]] = middle[~before]
        return low

    def _keep(self, place: Ints, event: Ints, created: Ints, row: Ints) -> None:
        """Keeps the greatest (event, created) of each place; of equal ones the first row."""
        newer = event > self._event[place]
        self._created[place[newer]] = NEVER
        self._row[place[newer]] = _NO_ROW
        np.maximum.at(self._event, place, event)
        same = event == self._event[place]
        place, created, row = place[same], created[same], row[same]
        self._row[place[created > self._created[place]]] = _NO_ROW
        np.maximum.at(self._created, place, created)
        same = created == self._created[place]
        np.minimum.at(self._row, place[same], row[same])

    def answers(self) -> Answers:
        """The answers to all questions, by number, once every row has been offered."""
        event, created, row = self._event, self._created, self._row
        ascending = np.lexsort((-row, created, event))
        rank = np.empty_like(ascending)
        rank[ascending] = np.arange(len(rank))
        entity = self._entity * len(rank)
        best = ascending[np.maximum.accumulate(entity + rank) - entity]
        by_number = np.empty_like(best)
        by_number[self._number] = best
        return Answers(event[by_number], created[by_number], row[by_number])


class Repeats:
    """Finds rows that may have the (event, entity, created) of another one.

    A history is written in this order, so it comes in few runs that ascend; what two rows have in
    common, two runs have. Threads read in turn, so what ascends with a gap may be two runs.
    """

    def __init__(self) -> None:
        self._first: list[Ints] = [np.empty((3, 0), np.int64)]
        self._last: list[Ints] = [np.empty((3, 0), np.int64)]

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


def _greater(columns: Ints, others: Ints) -> Any:
    """Column by column of two tables, whether the former is greater, compared from the top."""
    greater = columns[-1] > others[-1]
    for one, other in zip(columns[-2::-1], others[-2::-1], strict=True):
        greater = (one > other) | ((one == other) & greater)
    return greater


def _ranks(table: Ints) -> Ints:
    """The rank of each column among all, compared from the top; equal ones have equal ranks."""
    ascending = np.lexsort(table[::-1])
    ordered = table[:, ascending]
    rank = np.empty(table.shape[1], np.int64)
    rank[ascending] = np.cumsum(np.append(0, _greater(ordered[:, 1:], ordered[:, :-1])))
    return rank
