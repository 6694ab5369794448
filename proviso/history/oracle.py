"""The reference implementation of docs/time.md in plain Python: slow and obvious.

Property tests compare an engine's history and join with it, bit for bit. Only the contract's own
scalar SQL (`where`, `sql`) is evaluated by the engine, one event or row at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from feature_runtime.core.availability import Row, Status, Value, ViewTimes, availability
from proviso.contracts.aggregates import AGGREGATES, Counted, Rank, fixed
from proviso.contracts.contract import Aggregate, Contract, FeatureView, Scheduled
from proviso.contracts.definitions import column_of, late_columns, units_of
from proviso.history.ports import Scalars
from proviso.history.values import EntityRow, Event, Ids

Rule = Callable[[ViewTimes, Iterable[Row], int], tuple[Row | None, Status]]


class LabelRow(NamedTuple):
    """An entity and the moment at which its features are wanted."""

    ids: Ids
    t: int


def naive_history(
    scalars: Scalars,
    contract: Contract,
    view: FeatureView,
    events: Sequence[Event],
    start: int,
    end: int,
) -> list[EntityRow]:
    """The view's history in [start, end), sorted by event_ts and ids."""
    reference = Reference(scalars, contract, view)
    keys = contract.join_keys(view)
    entities: dict[Ids, list[Event]] = {}
    for event in events:
        entities.setdefault(tuple(event.ids[key] for key in keys), []).append(event)
    rows = [
        EntityRow(ids, row)
        for ids, mine in entities.items()
        for row in reference.rows(mine, start, end)
    ]
    return sorted(rows, key=lambda r: (r.row.event_ts, r.ids, r.row.created_ts))


def naive_join(
    times: ViewTimes,
    rows: Sequence[EntityRow],
    labels: Sequence[LabelRow],
    rule: Rule = availability,
) -> list[tuple[Row | None, Status]]:
    """The winner and the view's status for each label row; the rule sees every row."""
    return [rule(times, [r.row for r in rows if r.ids == ids], t) for ids, t in labels]


@dataclass(frozen=True)
class Reference:
    """One view, computed entity by entity."""

    scalars: Scalars
    contract: Contract
    view: FeatureView

    def rows(self, events: Sequence[Event], start: int, end: int) -> list[Row]:
        """All rows of one entity, given its events."""
        publication = self.view.publication
        if isinstance(publication, Scheduled):
            every = publication.schedule
            runs = (h for h in range(start - start % every, end, every) if h >= start)
            rows = (self._run(events, run, publication.duration) for run in runs)
            return [row for row in rows if row is not None]
        arrivals = sorted({event.arrival_ts for event in events})
        return [self._arrival(events, at) for at in arrivals if start <= at < end]

    def _run(self, events: Sequence[Event], run: int, duration: int) -> Row | None:
        """The row of a run, if the entity is in its population."""
        begins = run + self.view.source_delay
        oldest = run - self.view.population
        if not any(oldest < e.event_ts <= run and e.arrival_ts <= begins for e in events):
            return None
        return Row(run, begins + duration, self._features(events, run, begins))

    def _arrival(self, events: Sequence[Event], arrival: int) -> Row:
        """The row that an arrival moment makes."""
        latest = max(event.event_ts for event in events if event.arrival_ts <= arrival)
        created = arrival + self.view.delay_to_readable
        return Row(latest, created, self._features(events, latest, arrival))

    def _features(self, events: Sequence[Event], end: int, now: int) -> tuple[Value, ...]:
        """Feature values of windows that end at `end`, over what is known at `now`."""
        values = [self._aggregate(a, events, end, now) for a in self.view.aggregates]
        return self.scalars.features(self.view, values)

    def _aggregate(self, a: Aggregate, events: Sequence[Event], end: int, now: int) -> Value:
        inside = [event for event in events if self._inside(a, event, end, now)]
        counted = [Counted(value, self._rank(a, event)) for event, value in self._values(a, inside)]
        units = units_of(self.contract, self.view, a)
        return AGGREGATES[a.function].meaning(counted, end, units)

    def _values(self, a: Aggregate, events: Sequence[Event]) -> Iterator[tuple[Event, Any]]:
        """Events that count, each with what the function is of. A null is ignored."""
        function, column = AGGREGATES[a.function], column_of(self.contract, self.view, a)
        for event, holds in zip(events, self._holds(a, events), strict=True):
            value = 1 if a.of is None else event.columns[a.of]
            if function.condition and holds is not None:
                yield event, holds
            elif not function.condition and holds and value is not None:
                rounded = column is not None and a.scale is not None
                yield event, fixed(float(value), a.scale or 0) if rounded else value

    def _holds(self, aggregate: Aggregate, events: Sequence[Event]) -> Sequence[bool | None]:
        """Whether events meet an aggregate's condition."""
        if aggregate.where is None:
            return [True] * len(events)
        return self.scalars.holds(self.view, aggregate, [event.columns for event in events])

    def _moment(self, aggregate: Aggregate, event: Event) -> int | None:
        """The moment at which an event counts; None while a value that is used is not known."""
        if aggregate.dated == "event":
            return event.event_ts
        moments = [event.known[column] for column in self._late[aggregate.name]]
        known = [moment for moment in moments if moment is not None]
        return max(known) if len(known) == len(moments) else None

    def _rank(self, aggregate: Aggregate, event: Event) -> Rank:
        """The order of the events of a window."""
        return self._moment(aggregate, event) or 0, event.event_ts, event.id

    def _inside(self, aggregate: Aggregate, event: Event, end: int, now: int) -> bool:
        """Whether an event lies in the window that ends at `end`, and that is known at `now`."""
        moment = self._moment(aggregate, event)
        if moment is None or not end - aggregate.window < moment <= end:
            return False
        return event.arrival_ts <= now and (aggregate.dated == "event" or moment <= now)

    @cached_property
    def _late(self) -> Mapping[str, Collection[str]]:
        """The late columns that each aggregate uses."""
        view = self.view
        return {a.name: late_columns(self.contract, view, a).keys() for a in view.aggregates}
