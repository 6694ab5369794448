"""Holds back the transactions of a busy entity, so that they land once a slice of time.

Its rows then come in one batch, of which the last row of the slice is published. All other
entities go on as they are (docs/adr/0094).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from feature_runtime.core.keys import EntityId
from proviso.contracts.contract import Contract, FeatureView
from proviso.history.values import Ids
from proviso.online.slices import slice_of


class Pacing:
    """When the transactions of busy entities may land, by view. Moments in microseconds."""

    def __init__(
        self, contract: Contract, views: Collection[FeatureView], write_deadline: int, margin: int
    ) -> None:
        self._join_keys = {view.name: contract.join_keys(view) for view in views}
        self._delay = {view.name: view.delay_to_readable for view in views}
        self._length = {view.name: slice_of(view, write_deadline, margin) for view in views}
        self._next: dict[str, dict[Ids, int]] = {view.name: {} for view in views}

    def busy(self, view: FeatureView) -> Collection[Ids]:
        """The entities of a view that are busy now."""
        return self._next[view.name].keys()

    def published(self, view: FeatureView, busy: Collection[Ids], now: int) -> set[Ids]:
        """Notes which of the entities just published have busy keys; returns those that are new.

        An entity that is not among them for a slice after it was due is busy no more.
        """
        before, length = self._next[view.name], self._length[view.name]
        waiting = {ids: due for ids, due in before.items() if due + length > now}
        following = now + self._left_of_slice(view.name, now)
        self._next[view.name] = waiting | dict.fromkeys(busy, following)
        return set(busy) - before.keys()

    def held_until(self, keys: Mapping[str, EntityId]) -> int:
        """From when a transaction may land; 0: at once. keys: its ids by join key."""
        due = 0
        for view, following in self._next.items():
            if following:
                ids = tuple(keys[key] for key in self._join_keys[view])
                due = max(due, following.get(ids, 0))
        return due

    def readable_from(self, arrival: int) -> int:
        """The moment before which no row of an arrival becomes readable."""
        return arrival + min(self._delay.values())

    def _left_of_slice(self, view: str, now: int) -> int:
        """What arrives now becomes readable `delay` later: slices are of those moments."""
        length = self._length[view]
        return length - (now + self._delay[view]) % length
