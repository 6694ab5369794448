"""Rows of a source that do not fit, set aside with their reasons: the contract's `quarantine`.

What does not fit is decided by the checks of `columns.py`, for a file as for a stream's messages.
Of rows with one id the first to arrive counts: a later one that says the same is a copy and is left
out, one that says something else is set aside. A table's rows have no first: those with the same
keys and moments that contradict each other are all set aside.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import pyarrow as pa

from proviso.contracts.base import InputError, Problem
from proviso.contracts.files import Replacements
from proviso.history.duckdb.columns import Check, SourceColumn
from proviso.history.duckdb.engine import Engine, literal, names, quoted, write_parquet
from proviso.history.duckdb.places import Relation
from proviso.history.quarantine import (
    FILE,
    REASONS,
    ROW,
    SUMMARY_KEY,
    Quarantined,
    Reason,
    quarantine_file,
)
from proviso.history.values import TransactionSummary

_UNWRITABLE = {'"NULL"', "HUGEINT", "UHUGEINT"}
"""Types that Parquet does not have; such values are written as text."""


@dataclass(frozen=True)
class Identity:
    """By which columns of the table rows are one and the same. named: the engine's name of the
    column that a reason speaks of. first_counts: of rows that contradict each other the first to
    arrive counts; otherwise none does, since they arrived together.
    """

    columns: Sequence[str]
    named: str
    code: str
    first_counts: bool = True


@dataclass(frozen=True)
class Judged:
    """The loaded rows of a source, with `_bad` and `_place`, and the rows as its files have them.

    table: of the loaded rows. placed: a query of all rows of the files with `_place`. values: the
    table's columns by which copies are told. problems: what is wrong with the rows, for an error.
    """

    source: str
    share: float
    table: str
    identity: Identity
    columns: Sequence[SourceColumn]
    values: Sequence[str]
    relation: Relation
    placed: str
    problems: Callable[[], Iterator[Problem]]


def set_aside(engine: Engine, rows: Judged) -> Quarantined:
    """Takes the rows that do not fit out of the table. Raises InputError where they are too many.

    They are then in a table of their own, as the files have them, for `write_quarantines`.
    """
    total, bad = engine.row(f"select count(*), count(*) filter (where _bad) from {rows.table}")
    copies = _mark_later(engine, rows)
    (later,) = engine.row("select count(*) from _later where _contradicts")
    if bad + later > Decimal(repr(rows.share)) * total:
        raise _too_many(rows, bad + later, total)
    engine.execute(
        f"create or replace temp table {_aside(rows.source)} as {_as_in_files(engine, rows)}"
    )
    engine.execute(
        f"create or replace temp table {rows.table} as select * exclude (_place)"
        f" from {rows.table} anti join _later using (_place) where not _bad"
    )
    engine.execute("drop table _later")
    return Quarantined(rows.source, bad + later, total, copies, tuple(_reasons(engine, rows)))


def bad_condition(columns: Sequence[SourceColumn]) -> str:
    """Whether a row has a value that does not fit, as SQL."""
    checks = [check for column in columns for check in column.checks]
    return " or ".join(f"coalesce({check.condition}, false)" for check in checks) or "false"


def content(values: Sequence[str]) -> str:
    """64 bits of all that a row says but its arrival, as SQL over the table's columns."""
    texts = (f"coalesce({quoted(name)}::varchar, chr(30))" for name in values)
    return f"md5_number_lower(concat({', chr(31), '.join(texts)}))"


def reason_of(column: SourceColumn, checks: Sequence[Check]) -> str:
    """What is wrong with a row's value, the first reason; null where it fits. A struct of SQL."""
    cases = " ".join(
        f"when {check.condition} then {_reason(column.place, check, column.shown)}"
        for check in checks
    )
    return f"case {cases} end"


def _reason(column: str, check: Check, found: str) -> str:
    return (
        f"{{'column': {literal(column)}, 'code': {literal(check.code)}, 'found': {found},"
        f" 'wanted': {literal(check.wanted)}}}"
    )


def reasons_of(columns: Sequence[SourceColumn]) -> str:
    """All that is wrong with a row, one reason a column. A list of SQL."""
    found = [reason_of(c, checks) for c in columns if (checks := list(c.checks))]
    return f"list_filter([{', '.join(found)}], lambda _r: _r is not null)"


