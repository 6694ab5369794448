"""Which columns of two tables are keys of the same things: by their name, else by their values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from proviso.survey.facts import ColumnFacts
from proviso.survey.hints import named_like
from proviso.survey.names import plain_name
from proviso.survey.relations import share_in_common
from proviso.survey.roles import Guess, Roles, is_truth

_ENOUGH = 0.5
"""The share of values in common from which two columns of text are one key."""


def candidates(roles: Roles) -> tuple[Guess, ...]:
    """The keys of a table, those first that are only known to be called so: values may be rare."""
    known = {guess.column for guess in roles.keys}
    more = [c.name for c in _free(roles) if c.name not in known and named_like("key", c.name)]
    return (*roles.keys, *(Guess(name, "called like an identifier") for name in more))


def _free(roles: Roles) -> Iterator[ColumnFacts]:
    taken = {
        guess.column for guess in (roles.moment, roles.arrival, roles.label, roles.id) if guess
    }
    taken |= {column for late in roles.late for column in (late.moment, *late.columns)}
    for column in roles.table.columns:
        if column.name not in taken and _may_be_key(column):
            yield column


def _may_be_key(column: ColumnFacts) -> bool:
    return column.kind in ("integer", "text") and column.nulls == 0 and not is_truth(column)


def shared_keys(asked: Roles, other: Roles) -> Mapping[str, Guess]:
    """By the key column of the table that is asked about: the column of the other, and why."""
    found: dict[str, Guess] = {}
    taken: set[str] = set()
    for guess in candidates(asked):
        key = asked.table.column(guess.column)
        match = _match(key, other, taken)
        if match is not None:
            found[key.name] = match
            taken.add(match.column)
    return found


def _match(key: ColumnFacts, other: Roles, taken: set[str]) -> Guess | None:
    columns = [c for c in other.table.columns if _may_be_key(c) and c.name not in taken]
    columns = [c for c in columns if c.kind == key.kind]
    named = [c for c in columns if plain_name(c.name) == plain_name(key.name)]
    if named:
        return Guess(named[0].name, f"called like {key.name}")
    if other.id and _is_register_of(key, other):
        return Guess(other.id.column, f"names a row of {other.table.name}")
    return _by_values(key, [c for c in columns if c.kind == "text"])


def _is_register_of(key: ColumnFacts, other: Roles) -> bool:
    """Whether `customer_id` may name a row of `customers`: its id is called just `id`."""
    assert other.id is not None
    column = other.table.column(other.id.column)
    thing = plain_name(other.table.name).rstrip("s")
    called = plain_name(column.name) in ("id", "key", "code")
    return called and column.kind == key.kind and plain_name(key.name).startswith(thing)


def _by_values(key: ColumnFacts, columns: Sequence[ColumnFacts]) -> Guess | None:
    shares = {c.name: share_in_common(key, c) for c in columns}
    best = max(shares, key=lambda name: shares[name], default=None)
    if best is None or shares[best] < _ENOUGH:
        return None
    return Guess(best, f"has values of {key.name}")
