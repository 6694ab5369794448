"""Pairs live predictions with those that a candidate made of their mirrored copies.

A prediction is known by request id, index, entities and event_ts: a request id alone may repeat.
Memory is bounded by a digest, a count and two numbers for each such key.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from hashlib import blake2b
from math import sqrt
from typing import Any

import numpy as np

_BUCKETS = 2**20  # requests that share one make the mirror's chance only greater
_CHANCE = 3.0
"""Standard deviations of the mirror's choice that are allowed for."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """The part of a record that is compared. key, request: digests; at: scored_at, us."""

    key: bytes
    request: bytes
    at: int
    content: str
    decision: str


@dataclass(slots=True)
class _Lines:
    """The lines of one key on one side: the first of them, and whether another one differs."""

    at: int
    request: int
    content: str
    decision: str
    count: int = 1
    ambiguous: bool = False

    def add(self, other: Prediction) -> None:
        self.count += 1
        self.ambiguous = self.ambiguous or other.content != self.content


@dataclass
class Side:
    """All lines of one side, by key."""

    lines: dict[bytes, _Lines] = field(default_factory=dict)
    last: int = -(2**62)

    @classmethod
    def of(cls, predictions: Iterable[Prediction]) -> Side:
        side = cls()
        for one in predictions:
            side.add(one)
        return side

    def add(self, one: Prediction) -> None:
        self.last = max(self.last, one.at)
        known = self.lines.get(one.key)
        if known is None:
            request = int.from_bytes(one.request[:4], "little") % _BUCKETS
            self.lines[one.key] = _Lines(one.at, request, one.content, one.decision)
        else:
            known.add(one)


@dataclass(frozen=True)
class Window:
    """[start, end] in us: every mirrored live prediction in it must be the candidate's, too."""

    start: int
    end: int

    def holds(self, at: int) -> bool:
        return self.start <= at <= self.end


@dataclass(frozen=True)
class Matching:
    """What became of the predictions; counts are of lines.

    window: None without a pair. pairs, differ, first, last: predictions that both sides made,
    those decided differently, and the moments of the first and the last. live: live predictions
    in the window, without `ambiguous` ones, whose key has lines that differ on either side.
    answered: those of `live` that the candidate recorded. candidate, without_partner: the
    candidate's predictions in the window, and those of them that live traffic does not have.
    allowance: by how much the number of mirrored predictions may be smaller by chance.
    """

    window: Window | None
    pairs: int = 0
    differ: int = 0
    first: int = 0
    last: int = 0
    live: int = 0
    answered: int = 0
    ambiguous: int = 0
    candidate: int = 0
    without_partner: int = 0
    allowance: float = 0.0


def match(live: Side, candidate: Side, share: float, settle: int, until: int) -> Matching:
    """Matches both sides. share: of live requests that is mirrored, 0 to 1.

    The window begins with the first pair and ends at `until`, or `settle` before the live
    record's end: lines of later predictions may still have to be written.
    """
    pairs = list(_pairs(live, candidate))
    if not pairs:
        return Matching(None)
    window = Window(min(mine.at for mine, _ in pairs), min(live.last - settle, until))
    both = [(mine, other) for mine, other in pairs if not (mine.ambiguous or other.ambiguous)]
    differ = [(mine, other) for mine, other in both if mine.decision != other.decision]
    moments = [at for mine, other in both for at in (mine.at, other.at)]
    expected = _expected(live, candidate, window)
    inner = Window(window.start + settle, window.end - settle)
    return Matching(
        window=window,
        pairs=_common(both),
        differ=_common(differ),
        first=min(moments, default=0),
        last=max(moments, default=0),
        live=expected.live,
        answered=expected.answered,
        ambiguous=expected.ambiguous,
        candidate=sum(one.count for one in candidate.lines.values() if inner.holds(one.at)),
        without_partner=_without_partner(live, candidate, inner),
        allowance=_CHANCE * sqrt(share * (1 - share) * expected.squares),
    )


def key_of(request_id: str, index: int, event_ts: int, entities: list[Any]) -> bytes:
    """The digest by which a prediction is known on both sides."""
    return _digest([request_id, index, event_ts, entities])


def request_of(request_id: str, event_ts: int) -> bytes:
    """The digest of a request, whose predictions are mirrored together."""
    return _digest([request_id, event_ts])


def _digest(parts: list[Any]) -> bytes:
    return blake2b(json.dumps(parts).encode(), digest_size=16).digest()


def _pairs(live: Side, candidate: Side) -> Iterator[tuple[_Lines, _Lines]]:
    for key, other in candidate.lines.items():
        mine = live.lines.get(key)
        if mine is not None:
            yield mine, other


def _common(pairs: Iterable[tuple[_Lines, _Lines]]) -> int:
    """Predictions that both sides have."""
    return sum(min(mine.count, other.count) for mine, other in pairs)


@dataclass(frozen=True)
class _Expected:
    """Live predictions of a window; squares: the sum of the squares of each request's."""

    live: int
    answered: int
    ambiguous: int
    squares: float


def _expected(live: Side, candidate: Side, window: Window) -> _Expected:
    every = answered = ambiguous = 0
    rows = np.zeros(_BUCKETS, dtype=np.int64)
    for key, mine in live.lines.items():
        if not window.holds(mine.at):
            continue
        other = candidate.lines.get(key)
        if mine.ambiguous or (other is not None and other.ambiguous):
            ambiguous += mine.count
            continue
        every += mine.count
        answered += min(mine.count, other.count) if other is not None else 0
        rows[mine.request] += mine.count
    return _Expected(every, answered, ambiguous, float((rows**2).sum()))


def _without_partner(live: Side, candidate: Side, window: Window) -> int:
    missing = 0
    for key, other in candidate.lines.items():
        if window.holds(other.at):
            mine = live.lines.get(key)
            missing += max(0, other.count - mine.count) if mine is not None else other.count
    return missing
