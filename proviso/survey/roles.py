"""Decides what the columns of a table are: pure guesses, each with its reason.

A guess is made from types, nulls, uniqueness, names, and what pairs of columns are to each other in
the sample. What could have been decided otherwise stays as a question (`Guess.others`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from proviso.survey.facts import ColumnFacts, TableFacts
from proviso.survey.hints import named_like
from proviso.survey.relations import grows, missing_lately, never_before, null_together, tells

MAX_SCALE = 6
"""Decimals of money that a contract can state."""


_NAMEABLE = re.compile(r"[^\x00-\x1f\x7f]{1,200}")
"""Names of columns that a contract can state."""


@dataclass(frozen=True)
class Guess:
    """A column chosen for a role, why, and the columns that might be it instead."""

    column: str
    reason: str
    others: tuple[str, ...] = ()


@dataclass(frozen=True)
class Late:
    """Columns whose values are known at a moment after the event."""

    moment: str
    columns: tuple[str, ...]


@dataclass(frozen=True)
class LeftOut:
    """A column that the contract does not name, and why."""

    column: str
    reason: str


@dataclass(frozen=True)
class Roles:
    """What a table's columns are taken to be; None where no column can be it.

    keys: candidates for entities, the most likely first. late: known at a moment of the row.
    telling: columns that tell the label of the sampled rows by themselves. growing: never fall in
    the order of the events, so that a later row has values that training has not seen. outcomes:
    columns that may be known only later, and why it seems so.
    """

    table: TableFacts
    moment: Guess | None
    id: Guess | None
    arrival: Guess | None
    label: Guess | None
    late: tuple[Late, ...]
    keys: tuple[Guess, ...]
    telling: tuple[str, ...]
    growing: tuple[str, ...]
    outcomes: tuple[LeftOut, ...]
    left_out: tuple[LeftOut, ...]

    def known_at(self, column: str) -> str | None:
        """The column with the moment at which a column's value is known, None for the event."""
        return next((late.moment for late in self.late if column in late.columns), None)


def roles_of(whole: TableFacts, label: str | None = None) -> Roles:
    """The roles of a table's columns; `label` is the label's column where the user has said it."""
    unnamed = [column for column in whole.columns if not _NAMEABLE.fullmatch(column.name)]
    table = replace(whole, columns=tuple(c for c in whole.columns if c not in unnamed))
    moment = _moment(table)
    event = table.column(moment.column) if moment else None
    arrival = _arrival(table, event) if event else None
    truth = Guess(label, "named by --label") if label else _label(table)
    late = _late(table, event, arrival, truth) if event else ()
    row_id = _id(table)
    chosen = {guess.column for guess in (moment, row_id, arrival, truth) if guess}
    chosen |= {one.moment for one in late}
    left_out = (
        *(LeftOut(c.name, "its name is longer than 200, or has a line break") for c in unnamed),
        *_left_out(table, chosen),
    )
    free = [
        column
        for column in table.columns
        if column.name not in chosen | {one.column for one in left_out}
    ]
    known_later = {name for one in late for name in one.columns}
    fact = table.column(truth.column) if truth else None
    possible = [c for c in free if c.name not in known_later]
    outcomes = _outcomes(possible, event)
    sure = [c for c in possible if c.name not in {one.column for one in outcomes}]
    return Roles(
        table,
        moment,
        row_id,
        arrival,
        truth,
        late,
        _keys(sure, table.rows) or _keys(possible, table.rows),
        tuple(c.name for c in free if fact is not None and tells(c, fact)),
        tuple(c.name for c in free if event is not None and grows(c, event)),
        outcomes,
        left_out,
    )


def is_truth(column: ColumnFacts) -> bool:
    """Whether a column can be a label: true and false, or 0 and 1; nulls are not known yet."""
    if column.kind == "boolean":
        return column.low is not column.high
    values = {value for value in column.sample if value is not None}
    numbers = column.kind in ("integer", "float", "decimal")
    return numbers and (column.low, column.high) == (0, 1) and values <= {0, 1}


def is_money(column: ColumnFacts) -> bool:
    """Whether a column holds amounts: decimals, or doubles of two decimals called like amounts."""
    if column.kind == "decimal":
        return column.scale <= MAX_SCALE
    values = [value for value in column.sample if isinstance(value, float)]
    cents = all(abs(value * 100 - round(value * 100)) < 1e-6 for value in values)
    return column.kind == "float" and named_like("amount", column.name) and bool(values) and cents


def unusable_moments(table: TableFacts) -> list[str]:
    """Columns that say a time in a form that is no moment, each with what it is."""
    found = []
    for column in table.columns:
        if column.kind == "date":
            found.append(f"{column.name} is a date without a time of day")
        elif _is_epoch(column):
            found.append(f"{column.name} looks like a Unix time in a number")
        elif column.kind == "timestamp" and column.nulls:
            found.append(f"{column.name} is null in {column.nulls} rows")
    return found


def _is_epoch(column: ColumnFacts) -> bool:
    """Whether whole numbers could be seconds or milliseconds of the years 2000 to 2100."""
    low, high = column.low, column.high
    if column.kind != "integer" or not isinstance(low, int) or not isinstance(high, int):
        return False
    spans = ((946_684_800, 4_102_444_800), (946_684_800_000, 4_102_444_800_000))
    within = any(first <= low and high <= last for first, last in spans)
    return within and named_like("clock", column.name)


