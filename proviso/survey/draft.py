"""What a first contract says about surveyed data: sources, entities, views, a service.

Pure decisions, made so that the files validate and the first commands run on one machine. What was
guessed is a question in the files (`templates/`), never a fact that the user has not stated.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from feature_runtime.core.moments import DAY
from proviso.contracts.base import InputError
from proviso.survey.facts import ColumnFacts, TableFacts
from proviso.survey.names import contract_names
from proviso.survey.roles import LeftOut, Roles, is_money, unusable_moments

MOST_ENTITIES = 3
MOST_COLUMNS = 6
"""Numeric columns that get aggregates: enough to start with, few enough to read."""
_WINDOWS = (1, 7, 30)
_MINUTE = 60 * 1_000_000
_HOUR = 60 * _MINUTE
_MOST_ROWS = 5_000_000
"""Rows of history of an entity above which a view is computed once a day."""

_BARE = re.compile(r"_(id|key|code)$")

Dtype = Literal["int64", "float64", "money", "bool"]


@dataclass(frozen=True)
class DraftColumn:
    """A column of the source. known_at: the file's column with the moment of its value."""

    name: str
    physical: str
    dtype: Dtype
    scale: int = 0
    known_at: str | None = None


@dataclass(frozen=True)
class DraftEntity:
    """What features are keyed by."""

    name: str
    join_key: str
    physical: str
    dtype: Literal["string", "int64"]
    distinct: int
    reason: str


@dataclass(frozen=True)
class DraftAggregate:
    """An aggregate of a view."""

    name: str
    function: Literal["count", "sum"]
    window: int
    of: str | None = None
    where: str | None = None
    dated: Literal["event", "known"] = "event"


@dataclass(frozen=True)
class DraftFeature:
    """A feature of a view; without `sql` it is the aggregate of its name."""

    name: str
    dtype: Literal["int64", "float64"]
    description: str
    sql: str | None = None
    tolerance: float = 0


@dataclass(frozen=True)
class Clocks:
    """When a view's rows are computed and how long they serve, in microseconds."""

    schedule: int
    duration: int
    source_delay: int
    slo: int
    ttl: int
    lookback: int
    population: int


@dataclass(frozen=True)
class DraftView:
    """A view of one entity."""

    name: str
    entity: DraftEntity
    clocks: Clocks
    aggregates: tuple[DraftAggregate, ...]
    features: tuple[DraftFeature, ...]


@dataclass(frozen=True)
class Span:
    """Days [first, last] of the data, and those to train and test on; microseconds of midnights."""

    first: int
    last: int
    train_start: int
    train_end: int
    test_start: int


@dataclass(frozen=True)
class Draft:
    """Everything that the files of a project say.

    fields: columns that a request carries. unused: what of the data the contract does not name.
    """

    roles: Roles
    names: dict[str, str]
    label: DraftColumn
    label_delay: int
    columns: tuple[DraftColumn, ...]
    entities: tuple[DraftEntity, ...]
    views: tuple[DraftView, ...]
    fields: tuple[str, ...]
    unused: tuple[LeftOut, ...]
    span: Span

    @property
    def name(self) -> str:
        return self.roles.table.name


def draft(tables: Sequence[Roles]) -> Draft:
    """The draft for the table that has a label. Raises InputError when none can be predicted."""
    roles = _chosen(tables)
    table = roles.table
    _check(roles)
    names = contract_names(column.name for column in table.columns)
    entities = tuple(_entities(roles, names))
    label = _label(roles, names)
    columns, unused = _columns(roles, names, {entity.physical for entity in entities})
    fields = tuple(c.name for c in columns)
    if not fields:
        found, wanted = "no number that is known at the event", "a column that a request carries"
        raise _missing(table, found, wanted, "field_not_found")
    span = _span(roles)
    delay = 0 if label.known_at else DAY
    others = [
        LeftOut(other.table.name, "a table without a label: add it as a source by hand")
        for other in tables
        if other is not roles
    ]
    views = tuple(_view(roles, entity, label, columns, span, delay) for entity in entities)
    return Draft(
        roles, names, label, delay, columns, entities, views, fields, (*unused, *others), span
    )


def _chosen(tables: Sequence[Roles]) -> Roles:
    """The largest of the tables with a label."""
    labelled = [one for one in tables if one.label]
    if labelled:
        return max(labelled, key=lambda one: one.table.rows)
    place = ", ".join(one.table.place for one in tables)
    found = "no column of true and false, or of 0 and 1"
    wanted = "a label: a column that says what came true of a row, null where it is not known yet"
    why = "add one, for example `arr_delay > 15 as late`"
    raise InputError.of(place, found, wanted, why, code="label_not_found")


