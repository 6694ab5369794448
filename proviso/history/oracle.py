"""Plain references, straight from the words of docs/time.md: slow and obvious.

Property tests hold `features` and `join` to them bit for bit. Only the contract's own scalar SQL
(`where`, `sql`) is left to the engine, on one event or row each; what counts when is decided here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

from feature_runtime.core.availability import Row, Status, Value, ViewTimes, availability
from feature_runtime.core.keys import EntityId
from proviso.contracts.contract import Aggregate, Contract, FeatureView, Scheduled
from proviso.history.duckdb.aggregates import aggregate_where, feature_columns
from proviso.history.duckdb.engine import Engine, names

_AT_ONCE = 64

Ids = tuple[EntityId, ...]
Rule = Callable[[ViewTimes, Iterable[Row], int], tuple[Row | None, Status]]


@dataclass(frozen=True)
class Event:
    """One transaction: ids by join key, moments in microseconds, columns (money: minor units).

    label_known is None where there is no label.
    """

    ids: Mapping[str, EntityId]
    event_ts: int
    arrival_ts: int
    label: bool | None
    label_known: int | None
    columns: Mapping[str, int | float | bool]


class HistoryRow(NamedTuple):
    """A row of a view's history, and whose it is."""

    ids: Ids
    row: Row


class Asked(NamedTuple):
    """A moment at which somebody asks about an entity."""

    ids: Ids
    t: int


def naive_history(
    engine: Engine,
    contract: Contract,
    view: FeatureView,
    events: Sequence[Event],
    start: int,
    end: int,
) -> list[HistoryRow]:
    """The view's history in [start, end), sorted by event_ts and ids."""
    reference = Reference(engine, contract, view)
    keys = contract.join_keys(view)
    entities: dict[Ids, list[Event]] = {}
    for event in events:
        entities.setdefault(tuple(event.ids[key] for key in keys), []).append(event)
    rows = [
        HistoryRow(ids, row)
        for ids, mine in entities.items()
        for row in reference.rows(mine, start, end)
    ]
    return sorted(rows, key=lambda r: (r.row.event_ts, r.ids, r.row.created_ts))


def naive_join(
    times: ViewTimes,
    rows: Sequence[HistoryRow],
    asked: Sequence[Asked],
    rule: Rule = availability,
) -> list[tuple[Row | None, Status]]:
    """The winner and the view's status for each question, by asking the rule about every row."""
    return [rule(times, [r.row for r in rows if r.ids == ids], t) for ids, t in asked]


@dataclass(frozen=True)
class Reference:
    """One view, computed entity by entity; the engine's answers are kept, it is slow to ask."""

    engine: Engine
    contract: Contract
    view: FeatureView
    answers: dict[tuple[object, ...], tuple[Value, ...]] = field(default_factory=dict)

    @cached_property
    def selected(self) -> str:
        """The view's features as SQL."""
        return feature_columns(self.view)

    @cached_property
    def conditions(self) -> dict[str, str]:
        """The condition of each aggregate as SQL."""
        return {a.name: aggregate_where(self.contract, a) for a in self.view.aggregates}

    def rows(self, events: Sequence[Event], start: int, end: int) -> list[Row]:
        """All rows of the entity whose events these are."""
        publication = self.view.publication
        if isinstance(publication, Scheduled):
            every = publication.schedule
            runs = (h for h in range(start - start % every, end, every) if h >= start)
            found = (self._run(events, run, publication.duration) for run in runs)
            return [row for row in found if row is not None]
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
        totals = [self._aggregate(a, events, end, now) for a in self.view.aggregates]
        named = zip(totals, self.view.aggregates, strict=True)
        table = ", ".join(f"{total}::hugeint as {names(a.name)}" for total, a in named)
        return self._ask(f"select {self.selected} from (select {table})", ())

    def _aggregate(self, a: Aggregate, events: Sequence[Event], end: int, now: int) -> int:
        inside = [event for event in events if _inside(a, event, end, now)]
        values = (1 if a.of is None else int(e.columns[a.of]) for e in self._meeting(a, inside))
        return sum(v * v if a.function == "sum_of_squares" else v for v in values)

    def _meeting(self, aggregate: Aggregate, events: Sequence[Event]) -> list[Event]:
        """Events that meet an aggregate's condition, which sees labels only if dated so."""
        if aggregate.where is None:
            return list(events)
        where, label = self.conditions[aggregate.name], self.contract.source.label.column
        asked = []
        for event in events:
            known = {label: event.label} if aggregate.dated == "label" else {}
            columns = {**event.columns, **known}
            asked.append((where, *columns.items()))
        self._judge(where, [q for q in dict.fromkeys(asked) if q not in self.answers])
        return [e for e, q in zip(events, asked, strict=True) if self.answers[q][0]]

    def _judge(self, where: str, questions: Sequence[tuple[Any, ...]]) -> None:
        """Keeps whether the condition holds for the columns of each question."""
        for first in range(0, len(questions), _AT_ONCE):
            some = questions[first : first + _AT_ONCE]
            columns = names(*(name for name, _ in some[0][1:]))
            cells = [value for _, *pairs in some for _, value in pairs]
            rows = ", ".join(f"({i:d}{', ?' * (len(q) - 1)})" for i, q in enumerate(some))
            asked = f"(values {rows}) asked(_i, {columns})"
            self.engine.execute(f"select _i, {where} from {asked}", cells)
            for i, found in self.engine.fetchall():
                self.answers[some[i]] = (bool(found),)

    def _ask(self, query: str, values: tuple[int | float | bool, ...]) -> tuple[Value, ...]:
        question = (query, *values)
        if question not in self.answers:
            self.answers[question] = self.engine.row(query, values)
        return self.answers[question]


def _inside(aggregate: Aggregate, event: Event, end: int, now: int) -> bool:
    """Whether an event lies in the window that ends at `end`, and that is known at `now`."""
    moment = event.event_ts if aggregate.dated == "event" else event.label_known
    if moment is None or not end - aggregate.window < moment <= end:
        return False
    return event.arrival_ts <= now and (aggregate.dated == "event" or moment <= now)