def _moments(table: TableFacts) -> list[ColumnFacts]:
    return [c for c in table.columns if c.kind == "timestamp" and c.nulls == 0]


def _moment(table: TableFacts) -> Guess | None:
    moments = _moments(table)
    named = [
        c for c in moments if named_like("moment", c.name) and not named_like("arrival", c.name)
    ]
    choice = named or moments
    if not choice:
        return None
    chosen = min(choice, key=lambda c: _later_than(c, choice))
    reason = "the earliest timestamp that every row has"
    if len(moments) == 1:
        reason = "the only timestamp that every row has"
    elif len(named) == 1:
        reason = "its name says so"
    return Guess(chosen.name, reason, tuple(c.name for c in moments if c is not chosen))


def _later_than(column: ColumnFacts, others: Sequence[ColumnFacts]) -> int:
    """How many of the others are not after it."""
    return sum(not never_before(column, other) for other in others if other is not column)


def _arrival(table: TableFacts, event: ColumnFacts) -> Guess | None:
    found = [
        c.name
        for c in _moments(table)
        if c is not event and named_like("arrival", c.name) and never_before(event, c)
    ]
    if not found:
        return None
    return Guess(found[0], "its name says so, and no row has it before its event", tuple(found[1:]))


def _late(
    table: TableFacts, event: ColumnFacts, arrival: Guess | None, label: Guess | None
) -> tuple[Late, ...]:
    """Moments after the event, and what is null with them."""
    taken = {event.name} | ({arrival.column} if arrival else set())
    after = [
        c
        for c in table.columns
        if c.kind == "timestamp" and c.name not in taken and never_before(event, c)
    ]
    found = [Late(c.name, _missing_with(table, c)) for c in after if c.nulls]
    known = {name for late in found for name in late.columns}
    named = [c.name for c in after if named_like("known", c.name)]
    if label and label.column not in known and named:
        found.append(Late(named[0], (label.column,)))
    return tuple(late for late in found if late.columns)


def _missing_with(table: TableFacts, moment: ColumnFacts) -> tuple[str, ...]:
    """Columns that have a value in the very rows in which the moment has one."""
    return tuple(
        c.name
        for c in table.columns
        if c.kind not in ("timestamp", "date", "empty") and null_together(c, moment)
    )


def _outcomes(columns: Sequence[ColumnFacts], event: ColumnFacts | None) -> tuple[LeftOut, ...]:
    """Columns whose values may be known only after the event."""
    found = []
    for column in columns:
        if event is not None and missing_lately(column, event):
            found.append(LeftOut(column.name, "null in the latest rows, as what is known later is"))
        elif named_like("outcome", column.name):
            found.append(LeftOut(column.name, "called like an outcome"))
    return tuple(found)


def _id(table: TableFacts) -> Guess | None:
    found = [c.name for c in table.columns if c.unique]
    named = [name for name in found if named_like("key", name)]
    if not found:
        return None
    chosen = (named or found)[0]
    others = tuple(name for name in found if name != chosen)
    return Guess(chosen, "every row has another value", others)


def _label(table: TableFacts) -> Guess | None:
    found = [c for c in table.columns if is_truth(c)]
    named = [c for c in found if named_like("label", c.name)]
    if not found:
        return None
    # The outcome of a row is often its last column.
    chosen = (named or found)[-1].name
    reason = "true or false" + (", and its name says so" if named else "")
    return Guess(chosen, reason, tuple(c.name for c in found if c.name != chosen))


def _keys(columns: Sequence[ColumnFacts], rows: int) -> tuple[Guess, ...]:
    """Columns that identify what the rows are about: named so, or texts that repeat."""
    found = [c for c in columns if _repeats(c, rows)]
    named = [c for c in found if named_like("key", c.name)]
    texts = [c for c in found if c.kind == "text" and c not in named]
    by_size = sorted(texts, key=lambda c: -c.distinct)
    return (
        *(Guess(c.name, "called like an identifier, and its values repeat") for c in named),
        *(Guess(c.name, "a text whose values repeat") for c in by_size),
    )


def _repeats(column: ColumnFacts, rows: int) -> bool:
    """Whether every row has a value, and a value has two rows or more."""
    identifies = column.kind in ("integer", "text") and not is_truth(column)
    return identifies and column.nulls == 0 and 2 <= column.distinct <= rows / 2


def _left_out(table: TableFacts, chosen: set[str]) -> Iterable[LeftOut]:
    for column in table.columns:
        if column.name not in chosen and (reason := _unusable(column, table.rows)):
            yield LeftOut(column.name, reason)


def _unusable(column: ColumnFacts, rows: int) -> str:
    """Why a column can be nothing in a contract; empty where it can."""
    if column.kind == "empty":
        return "null in every row"
    if column.kind == "date":
        return "a date has no time of day: write a timestamp"
    if column.kind == "other":
        return f"type {column.type}"
    if column.kind == "decimal" and column.scale > MAX_SCALE:
        return f"{column.scale} decimals, where money has at most {MAX_SCALE}"
    if column.kind == "text" and column.distinct > max(1000, rows / 2):
        return "a text that is another in most rows"
    if column.distinct <= 1 and column.nulls == 0 and rows > 1:
        return "the same value in every row"
    return ""