def _check(roles: Roles) -> None:
    """Refuses a table that lacks what every command needs. Raises InputError."""
    table = roles.table
    if roles.moment is None:
        close = "; ".join(unusable_moments(table)) or "no column of timestamps"
        raise _missing(table, close, "a timestamp of when each row happened", "moment_not_found")
    if roles.id is None:
        wanted = "a column that names a row: another value in each, none null"
        raise _missing(
            table, "no column of numbers or texts without repetition", wanted, "id_not_found"
        )
    if not roles.keys:
        wanted = "a column that says what a row is about, such as a customer, with repeated values"
        raise _missing(
            table, "no number or text that repeats in every row", wanted, "key_not_found"
        )


def _missing(table: TableFacts, found: str, wanted: str, code: str) -> InputError:
    why = "docs/bring-your-own-data.md says what for"
    return InputError.of(table.place, found, wanted, why, code=code)


def _entities(roles: Roles, names: dict[str, str]) -> Iterator[DraftEntity]:
    chosen = [guess.column for guess in roles.keys[:MOST_ENTITIES]]
    called = contract_names(_BARE.sub("", names[column]) or names[column] for column in chosen)
    if len(called) < len(chosen):  # user and user_id
        called = {names[column]: names[column] for column in chosen}
    for guess, name in zip(roles.keys, called.values(), strict=False):
        column = roles.table.column(guess.column)
        dtype: Literal["string", "int64"] = "string" if column.kind == "text" else "int64"
        key = names[column.name]
        yield DraftEntity(name, key, column.name, dtype, column.distinct, guess.reason)


def _label(roles: Roles, names: dict[str, str]) -> DraftColumn:
    assert roles.label is not None
    name = roles.label.column
    return DraftColumn(names[name], name, "bool", known_at=roles.known_at(name))


def _columns(
    roles: Roles, names: dict[str, str], keys: set[str]
) -> tuple[tuple[DraftColumn, ...], tuple[LeftOut, ...]]:
    """The columns that a request may carry and aggregates may sum, and why the others are none."""
    taken = {g.column for g in (roles.moment, roles.id, roles.arrival, roles.label) if g} | keys
    taken |= {one.moment for one in roles.late}
    columns, unused = [], list(roles.left_out)
    gone = taken | {one.column for one in roles.left_out}
    for column in roles.table.columns:
        if column.name in gone:
            continue
        reason = _reason_against(roles, column)
        if reason:
            unused.append(LeftOut(column.name, reason))
        else:
            columns.append(_column(column, names))
    return tuple(columns), tuple(unused)


def _reason_against(roles: Roles, column: ColumnFacts) -> str:
    """Why a column is not used at first; empty where it is."""
    if column.name in roles.telling:
        return "it tells the label by itself: is it known when the question is asked?"
    if known_at := roles.known_at(column.name):
        return f"its value is known only at {known_at}"
    if column.name in roles.growing:
        return "it grows with time: a later row has values that training has not seen"
    if column.kind in ("text", "timestamp"):
        return f"a {column.kind}, not a number"
    if column.nulls:
        return f"null in {column.nulls} rows"
    return ""


def _column(column: ColumnFacts, names: dict[str, str]) -> DraftColumn:
    if column.kind == "boolean":
        return DraftColumn(names[column.name], column.name, "bool")
    if is_money(column):
        scale = column.scale if column.kind == "decimal" else 2
        return DraftColumn(names[column.name], column.name, "money", scale)
    dtype: Dtype = "int64" if column.kind == "integer" else "float64"
    return DraftColumn(names[column.name], column.name, dtype)


# --- days and clocks ---------------------------------------------------------------------------


