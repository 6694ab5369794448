"""What is best, most frequent or distinct among events that come and go: numpy, n log n.

An event counts for the keys [enters, leaves): runs or states of its entity, numbered so that an
entity's keys are together. The result is a step function: a value from each of some keys on. An
event cannot be taken away from a maximum, so each event is laid over the keys that it counts for
and the greatest remains, as in a sparse table that is filled from its widest blocks down.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Keys = NDArray[np.int64]
Array = NDArray[Any]

_DENSE = 4
"""Keys an event up to which all keys are looked at, instead of those where something changes."""


@dataclass(frozen=True)
class Spans:
    """Events that count for the keys [enters, leaves); both [n], in no order."""

    enters: Keys
    leaves: Keys

    def __len__(self) -> int:
        return len(self.enters)

    def take(self, chosen: Array) -> Spans:
        """The chosen events: a mask or positions."""
        return Spans(self.enters[chosen], self.leaves[chosen])


@dataclass(frozen=True)
class Steps:
    """A step function: the value from each key on, up to the next; all [n], keys ascending.

    known: where there is a value at all.
    """

    keys: Keys
    values: Array
    known: NDArray[np.bool_]

    def at(self, keys: Keys) -> tuple[Array, NDArray[np.bool_]]:
        """The values at some keys, and where there is one."""
        if not len(self.keys):
            return np.zeros(len(keys), self.values.dtype), np.zeros(len(keys), np.bool_)
        place = np.searchsorted(self.keys, keys, side="right") - 1
        return self.values[place], self.known[place] & (place >= 0)


def greatest(spans: Spans, ranks: Array) -> Steps:
    """The greatest rank, a finite number, of the events that count."""
    least = np.iinfo(ranks.dtype).min if ranks.dtype.kind == "i" else -np.inf
    counting = spans.enters < spans.leaves
    spans, ranks = spans.take(counting), ranks[counting]
    if not len(spans):
        return Steps(np.empty(0, np.int64), ranks, np.empty(0, np.bool_))
    keys, places = _placed(spans)
    best = _laid(places, ranks, len(keys), least)
    changed = np.concatenate(([True], best[1:] != best[:-1]))
    return Steps(keys[changed], best[changed], best[changed] != least)


def most_frequent(spans: Spans, groups: Keys, codes: Keys) -> Steps:
    """The code that most of the events that count have; of equally many the least.

    groups: the numbers of the events' pairs of entity and code.
    """
    keys, numbers, counts = _counts(spans, groups)
    of_group = np.empty(int(groups.max(initial=-1)) + 1, np.int64)
    of_group[groups] = codes
    going_on = np.flatnonzero(counts > 0)  # a group's last change leaves nothing
    pieces = Spans(keys[going_on], keys[going_on + 1])
    base = int(codes.max(initial=0)) + 1
    ranks = counts[going_on] * base + (base - 1 - of_group[numbers[going_on]])
    steps = greatest(pieces, ranks)
    return Steps(steps.keys, base - 1 - steps.values % base, steps.known)


def distinct(spans: Spans, groups: Keys) -> Steps:
    """How many groups have an event that counts; an event's entity is its group's."""
    keys, _, counts = _counts(spans, groups)
    before = np.roll(counts, 1)  # of a group's first the last of the group before, which is 0
    changes = (counts > 0).astype(np.int64) - (before > 0)
    order = np.argsort(keys, kind="stable")
    keys, changes = keys[order], changes[order]
    first = np.flatnonzero(np.diff(keys, prepend=-1))
    if not len(first):
        return Steps(keys, changes, np.empty(0, np.bool_))
    values = np.cumsum(np.add.reduceat(changes, first))
    return Steps(keys[first], values, np.ones(len(first), np.bool_))


def numbered_groups(entities: Keys, codes: Keys) -> Keys:
    """A number for each pair of entity and code, from 0 on."""
    pairs = entities * (int(codes.max(initial=0)) + 1) + codes
    _, numbers = np.unique(pairs, return_inverse=True)
    return np.asarray(numbers, dtype=np.int64)


def _placed(spans: Spans) -> tuple[Keys, Spans]:
    """The keys that matter, ascending, and the spans as places in them."""
    low, high = int(spans.enters.min()), int(spans.leaves.max()) + 1
    if high - low <= _DENSE * len(spans):
        return np.arange(low, high), Spans(spans.enters - low, spans.leaves - low)
    keys = np.unique(np.concatenate((spans.enters, spans.leaves)))
    enters, leaves = (np.searchsorted(keys, side) for side in (spans.enters, spans.leaves))
    return keys, Spans(enters, leaves)


def _laid(places: Spans, ranks: Array, size: int, least: float) -> Array:
    """The greatest rank over each place.

    A span of length n is covered by two blocks of the greatest power of two that is at most n.
    From the widest on, a block hands what lies on it to its two halves.
    """
    levels = np.frexp((places.leaves - places.enters).astype(np.float64))[1] - 1
    best = np.full(size, least, ranks.dtype)
    for level in range(int(levels.max()), -1, -1):
        width, mine = 1 << level, levels == level
        np.maximum.at(best, places.enters[mine], ranks[mine])
        np.maximum.at(best, places.leaves[mine] - width, ranks[mine])
        if level:
            half = width // 2
            halves = best.copy()
            np.maximum(halves[half:], best[: size - half], out=halves[half:])
            best = halves
    return best


def _counts(spans: Spans, groups: Keys) -> tuple[Keys, Keys, Keys]:
    """Where the number of a group's counting events changes: keys, groups, the number from there
    on; by group, then by key. Every event leaves, so that a group's last number is 0."""
    counting = spans.enters < spans.leaves
    spans, groups = spans.take(counting), groups[counting]
    if not len(spans):
        return (np.empty(0, np.int64),) * 3
    keys = np.concatenate((spans.enters, spans.leaves))
    numbers = np.concatenate((groups, groups))
    order = np.lexsort((keys, numbers))
    keys, numbers = keys[order], numbers[order]
    changes = np.where(order < len(spans), 1, -1)
    first = np.flatnonzero((np.diff(keys, prepend=-1) != 0) | (np.diff(numbers, prepend=-1) != 0))
    counts = np.cumsum(np.add.reduceat(changes, first))
    return keys[first], numbers[first], counts
