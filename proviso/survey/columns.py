"""Columns of a drafted source: their types, and why the others are not named."""

from __future__ import annotations

from collections.abc import Set

from proviso.survey.drafted import DraftColumn, Dtype
from proviso.survey.facts import ColumnFacts
from proviso.survey.roles import LeftOut, Roles, is_money

_MOST_DECIMALS = 6
_DTYPES: dict[str, Dtype] = {
    "boolean": "bool",
    "decimal": "money",
    "float": "float64",
    "integer": "int64",
    "text": "string",
    "timestamp": "timestamp",
}


def source_columns(
    roles: Roles, names: dict[str, str], keys: Set[str], categories: int
) -> tuple[tuple[DraftColumn, ...], tuple[LeftOut, ...]]:
    """The columns that a source states, the label first, and those that it does not.

    categories: how many values a text may have to be one.
    """
    found: list[DraftColumn] = []
    unused = list(roles.left_out)
    if roles.label:
        label = roles.table.column(roles.label.column)
        known_at = roles.known_at(label.name)
        found.append(
            DraftColumn(names[label.name], label.name, "bool", nullable=True, known_at=known_at)
        )
    gone = _taken(roles) | keys | {one.column for one in roles.left_out}
    for column in roles.table.columns:
        if column.name in gone:
            continue
        reason = _reason_against(roles, column, categories)
        if reason:
            unused.append(LeftOut(column.name, reason))
        else:
            found.append(_column(roles, column, names))
    return tuple(found), tuple(unused)


def _taken(roles: Roles) -> set[str]:
    guesses = (roles.moment, roles.id, roles.arrival, roles.label)
    return {guess.column for guess in guesses if guess} | {one.moment for one in roles.late}


def _reason_against(roles: Roles, column: ColumnFacts, categories: int) -> str:
    """Why a column is not used at first; empty where it is."""
    if column.name in roles.telling:
        return "it tells the label by itself: is it known when the question is asked?"
    outcome = next((one for one in roles.outcomes if one.column == column.name), None)
    if outcome is not None:
        return f"{outcome.reason}. QUESTION: is it known at the row's moment? Else state `known_at`"
    if column.name in roles.growing:
        return "it grows with time: a later row has values that training has not seen"
    if column.kind == "text" and column.distinct > categories:
        return f"a text of {column.distinct:,} values is no category"
    if column.kind == "timestamp":
        return "a timestamp, not a number"
    return ""


def _column(roles: Roles, column: ColumnFacts, names: dict[str, str]) -> DraftColumn:
    money = is_money(column)
    scale = (column.scale if column.kind == "decimal" else 2) if money else 0
    return DraftColumn(
        names[column.name],
        column.name,
        "money" if money else _DTYPES[column.kind],
        scale=scale,
        nullable=column.nulls > 0,
        known_at=roles.known_at(column.name),
        decimals=_decimals(column),
        distinct=column.distinct,
    )


def _decimals(column: ColumnFacts) -> int:
    """The decimals that the sampled doubles have, at most six."""
    values = [v for v in column.sample if isinstance(v, float)]
    whole = (
        places
        for places in range(_MOST_DECIMALS)
        if all(abs(v * 10**places - round(v * 10**places)) < 1e-6 for v in values)
    )
    return next(whole, _MOST_DECIMALS)