def _span(roles: Roles) -> Span:
    """The last tenth of the days to test on, four of five before it to train on."""
    assert roles.moment is not None
    moment = roles.table.column(roles.moment.column)
    first, last = (int(value or 0) // DAY * DAY for value in (moment.low, moment.high))
    days = (last - first) // DAY + 1
    if days < 4:
        wanted = "at least four days: some to train on, one to test on"
        raise _missing(roles.table, f"rows of {days} days", wanted, "data_too_short")
    test_start = last - max(1, days // 10) * DAY
    return Span(first, last, first + days // 5 * DAY, test_start - DAY, test_start)


def _clocks(roles: Roles, entity: DraftEntity, span: Span, longest: int, delay: int) -> Clocks:
    """Runs every six hours, or every day where that would make very many rows."""
    rows = entity.distinct * ((span.last - span.first) // (6 * _HOUR) + 1)
    schedule, duration = (6 * _HOUR, 5 * _MINUTE) if rows <= _MOST_ROWS else (DAY, 15 * _MINUTE)
    source_delay = _source_delay(roles)
    cycle = schedule + duration + source_delay
    slo = -(-cycle // _HOUR) * _HOUR
    ttl = -(-105 * slo // (100 * _HOUR)) * _HOUR
    lookback = max(7 * DAY, -(-2 * ttl // DAY) * DAY)
    population = max(longest * DAY + delay, lookback)
    return Clocks(schedule, duration, source_delay, slo, ttl, lookback, population)


def _source_delay(roles: Roles) -> int:
    """How long after an event nearly all sampled rows have arrived, in whole ten minutes."""
    if roles.arrival is None or roles.moment is None:
        return 10 * _MINUTE
    events = roles.table.column(roles.moment.column).sample
    arrivals = roles.table.column(roles.arrival.column).sample
    delays = sorted(
        arrival - event
        for event, arrival in zip(events, arrivals, strict=True)
        if isinstance(event, int) and isinstance(arrival, int)
    )
    usual = delays[int(0.95 * (len(delays) - 1))] if delays else 0
    return min(max(10 * _MINUTE, -(-usual // (10 * _MINUTE)) * 10 * _MINUTE), DAY)


# --- views -------------------------------------------------------------------------------------


def _view(
    roles: Roles,
    entity: DraftEntity,
    label: DraftColumn,
    columns: Sequence[DraftColumn],
    span: Span,
    delay: int,
) -> DraftView:
    days = (span.last - span.first) // DAY + 1
    windows = [window for window in _WINDOWS if 3 * window <= days] or [1]
    longest = windows[-1]
    counts = [DraftAggregate(f"count_{w}d", "count", w) for w in windows]
    summed = [c for c in columns if c.dtype in ("money", "int64")][:MOST_COLUMNS]
    sums = [
        DraftAggregate(f"sum_{c.name}_{w}d", "sum", w, of=c.name)
        for c in summed
        for w in windows[-2:]
    ]
    facts = _label_counts(label, longest)
    features = (
        *(_count(entity, roles.table, aggregate) for aggregate in counts),
        *(_mean(c, w) for c in summed for w in windows[-2:]),
        _share(entity, label, longest),
    )
    name = f"{entity.name}_{roles.table.name[:20]}".rstrip("_")
    clocks = _clocks(roles, entity, span, longest, delay)
    return DraftView(name, entity, clocks, (*counts, *sums, *facts), features)


def _label_counts(label: DraftColumn, window: int) -> Iterable[DraftAggregate]:
    for prefix, where in (("true", label.name), ("false", f"not {label.name}")):
        name = f"{prefix}_{label.name}_{window}d"
        yield DraftAggregate(name, "count", window, where=where, dated="known")


def _count(entity: DraftEntity, table: TableFacts, aggregate: DraftAggregate) -> DraftFeature:
    said = f"Rows of {table.name} with this {entity.name} in the {_days(aggregate.window)}."
    return DraftFeature(aggregate.name, "int64", said)


def _mean(column: DraftColumn, window: int) -> DraftFeature:
    units = f" * {10**column.scale}" if column.dtype == "money" and column.scale else ""
    name = column.name
    sql = f"sum_{name}_{window}d / nullif(count_{window}d{units}, 0)"
    said = f"Mean {column.name} in the {_days(window)}."
    return DraftFeature(f"mean_{name}_{window}d", "float64", said, sql, 1e-6)


def _share(entity: DraftEntity, label: DraftColumn, window: int) -> DraftFeature:
    name = label.name
    counted, others = f"true_{name}_{window}d", f"false_{name}_{window}d"
    sql = f"{counted} / nullif({counted} + {others}, 0)"
    said = f"Share of {label.name} among rows of the {entity.name} that were judged in the "
    return DraftFeature(f"share_{name}_{window}d", "float64", f"{said}{_days(window)}.", sql, 1e-6)


def _days(window: int) -> str:
    return "day before the run" if window == 1 else f"{window} days before the run"
