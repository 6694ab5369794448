"""Types of columns that are text in their files: a text is a type if every row's text is.

Only what a contract converts later counts as a number, truth value or moment (docs/sources.md), but
for moments in `FORMS` and for yes and no: such a table is copied with its values converted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import duckdb

from proviso.survey.facts import Kind

NULLS = ("NA", "N/A", "NULL", "null", "None", "NaN", "nan", r"\N", "-")
"""Texts that say in many files that there is no value."""

FORMS = (
    "%Y/%m/%d %H:%M:%S",
    "%Y/%m/%d %H:%M",
    "%m/%d/%Y %H:%M:%S",
    "%m/%d/%Y %H:%M",
    "%m/%d/%Y %I:%M:%S %p",
    "%m/%d/%Y %I:%M %p",
    "%d/%m/%Y %H:%M:%S",
    "%d/%m/%Y %H:%M",
    "%d.%m.%Y %H:%M:%S",
    "%d.%m.%Y %H:%M",
    "%Y%m%d %H:%M:%S",
)
"""Moments that no contract reads, in the order in which the first that fits is taken."""

_MOMENT = r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?( ?(Z|UTC)|[+-]\d{2}(:?\d{2})?)?"
YES_NO = "yes and no"
_FORMED = "formed"
_LIKE_A_FORM = r"\d{1,4}[/.]?\d{1,2}[/.]?\d{1,4} \d{1,2}:\d{2}.*"
_INTEGER = r"-?(0|[1-9]\d{0,17})(\.0*)?"
_NUMBER = r"[+-]?((0|[1-9]\d*)(\.\d*)?|\.\d+)([eE][+-]?\d+)?"


@dataclass(frozen=True)
class TextType:
    """What a column of text is: its kind, and the SQL that converts it. form: of its moments."""

    kind: Kind
    value: str
    form: str = ""


@dataclass(frozen=True)
class TextTypes:
    """The types of a table's text columns, and the texts that are null in all of them."""

    columns: Mapping[str, TextType]
    nulls: tuple[str, ...]


def text_types(
    connection: duckdb.DuckDBPyConnection, view: str, columns: Sequence[str]
) -> TextTypes:
    """What the text columns of a view are. Texts such as NA are null where that makes a type."""
    counts = {name: _counted(connection, view, name) for name in columns}
    nulls = {word for one in counts.values() if _kind(one) != "text" for word in one.nulls}
    types = {name: _type(name, one) for name, one in counts.items()}
    return TextTypes(types, tuple(word for word in NULLS if word in nulls))


@dataclass(frozen=True)
class _Counts:
    """Rows with a text, and how many texts are of each kind. nulls: of NULLS, those that occur."""

    present: int
    of_kind: Mapping[str, int]
    nulls: tuple[str, ...]


def _counted(connection: duckdb.DuckDBPyConnection, view: str, name: str) -> _Counts:
    raw = quoted(name)
    words = ", ".join(literal(word) for word in NULLS)
    text = f"case when {raw} not in ({words}) then {raw} end"
    kinds = {
        "boolean": "lower(t) in ('true', 'false', 't', 'f')",
        YES_NO: "lower(t) in ('y', 'n', 'yes', 'no')",
        "integer": f"regexp_full_match(t, {literal(_INTEGER)})",
        "float": f"regexp_full_match(t, {literal(_NUMBER)})",
        "timestamp": f"regexp_full_match(t, {literal(_MOMENT)})"
        " and try_cast(t as timestamptz) is not null",
        "date": r"regexp_full_match(t, '\d{4}-\d{2}-\d{2}')",
        _FORMED: f"regexp_full_match(t, {literal(_LIKE_A_FORM)})",
    }
    filters = ", ".join(f"count(*) filter ({test})" for test in kinds.values())
    found = ", ".join(f"count(*) filter (raw = {literal(word)})" for word in NULLS)
    query = (
        f"select count(t), {filters}, {found} from (select {raw} as raw, {text} as t from {view})"
    )
    row: tuple[Any, ...] = connection.execute(query).fetchall()[0]
    present, matching, words_found = row[0], row[1 : 1 + len(kinds)], row[1 + len(kinds) :]
    nulls = tuple(word for word, number in zip(NULLS, words_found, strict=True) if number)
    of_kind = dict(zip(kinds, matching, strict=True))
    if present and of_kind.pop(_FORMED) == present:
        of_kind |= _of_forms(connection, f"(select {text} as t from {view})")
    return _Counts(present, of_kind, nulls)


def _of_forms(connection: duckdb.DuckDBPyConnection, texts: str) -> dict[str, int]:
    """How many of the texts are moments of each form."""
    tests = (f"count(try_strptime(t, {literal(form)}))" for form in FORMS)
    row = connection.execute(f"select {', '.join(tests)} from {texts}").fetchall()[0]
    return dict(zip(FORMS, row, strict=True))


def _kind(counts: _Counts) -> str:
    """The first kind, or form of moments, that all texts are of."""
    if counts.present == 0:
        return "text"
    return next((k for k, number in counts.of_kind.items() if number == counts.present), "text")


def _type(name: str, counts: _Counts) -> TextType:
    kind, raw = _kind(counts), quoted(name)
    words = ", ".join(literal(word) for word in counts.nulls)
    text = f"case when {raw} not in ({words}) then {raw} end" if counts.nulls else raw
    match kind:
        case "boolean":
            return TextType("boolean", f"{text}::boolean")
        case "yes and no":
            return TextType("boolean", f"lower({text}) in ('y', 'yes')", YES_NO)
        case "integer":
            return TextType("integer", f"({text})::double::bigint")
        case "float":
            return TextType("float", f"({text})::double")
        case "timestamp":
            return TextType("timestamp", f"({text})::timestamptz")
        case "date":
            return TextType("date", f"({text})::date")
        case "text":
            return TextType("text", raw)
        case form:
            return TextType("timestamp", f"strptime({text}, {literal(form)})", form)


def literal(text: str) -> str:
    """A text as SQL."""
    return "'" + text.replace("'", "''") + "'"


def quoted(name: str) -> str:
    """A column's name as SQL."""
    return '"' + name.replace('"', '""') + '"'
