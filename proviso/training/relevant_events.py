"""The events of an entity that a row of history can depend on, found without scanning the others.

The reference (history/oracle.py) looks at every event that it is given. A row depends on those in
the windows of the view's aggregates, on one that shows that the entity was known, and, in a view
published on event, on the first arrival of a later one. An entity such as an airport has most of a
source's events, so what they are to the aggregates is found once, and each sampled row gets these
few; the reference's verdict is the same (tests/unit/training/test_relevant_events.py).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from itertools import accumulate

from feature_runtime.core.availability import Row
from proviso.contracts.contract import Scheduled
from proviso.history.oracle import Reference, Seen
from proviso.history.values import Event


class EntityEvents:
    """One entity's events, ordered once by each moment that rows ask for."""

    def __init__(self, reference: Reference, events: Sequence[Event]) -> None:
        self._view, self._seen = reference.view, reference.seen(events)
        self._by_event = _Ordered(events, lambda event: event.event_ts)
        self._by_arrival = _Ordered(events, lambda event: event.arrival_ts)

    def of_row(self, row: Row) -> Seen:
        """What the reference needs to judge a row of the view."""
        return Seen(self._makers(row), self._seen.dated)

    def _makers(self, row: Row) -> list[Event]:
        """The events, each once, that decide whether there is such a row, and from when on."""
        view, end = self._view, row.event_ts
        if isinstance(view.publication, Scheduled):
            return list(self._population(end, end - view.population, end + view.source_delay))
        makers = [*self._by_event.between(end - 1, end), *self._next_arrival(end)]
        start, after = arrival_span(makers, row)
        makers += self._by_arrival.between(start - 1, after - 1)
        return list({id(event): event for event in makers}.values())

    def _population(self, run: int, oldest: int, begins: int) -> Iterator[Event]:
        """The newest event that puts the entity into the population of a run."""
        for event in self._by_event.backwards(oldest, run):
            if event.arrival_ts <= begins:
                yield event
                return

    def _next_arrival(self, moment: int) -> Iterator[Event]:
        """Of the events after a moment the one that arrived first."""
        place = bisect_right(self._by_event.moments, moment)
        if place < len(self._by_event.moments):
            yield self._earliest_arrivals[place]

    @cached_property
    def _earliest_arrivals(self) -> list[Event]:
        """For each place in the order of events the one, there or later, that arrived first."""
        return list(accumulate(reversed(self._by_event.events), _first_arrived))[::-1]


class _Ordered:
    """Events in the order of one of their moments."""

    def __init__(self, events: Sequence[Event], moment: Callable[[Event], int]) -> None:
        self.events = sorted(events, key=moment)
        self.moments = [moment(event) for event in self.events]

    def between(self, after: int, until: int) -> list[Event]:
        """Those with after < moment <= until."""
        return self.events[self._place(after) : self._place(until)]

    def backwards(self, after: int, until: int) -> Iterator[Event]:
        """The same, the newest first, one by one."""
        for i in range(self._place(until) - 1, self._place(after) - 1, -1):
            yield self.events[i]

    def _place(self, moment: int) -> int:
        return bisect_right(self.moments, moment)


def _first_arrived(one: Event, other: Event) -> Event:
    return other if other.arrival_ts <= one.arrival_ts else one


def arrival_span(events: Sequence[Event], row: Row) -> tuple[int, int]:
    """From when to when, [start, end), the row's event was the latest that had arrived."""
    mine = [e.arrival_ts for e in events if e.event_ts == row.event_ts]
    later = [e.arrival_ts for e in events if e.event_ts > row.event_ts]
    start = min(mine, default=row.event_ts)
    return start, max(start, min([*later, row.created_ts + 1]))
