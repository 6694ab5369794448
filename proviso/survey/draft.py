"""What a first contract says about surveyed data: which table is asked about, and what joins it.

Pure decisions, made so that the files validate and the first commands run on one machine. What was
guessed is a question in the files (`templates/`), never a fact that the user has not stated.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Literal

from proviso.contracts.base import InputError
from proviso.survey.columns import source_columns
from proviso.survey.drafted import (
    Draft,
    DraftColumn,
    DraftEntity,
    DraftKey,
    DraftSource,
    DraftView,
    Encoding,
)
from proviso.survey.facts import TableFacts
from proviso.survey.hints import named_like
from proviso.survey.names import contract_names
from proviso.survey.roles import Guess, LeftOut, Roles, unusable_moments
from proviso.survey.shared import candidates, shared_keys
from proviso.survey.spans import label_delay, span_of
from proviso.survey.views import views_of

MOST_ENTITIES = 3
MOST_SOURCES = 6
_BARE = re.compile(r"_(id|key|code|no|nr|num|number)$")
_ONE_HOT = 12
"""Values of a category up to which each has a column."""
_CATEGORIES = 1_000
"""Values of a text up to which it is a category."""


def draft(tables: Sequence[Roles]) -> Draft:
    """The draft for the table that has a label. Raises InputError when none can be predicted."""
    asked, others = _asked(tables)
    _check(asked)
    shared = {one.table.name: shared_keys(asked, one) for one in tables if one is not asked}
    entities = _entities(asked, shared.values())
    first = _asked_source(asked, entities)
    joined, unused = _joined(asked, tables, shared, entities)
    label = _label(first)
    fields = tuple(column for column in first.usable if column.dtype != "timestamp")
    if not fields:
        found, wanted = "no column that is known at the event", "a column that a request carries"
        raise _missing(asked.table, found, wanted, "field_not_found")
    delay = label_delay(asked)
    span = span_of(asked)
    sources = (first, *joined)
    views = tuple(view for one in sources for view in views_of(one, label, span, delay))
    encodings = (*_of_fields(fields), *(e for view in views for e in _of_view(view)))
    return Draft(sources, label, delay, entities, views, fields, encodings, others, unused, span)


# --- the rows that are asked about -------------------------------------------------------------


def _asked(tables: Sequence[Roles]) -> tuple[Roles, tuple[str, ...]]:
    """The table whose label looks most like one, of such the largest; names of the others."""
    labelled = [one for one in tables if one.label]
    if labelled:
        best = max(labelled, key=lambda one: (_likeness(one), one.table.rows))
        return best, tuple(
            f"{one.table.name}.{one.label.column}"
            for one in labelled
            if one is not best and one.label
        )
    place = ", ".join(one.table.place for one in tables)
    found = "no column of true and false, or of 0 and 1"
    wanted = "a label: a column that says what came true of a row, null where it is not known yet"
    why = "add one, for example `arr_delay > 15 as late`"
    raise InputError.of(place, found, wanted, why, code="label_not_found")


def _likeness(roles: Roles) -> int:
    """How much a label is like one: known later, null at times, called so."""
    assert roles.label is not None
    column = roles.table.column(roles.label.column)
    later = roles.known_at(column.name) is not None
    return 4 * later + 2 * named_like("label", column.name) + (column.nulls > 0)


def _check(roles: Roles) -> None:
    """Refuses a table that lacks what every command needs. Raises InputError."""
    table = roles.table
    if roles.moment is None:
        close = "; ".join(unusable_moments(table)) or "no column of timestamps"
        raise _missing(table, close, "a timestamp of when each row happened", "moment_not_found")
    if roles.id is None:
        wanted = "a column that names a row: another value in each, none null"
        raise _missing(table, "no number or text without repetition", wanted, "id_not_found")
    if not roles.keys:
        wanted = "a column that says what a row is about, such as a user, with repeated values"
        raise _missing(
            table, "no number or text that repeats in every row", wanted, "key_not_found"
        )


def _missing(table: TableFacts, found: str, wanted: str, code: str) -> InputError:
    why = "docs/bring-your-own-data.md says what for"
    return InputError.of(table.place, found, wanted, why, code=code)


def _entities(asked: Roles, shared: Iterable[Mapping[str, Guess]]) -> tuple[DraftEntity, ...]:
    """The keys that most tables have, then as `roles` orders them."""
    found = [*shared]
    guesses = candidates(asked)
    usual = {guess.column for guess in asked.keys}
    times = {g.column: sum(g.column in one for one in found) for g in guesses}
    ordered = sorted(guesses, key=lambda guess: -times[guess.column])
    possible = [g for g in ordered if times[g.column] or g.column in usual]
    many = [g for g in possible if times[g.column] or not _is_category(asked, g.column)]
    chosen = (many or possible)[:MOST_ENTITIES]
    names = contract_names(column.name for column in asked.table.columns)
    called = [_BARE.sub("", names[g.column]) or names[g.column] for g in chosen]
    if len(set(called)) < len(called):  # user and user_id
        called = [names[guess.column] for guess in chosen]
    return tuple(
        _entity(asked, guess, name, names[guess.column])
        for guess, name in zip(chosen, called, strict=True)
    )


def _is_category(asked: Roles, column: str) -> bool:
    """Whether a text has so few values that it says of what kind a row is, not what it is of."""
    fact = asked.table.column(column)
    return fact.kind == "text" and fact.distinct <= _ONE_HOT


def _entity(asked: Roles, guess: Guess, name: str, key: str) -> DraftEntity:
    column = asked.table.column(guess.column)
    dtype: Literal["string", "int64"] = "string" if column.kind == "text" else "int64"
    return DraftEntity(name, key, column.name, dtype, column.distinct, guess.reason)


def _asked_source(asked: Roles, entities: Sequence[DraftEntity]) -> DraftSource:
    keys = tuple(DraftKey(entity, entity.physical, entity.reason) for entity in entities)
    names = contract_names(column.name for column in asked.table.columns)
    columns, unused = source_columns(asked, names, {key.physical for key in keys}, _CATEGORIES)
    return DraftSource(asked, "events", names, keys, columns, unused)


def _label(source: DraftSource) -> DraftColumn:
    assert source.roles.label is not None
    label = source.roles.label.column
    return next(column for column in source.columns if column.physical == label)


# --- the other tables --------------------------------------------------------------------------


def _joined(
    asked: Roles,
    tables: Sequence[Roles],
    shared: Mapping[str, Mapping[str, Guess]],
    entities: Sequence[DraftEntity],
) -> tuple[list[DraftSource], tuple[LeftOut, ...]]:
    """The sources that share a key with the rows that are asked about, and what is none."""
    joined: list[DraftSource] = []
    unused: list[LeftOut] = []
    for roles in tables:
        if roles is asked:
            continue
        found = shared[roles.table.name]
        keys = [
            DraftKey(e, found[e.physical].column, found[e.physical].reason)
            for e in entities
            if e.physical in found
        ]
        source = _joined_source(roles, keys) if keys and roles.moment else None
        if source is None or not source.usable:
            unused.append(LeftOut(roles.table.name, _reason_against(asked, roles, keys)))
        elif len(joined) == MOST_SOURCES:
            unused.append(
                LeftOut(roles.table.name, f"only {MOST_SOURCES} further tables are drafted")
            )
        else:
            joined.append(source)
    return joined, tuple(unused)


def _reason_against(asked: Roles, roles: Roles, keys: Sequence[DraftKey]) -> str:
    if roles.moment is None:
        close = "; ".join(unusable_moments(roles.table)) or "it has no timestamp"
        return f"{close}: since when is a row of it true?"
    if not keys:
        return (
            f"no key in common with {asked.table.name}: no column of one name and type, or values"
        )
    return "no column whose values are known with the row"


def _joined_source(roles: Roles, keys: Sequence[DraftKey]) -> DraftSource:
    """Events where something names a row; else a table of the values of its keys over time."""
    names = contract_names(column.name for column in roles.table.columns)
    physical = {key.physical for key in keys}
    register = roles.id is None or roles.id.column in physical
    without = replace(roles, id=None) if register else roles
    without = replace(without, label=None)
    columns, unused = source_columns(without, names, physical, _CATEGORIES)
    if register:
        late = tuple(c for c in columns if c.known_at is not None)
        unused = (
            *unused,
            *(LeftOut(c.physical, f"its value is known only at {c.known_at}") for c in late),
        )
        columns = tuple(c for c in columns if c.known_at is None and c.dtype != "timestamp")
    return DraftSource(
        without, "table" if register else "events", names, tuple(keys), columns, unused
    )


# --- categories --------------------------------------------------------------------------------


def _of_fields(fields: Sequence[DraftColumn]) -> Iterator[Encoding]:
    for column in fields:
        if column.dtype == "string":
            yield _encoding(column.name, column.distinct)


def _of_view(view: DraftView) -> Iterator[Encoding]:
    for one in view.aggregates:
        if one.text:
            distinct = next(c.distinct for c in view.source.columns if c.name == one.of)
            yield from (_encoding(f"{view.name}:{name}", distinct) for name in one.features)
    if view.source.kind == "table":
        for column in view.source.columns:
            if column.dtype == "string":
                yield _encoding(f"{view.name}:{column.name}", column.distinct)


def _encoding(element: str, distinct: int) -> Encoding:
    if distinct <= _ONE_HOT:
        return Encoding(element, "one_hot", _ONE_HOT)
    return Encoding(element, "ordinal", min(_CATEGORIES, max(50, distinct)))
