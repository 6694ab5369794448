"""The reference implementation of docs/time.md in plain Python: slow and obvious.

Property tests compare an engine's history and join with it, bit for bit. Only the contract's own
scalar SQL (`where`, `sql`) is evaluated by the engine, one event or row at a time.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import compress
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
class Dated:
    """The events that count for an aggregate, in the order of the moments that they are dated by.

    known: from when on each is known. All lists [n].
    """

    moments: list[int] = field(default_factory=list)
    known: list[int] = field(default_factory=list)
    values: list[Any] = field(default_factory=list)
    ranks: list[Rank] = field(default_factory=list)

    def inside(self, after: int, until: int, now: int) -> Counted:
        """Those with after < moment <= until that are known at `now`."""
        first, end = (bisect_right(self.moments, moment) for moment in (after, until))
        known = [moment <= now for moment in self.known[first:end]]
        values, ranks = (list(compress(c[first:end], known)) for c in (self.values, self.ranks))
        return Counted(values, ranks)


@dataclass(frozen=True)
class Seen:
    """Events of one entity, and by the name of each aggregate those that count for it."""

    events: Sequence[Event]
    dated: Mapping[str, Dated]


@dataclass(frozen=True)
class Reference:
    """One view, computed entity by entity."""

    scalars: Scalars
    contract: Contract
    view: FeatureView

    def rows(self, events: Sequence[Event], start: int, end: int) -> list[Row]:
        """All rows of one entity, given its events."""
        return self.rows_of(self.seen(events), start, end)

    def rows_of(self, seen: Seen, start: int, end: int) -> list[Row]:
        """All rows of one entity, of runs or arrivals in [start, end)."""
        publication = self.view.publication
        if isinstance(publication, Scheduled):
            every = publication.schedule
            runs = (h for h in range(start - start % every, end, every) if h >= start)
            rows = (self._run(seen, run, publication.duration) for run in runs)
            return [row for row in rows if row is not None]
        arrivals = sorted({event.arrival_ts for event in seen.events})
        return [self._arrival(seen, at) for at in arrivals if start <= at < end]

    def seen(self, events: Sequence[Event]) -> Seen:
        """What each event is to each aggregate, whatever the window and the moment."""
        placed = {late: _placed(late, events) for late in set(self._late.values())}
        kinds: dict[tuple[object, ...], Dated] = {}
        dated = {}
        for a in self.view.aggregates:
            late = self._late[a.name]
            kind = (late, a.of, a.where, a.scale, AGGREGATES[a.function].condition)
            if kind not in kinds:  # to aggregates of other windows and functions the same
                kinds[kind] = self._dated(a, placed[late])
            dated[a.name] = kinds[kind]
        return Seen(events, dated)

    def _run(self, seen: Seen, run: int, duration: int) -> Row | None:
        """The row of a run, if the entity is in its population."""
        begins = run + self.view.source_delay
        oldest = run - self.view.population
        if not any(oldest < e.event_ts <= run and e.arrival_ts <= begins for e in seen.events):
            return None
        return Row(run, begins + duration, self._features(seen, run, begins))

    def _arrival(self, seen: Seen, arrival: int) -> Row:
        """The row that an arrival moment makes."""
        latest = max(event.event_ts for event in seen.events if event.arrival_ts <= arrival)
        created = arrival + self.view.delay_to_readable
        return Row(latest, created, self._features(seen, latest, arrival))

    def _features(self, seen: Seen, end: int, now: int) -> tuple[Value, ...]:
        """Feature values of windows that end at `end`, over what is known at `now`."""
        values = [self._aggregate(a, seen.dated[a.name], end, now) for a in self.view.aggregates]
        return self.scalars.features(self.view, values)

    def _aggregate(self, a: Aggregate, dated: Dated, end: int, now: int) -> Value:
        inside = dated.inside(end - a.window, end, now)
        return AGGREGATES[a.function].meaning(inside, end, units_of(self.contract, self.view, a))

    def _dated(self, a: Aggregate, placed: Sequence[_Placed]) -> Dated:
        """The events that count for an aggregate. A null is ignored."""
        dated, rows = Dated(), [one.event.columns for one in placed]
        for one, value in zip(placed, self._values(a, rows), strict=True):
            if value is not None:
                dated.moments.append(one.rank[0])
                dated.known.append(one.known)
                dated.values.append(value)
                dated.ranks.append(one.rank)
        return dated

    def _values(self, a: Aggregate, rows: Sequence[Mapping[str, Any]]) -> Sequence[Any]:
        """What events of some columns are to an aggregate; None: they do not count."""
        holds = self._holds(a, rows)
        if AGGREGATES[a.function].condition:
            return holds
        column = column_of(self.contract, self.view, a)
        values = [1] * len(rows) if a.of is None else [row[a.of] for row in rows]
        if column is not None and a.scale is not None:
            values = [None if one is None else fixed(float(one), a.scale) for one in values]
        return [value if one else None for value, one in zip(values, holds, strict=True)]

    def _holds(self, a: Aggregate, rows: Sequence[Mapping[str, Any]]) -> Sequence[bool | None]:
        """Whether the columns of events meet an aggregate's condition."""
        return [True] * len(rows) if a.where is None else self.scalars.holds(self.view, a, rows)

    @cached_property
    def _late(self) -> Mapping[str, tuple[str, ...]]:
        """The late columns that each aggregate uses; of one dated by its event none."""
        view = self.view
        return {
            a.name: tuple(sorted(late_columns(self.contract, view, a)))
            if a.dated != "event"
            else ()
            for a in view.aggregates
        }


class _Placed(NamedTuple):
    """An event, since when it is known, and its place in the order of the windows' events."""

    event: Event
    known: int
    rank: Rank


def _placed(late: Sequence[str], events: Sequence[Event]) -> list[_Placed]:
    """Events by the moments at which they count: when all their late columns are known, or when
    they happened. Those of which a value is not known do not count."""
    placed = []
    for event in events:
        moments = [event.known[column] for column in late] or [event.event_ts]
        known = [moment for moment in moments if moment is not None]
        if len(known) == len(moments):
            moment = max(known)
            since = max(moment, event.arrival_ts) if late else event.arrival_ts
            placed.append(_Placed(event, since, (moment, event.event_ts, event.id)))
    return sorted(placed, key=lambda one: one.rank[0])
