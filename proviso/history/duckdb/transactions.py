"""Loads transactions, wherever they lie, into the table `_events`.

Money becomes exact integer minor units, moments become microseconds (`source.py`). A value that
would make a feature wrong is refused: its column, in how many rows, and the first of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from proviso.contracts.base import InputError, Problem
from proviso.contracts.contract import Contract
from proviso.contracts.locations import Location
from proviso.history.duckdb.engine import (
    Engine,
    EngineError,
    connect,
    quoted,
)
from proviso.history.duckdb.places import Relation, open_relation
from proviso.history.duckdb.source import SourceColumn, source_columns, source_names
from proviso.history.values import SourceClock, TransactionSummary

EVENTS = "_events"
"""The table of loaded transactions: the id, join keys and numeric columns under the contract's
names (money: integer minor units), the label's column as a boolean, and BIGINT microseconds
`_event`, `_arrival`, `_label_stated` (the label's own moment, null where it has none) and
`_label_known` (null where the label is null)."""


def load_transactions(
    engine: Engine,
    contract: Contract,
    path: Path,
    start: int | None = None,
    end: int | None = None,
    clock: SourceClock | None = None,
) -> TransactionSummary:
    """Makes the table `_events` of the transactions with start <= event_ts < end.

    clock: rows that happen or arrive beyond it are set aside, so that no figure of how far the
    data goes is theirs; by default none. What is wrong with such a row is reported all the same.
    Raises InputError with every problem: a missing column, a wrong type, a value that would make
    a feature wrong, each with its count and the first row.
    """
    location = Location(path=str(path))
    with open_relation(engine, location, source_names(contract)) as relation:
        _load(engine, contract, relation, start, end)
    aside = (0, None) if clock is None else _set_aside(engine, contract, clock)
    return _measured(engine, contract, path, clock, *aside)


def _load(
    engine: Engine, contract: Contract, relation: Relation, start: int | None, end: int | None
) -> None:
    """Makes the table `_events`. Raises InputError."""
    path, found = relation.files.shown, relation.types
    columns = source_columns(contract, found, relation.files.texts)
    problems = [*_missing(path, contract, found), *_wrong_types(path, columns)]
    if problems:
        raise InputError(problems)
    source = _Source(contract, relation, columns, start, end)
    try:
        _convert(engine, source)
    except EngineError as error:
        raise _unreadable(engine, source, error) from error
    (bad,) = engine.row(f"select count(*) from {EVENTS} where _bad")
    problems = [*(_bad_values(engine, source) if bad else ()), *_repeated(engine, contract, path)]
    if problems:
        raise InputError(problems)


def _missing(path: str, contract: Contract, found: Mapping[str, str]) -> Iterator[Problem]:
    """Columns that the file must have: without some moments an event arrives at once, and a label
    after its delay."""
    source = contract.observations_of()
    wanted = [source.id, source.event_timestamp, *(e.join_key for e in contract.entities)]
    wanted += [*source.columns, source.label.column]
    if missing := [name for name in wanted if name not in found]:
        why, code = "the contract's source has them", "source_column_missing"
        columns, also = ", ".join(found)[:500], f"also {', '.join(missing)}"
        yield Problem(f"{path}: columns", columns, also, why, code)


def _wrong_types(path: str, columns: Sequence[SourceColumn]) -> Iterator[Problem]:
    for column in columns:
        if not column.fits:
            where, code = f"{path}: {column.name}", "source_type_mismatch"
            yield Problem(where, column.type, column.wanted, column.why, code)


@dataclass(frozen=True)
class _Source:
    """The rows of a file that are loaded: those of start <= event_ts < end."""

    contract: Contract
    relation: Relation
    columns: Sequence[SourceColumn]
    start: int | None
    end: int | None

    def of(self, name: str | None) -> SourceColumn | None:
        """The file's column of a name."""
        return next((column for column in self.columns if column.name == name), None)

    def value(self, name: str | None) -> str:
        """A moment of the contract's source; null where the file lacks the column."""
        column = self.of(name)
        return "null::bigint" if column is None else column.value

    @property
    def shown(self) -> str:
        """What errors call the source."""
        return self.relation.files.shown

    def rows(self, *, placed: bool = False) -> str:
        """The columns as they are in the file and `_event`; other columns of it are not seen.

        placed: with the place of each row.
        """
        raw = self.relation.rows([column.name for column in self.columns], placed=placed)
        event = self.value(self.contract.observations_of().event_timestamp)
        after = "true" if self.start is None else f"{event} >= {self.start:d}"
        before = "true" if self.end is None else f"{event} < {self.end:d}"
        return (
            f"select *, {event} as _event from ({raw})"
            f" where {event} is null or ({after} and {before})"
        )


def _convert(engine: Engine, source: _Source) -> None:
    """Makes the table; `_bad` are the rows that `_bad_values` describes."""
    stated = source.contract.observations_of()
    kept = [c for c in source.columns if c.kind != "moment"]
    values = ", ".join(f"{column.value} as {quoted(column.name)}" for column in kept)
    label = next(column.value for column in kept if column.kind == "label")
    known = source.value(stated.label.known_at)
    arrival = source.value(stated.arrival_timestamp)
    bad = " or ".join(
        f"coalesce({check.condition}, false)" for c in source.columns for check in c.checks
    )
    engine.execute(
        f"create or replace temp table {EVENTS} as select {values}, _event,"
        f" coalesce({arrival}, _event) as _arrival, {known} as _label_stated,"
        f" case when {label} is not null"
        f" then coalesce({known}, try(_event + {stated.label.delay:d})) end as _label_known,"
        f" {bad} as _bad from ({source.rows()})"
    )


def _unreadable(engine: Engine, source: _Source, error: EngineError) -> InputError:
    """Which columns the engine cannot read: a damaged file, text that is not UTF-8, moments
    beyond its range."""
    problems, rows = [], source.relation.rows
    for column in source.columns:
        try:
            engine.execute(f"select max(hash(_rows)) from ({rows([column.name])}) _rows")
        except EngineError as reason:
            where, wanted = f"{source.shown}: {column.name}", f"{column.wanted} that can be read"
            problems.append(Problem(where, str(reason), wanted, code="source_column_unreadable"))
    where, code = source.shown, "source_column_unreadable"
    return InputError(problems or [Problem(where, str(error), "a readable file", code=code)])


def _bad_values(engine: Engine, source: _Source) -> Iterator[Problem]:
    """What is wrong in each column: in how many rows, and the first of them with its value."""
    row_id = quoted(source.contract.observations_of().id)
    placed = source.rows(placed=True)
    for column in source.columns:
        checks = list(column.checks)
        cases = " ".join(f"when {check.condition} then {n}" for n, check in enumerate(checks))
        if not checks:
            continue
        engine.execute(
            f"select _reason, count(*), min(_place), arg_min({column.shown}, _place),"
            f" arg_min(left({row_id}::varchar, 60), _place)"
            f" from (select *, case {cases} end as _reason from ({placed}))"
            f" where _reason is not null group by _reason order by _reason"
        )
        for reason, count, place, value, one in engine.fetchall():
            check = checks[reason]
            said = check.found if value is None else f"{check.found}, {value},"
            where = source.relation.place(place["file"], place["row"])
            first = f"first in {where}, {source.contract.observations_of().id} {one}"
            found = f"{said} in {count} rows ({first})"
            line = place["row"] if source.relation.files.lines else 0
            path, code = f"{source.shown}: {column.name}", check.code
            yield Problem(path, found, check.wanted, code=code, line=line)


def _repeated(engine: Engine, contract: Contract, path: str) -> Iterator[Problem]:
    row_id = quoted(contract.observations_of().id)
    count, example = engine.row(
        f"select count(*), min({row_id}) from (select {row_id} from {EVENTS}"
        f" where {row_id} is not null group by 1 having count(*) > 1)"
    )
    if count:
        found = f"{count} ids in more than one row (such as {str(example)[:60]})"
        where, code = f"{path}: {contract.observations_of().id}", "source_id_repeated"
        yield Problem(where, found, "each id once", code=code)


def _set_aside(engine: Engine, contract: Contract, clock: SourceClock) -> tuple[int, str | None]:
    """Removes the rows beyond the clock; how many they were, and the id of one."""
    beyond = f"_event > {clock.latest:d} or _arrival > {clock.latest:d}"
    row_id = quoted(contract.observations_of().id)
    count, example = engine.row(
        f"select count(*), min({row_id})::varchar from {EVENTS} where {beyond}"
    )
    if count:
        engine.execute(f"delete from {EVENTS} where {beyond}")
    return count, example


def _measured(
    engine: Engine,
    contract: Contract,
    path: Path,
    clock: SourceClock | None,
    set_aside: int,
    example: str | None,
) -> TransactionSummary:
    label = quoted(contract.observations_of().label.column)
    row = engine.row(
        f"select count(*), count({label}), min(_event), max(_event), max(_arrival) from {EVENTS}"
    )
    rows, labelled, first, last, arrival = row
    return TransactionSummary(path, rows, labelled, first, last, arrival, clock, set_aside, example)


def by_arrival(contract: Contract, path: Path, size: int) -> Iterator[list[dict[str, Any]]]:
    """A file's rows in order of arrival, `size` at a time, by column; nulls are left out.

    The columns are those of the contract's source that the file has; money is a decimal.
    """
    source, location = contract.observations_of(), Location(path=str(path))
    with connect() as engine:
        with open_relation(engine, location, source_names(contract)) as relation:
            columns = source_columns(contract, relation.types, relation.files.texts)
            rows = _Source(contract, relation, columns, None, None)
            cells = ", ".join(_sent(column) for column in columns)
            arrival = f"coalesce({rows.value(source.arrival_timestamp)}, _event)"
            engine.execute(
                f"select {cells} from ({rows.rows()}) order by {arrival}, {quoted(source.id)}"
            )
        while found := engine.fetchmany(size):
            yield [
                {c.name: cell for c, cell in zip(columns, row, strict=True) if cell is not None}
                for row in found
            ]


def _sent(column: SourceColumn) -> str:
    """A value as the file states it; one that cannot be converted is as it is, and is refused
    where it arrives."""
    if column.kind != "money":
        return column.raw
    exact = f"{column.value}::decimal(18, 0) * {10**-column.scale:.{column.scale}f}"
    return f"coalesce(({exact})::varchar, {column.raw}::varchar)"