def _mark_later(engine: Engine, rows: Judged) -> int:
    """Makes a table of the places of rows that an earlier one makes void; returns the copies."""
    same = names(*rows.identity.columns)
    order = f"partition by {same} order by _arrival, _place"
    repeated = f"select {same} from {rows.table} where not _bad group by all having count(*) > 1"
    contradicts = f"_content != first_value(_content) over ({order})"
    if not rows.identity.first_counts:
        differ = f"min(_content) over (partition by {same}) != max(_content)"
        contradicts = f"{differ} over (partition by {same})"
    engine.execute(
        f"create or replace temp table _later as"
        f" select _place, {contradicts} as _contradicts from (select _place, {same}"
        f"{'' if '_arrival' in rows.identity.columns else ', _arrival'},"
        f" {content(rows.values)} as _content"
        f" from {rows.table} semi join ({repeated}) using ({same}) where not _bad)"
        f" qualify row_number() over ({order}) > 1"
        f"{'' if rows.identity.first_counts else ' or _contradicts'}"
    )
    return int(engine.row("select count(*) from _later where not _contradicts")[0])


def _too_many(rows: Judged, aside: int, total: int) -> InputError:
    found = f"{aside:,} of {total:,} rows do not fit ({_percent(aside, total)})"
    wanted = f"at most {rows.share:.6%}".replace(".000000%", "%").rstrip("%").rstrip("0") + "%"
    why = "the source's `quarantine` is the share that may be set aside"
    shown = rows.relation.files.shown
    problem = Problem(f"{shown}: quarantine", found, wanted, why, "quarantine_exceeded")
    return InputError([problem, *rows.problems()])


def _percent(part: int, whole: int) -> str:
    return f"{part / whole:.2%}" if whole else "0%"


def _as_in_files(engine: Engine, rows: Judged) -> str:
    """A query of the rows that do not fit: the columns that were read, as they are in the files,
    the file and row, and the reasons."""
    kept = dict.fromkeys(column.place for column in rows.columns)
    types = {column.place: column.type for column in rows.columns}
    cells = ", ".join(
        f"{quoted(name)}::varchar as {quoted(name)}" if types[name] in _UNWRITABLE else quoted(name)
        for name in kept
    )
    files = rows.relation.files
    numbers = pa.array(range(len(files.names)), pa.int32())
    engine.lend("_files", pa.table({"_number": numbers, "_shown": pa.array(files.names)}))
    named = next(c for c in rows.columns if c.name == rows.identity.named)
    check = Check("", "", "rows of one identity that say the same", rows.identity.code)
    later = f"[{_reason(named.place, check, named.shown)}]"
    again = "_place in (select _place from _later where _contradicts)"
    reasons = f"case when {again} then {later} else {reasons_of(rows.columns)} end"
    return (
        f"select {cells}, _shown as {quoted(FILE)}, _place.row::bigint as {quoted(ROW)},"
        f" {reasons} as {quoted(REASONS)}"
        f" from ({rows.placed}) join _files on _place.file = _number"
        f" where {bad_condition(rows.columns)} or {again} order by _place"
    )


def _reasons(engine: Engine, rows: Judged) -> Iterator[Reason]:
    engine.execute(
        f"select _r.column, _r.code, count(*) from (select unnest({quoted(REASONS)}) as _r"
        f" from {_aside(rows.source)}) group by all order by all"
    )
    for column, code, count in engine.fetchall():
        yield Reason(column, code, count)


def write_quarantines(
    engine: Engine, loaded: Mapping[str, TransactionSummary], history: Path, files: Replacements
) -> None:
    """Writes the rows that were set aside of each source, also where they are none: the file says
    of how many. A source that sets none aside has no file."""
    for name, summary in loaded.items():
        path, found = quarantine_file(history, name), summary.quarantined
        if found is None:
            path.unlink(missing_ok=True)
            continue
        notes = {SUMMARY_KEY: json.dumps(found.as_dict())}
        with engine.in_order():
            write_parquet(engine, f"select * from {_aside(name)}", path, notes, files)


def _aside(source: str) -> str:
    return quoted(f"_quarantine_{source}")
