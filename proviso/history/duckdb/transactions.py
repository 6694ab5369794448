"""Loads the rows of a source, wherever they lie, into a table of their own.

Money becomes exact integer minor units, moments become microseconds (`columns.py`). A value that
would make a feature wrong is refused: its column, in how many rows, and the first of them. Where
the source states a `quarantine`, such rows are set aside as long as they are few.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from proviso.contracts.base import InputError, Problem
from proviso.contracts.contract import Contract
from proviso.contracts.locations import Location
from proviso.contracts.places import no_location
from proviso.contracts.sources import RowsSource, TableSource
from proviso.history.duckdb.columns import FLOATING, SourceColumn
from proviso.history.duckdb.engine import (
    Engine,
    EngineError,
    connect,
    quoted,
)
from proviso.history.duckdb.places import Relation, open_relation
from proviso.history.duckdb.quarantine import Identity, Judged, bad_condition, set_aside
from proviso.history.duckdb.source import (
    ARRIVAL,
    EVENT,
    columns_of,
    known_moments,
    label_of,
    said_of,
    source_columns,
    stated_column,
)
from proviso.history.duckdb.tables import row_name, settled
from proviso.history.quarantine import Quarantined
from proviso.history.values import SourceClock, TransactionSummary

LABEL_STATED = "_label_stated"
_SHOWN = 3
"""Rows that a problem names."""


def events_of(source: RowsSource) -> str:
    """The table of a source's loaded rows.

    It has the id, join keys and columns under the contract's names (money: integer minor units;
    timestamps: BIGINT microseconds), the label's column as a boolean, and BIGINT microseconds
    `_event`, `_arrival`, and of each late column `_known_<name>`, from when its value is known
    (null where it has none, or is not known yet). `_label_stated` is the label's own moment, null
    where the file states none. A row of a table has no id; its `_arrival` is the moment of its
    creation.
    """
    return quoted(f"_events_{source.name}")


def load_transactions(
    engine: Engine,
    contract: Contract,
    path: Path | None,
    start: int | None = None,
    end: int | None = None,
    clock: SourceClock | None = None,
) -> TransactionSummary:
    """Loads the rows that are observed, as `load_source` does."""
    rows = contract.observations_of().rows
    return load_source(engine, contract, rows, path, start, end, clock)


def load_source(
    engine: Engine,
    contract: Contract,
    rows: RowsSource,
    path: Path | None = None,
    start: int | None = None,
    end: int | None = None,
    clock: SourceClock | None = None,
) -> TransactionSummary:
    """Makes a source's table of the rows with start <= event_ts < end.

    path: where they lie, in place of the contract's location. clock: rows that happen or arrive
    beyond it are set aside, so that no figure of how far the data goes is theirs; by default none.
    What is wrong with such a row is reported all the same. Raises InputError with every problem:
    a missing column, a wrong type, a value that would make a feature wrong, each with its count
    and the first rows. A source with a `quarantine` is judged as a whole, whatever the span is, so
    that every command sets the same rows aside.
    """
    wanted = sorted({column.place for column in columns_of(contract, rows)})
    with open_relation(engine, _location(rows, path), wanted) as relation:
        found, texts = relation.types, relation.files.texts
        columns = source_columns(contract, rows, found, texts)
        span = (None, None) if rows.quarantine else (start, end)
        source = _Source(contract, rows, relation, columns, *span)
        quarantined = _load(engine, source)
    if quarantined is not None:
        _cut(engine, rows, start, end)
    aside = (0, None) if clock is None else _set_aside(engine, contract, rows, clock)
    shown = Path(relation.files.shown) if path is None else path
    return _measured(engine, contract, rows, shown, clock, aside, quarantined)


def _location(rows: RowsSource, path: Path | None) -> Location:
    if path is not None:
        return (rows.location or Location(path=str(path))).at(str(path))
    if rows.location is None:
        raise no_location(rows.name, f"`--source {rows.name}=PATH`")
    return rows.location


def _load(engine: Engine, source: _Source) -> Quarantined | None:
    """Makes the table; what was set aside of a source that allows it. Raises InputError."""
    problems = [*_missing(source), *_wrong_types(source.shown, source.columns)]
    if problems:
        raise InputError(problems)
    try:
        _convert(engine, source)
    except EngineError as error:
        raise _unreadable(engine, source, error) from error
    if source.stated.quarantine:
        return set_aside(engine, _judged(engine, source))
    (bad,) = engine.row(f"select count(*) from {events_of(source.stated)} where _bad")
    problems = [*(_bad_values(engine, source) if bad else ()), *_repeated(engine, source)]
    if problems:
        raise InputError(problems)
    return None


def _judged(engine: Engine, source: _Source) -> Judged:
    """The loaded rows, for what sets some of them aside."""
    stated = source.stated
    return Judged(
        stated.name,
        stated.quarantine,
        events_of(stated),
        _identity(source),
        source.columns,
        said_of(stated, source.columns),
        source.relation,
        source.rows(placed=True),
        lambda: _problems(engine, source),
    )


def _identity(source: _Source) -> Identity:
    stated = source.stated
    if isinstance(stated, TableSource):
        columns = [*source.contract.key_columns(stated), EVENT, ARRIVAL]
        return Identity(columns, EVENT, "table_rows_contradict", first_counts=False)
    return Identity([stated.id], stated.id, "source_id_repeated")


def _problems(engine: Engine, source: _Source) -> Iterator[Problem]:
    """All that is wrong with loaded rows that have a place."""
    table = events_of(source.stated)
    engine.execute(f"alter table {table} drop column _place")
    yield from _bad_values(engine, source)
    yield from _repeated(engine, source)


def _cut(engine: Engine, rows: RowsSource, start: int | None, end: int | None) -> None:
    """Leaves the rows with start <= event_ts < end."""
    bounds = [f"{EVENT} < {start:d}"] if start is not None else []
    bounds += [f"{EVENT} >= {end:d}"] if end is not None else []
    if bounds:
        engine.execute(f"delete from {events_of(rows)} where {' or '.join(bounds)}")


def _missing(source: _Source) -> Iterator[Problem]:
    """Columns that the file must have: without some moments an event arrives at once, and a value
    is known after its delay."""
    found = source.relation.types
    wanted = [c.place for c in columns_of(source.contract, source.stated) if not c.may_lack]
    if missing := [name for name in dict.fromkeys(wanted) if name not in found]:
        why, code = "the contract's source has them", "source_column_missing"
        columns, also = ", ".join(found)[:500], f"also {', '.join(missing)}"
        yield Problem(f"{source.shown}: columns", columns, also, why, code)


def _wrong_types(path: str, columns: Sequence[SourceColumn]) -> Iterator[Problem]:
    for column in columns:
        if not column.fits:
            where, code = f"{path}: {column.place}", "source_type_mismatch"
            yield Problem(where, column.type, column.wanted, column.why, code)


@dataclass(frozen=True)
class _Source:
    """The rows of a source that are loaded: those of start <= event_ts < end."""

    contract: Contract
    stated: RowsSource
    relation: Relation
    columns: Sequence[SourceColumn]
    start: int | None
    end: int | None

    def value(self, name: str) -> str:
        """A column by the engine's name; null where the file lacks it."""
        values = (column.value for column in self.columns if column.name == name)
        return next(values, "null::bigint")

    @property
    def shown(self) -> str:
        """What errors call the source."""
        return self.relation.files.shown

    def rows(self, *, placed: bool = False) -> str:
        """The columns as they are in the file and `_event`; other columns of it are not seen.

        placed: with the place of each row.
        """
        raw = self.relation.rows(sorted({c.place for c in self.columns}), placed=placed)
        event = self.value(EVENT)
        after = "true" if self.start is None else f"{event} >= {self.start:d}"
        before = "true" if self.end is None else f"{event} < {self.end:d}"
        return (
            f"select *, {event} as {EVENT} from ({raw})"
            f" where {event} is null or ({after} and {before})"
        )


def _convert(engine: Engine, source: _Source) -> None:
    """Makes the table; `_bad` are the rows that `_bad_values` describes."""
    kept = [c for c in source.columns if c.kind != "moment"]
    placed = bool(source.stated.quarantine)
    values = ", ".join(f"{column.value} as {quoted(column.name)}" for column in kept)
    label = label_of(source.contract, source.stated)
    stated = source.value(stated_column(label.column)) if label else "null::bigint"
    known = known_moments(source.stated, source.value)
    bad = bad_condition(source.columns)
    engine.execute(
        f"create or replace temp table {events_of(source.stated)} as select {values}, {EVENT},"
        f" coalesce({source.value(ARRIVAL)}, {EVENT}) as {ARRIVAL}, {stated} as {LABEL_STATED}"
        f"{known}, {bad} as _bad{', _place' if placed else ''}"
        f" from ({source.rows(placed=placed)})"
    )


def _unreadable(engine: Engine, source: _Source, error: EngineError) -> InputError:
    """Which columns the engine cannot read: a damaged file, text that is not UTF-8, moments
    beyond its range."""
    problems, rows = [], source.relation.rows
    for column in source.columns:
        try:
            engine.execute(f"select max(hash(_rows)) from ({rows([column.place])}) _rows")
        except EngineError as reason:
            where, wanted = f"{source.shown}: {column.place}", f"{column.wanted} that can be read"
            problems.append(Problem(where, str(reason), wanted, code="source_column_unreadable"))
    where, code = source.shown, "source_column_unreadable"
    return InputError(problems or [Problem(where, str(error), "a readable file", code=code)])


def _bad_values(engine: Engine, source: _Source) -> Iterator[Problem]:
    """What is wrong in each column: in how many rows, and the first of them with their values."""
    _, row_id = _called(source)
    placed = source.rows(placed=True)
    for column in source.columns:
        checks = list(column.checks)
        cases = " ".join(f"when {check.condition} then {n}" for n, check in enumerate(checks))
        if not checks:
            continue
        engine.execute(
            f"select _reason, count(*), arg_min({{'place': _place, 'value': {column.shown},"
            f" 'id': left({row_id}::varchar, 60)}}, _place, {_SHOWN})"
            f" from (select *, case {cases} end as _reason from ({placed}))"
            f" where _reason is not null group by _reason order by _reason"
        )
        for reason, count, rows in engine.fetchall():
            check, first, value = checks[reason], rows[0]["place"], rows[0]["value"]
            said = check.found if value is None else f"{check.found}, {value},"
            found = f"{said} in {count} rows (first in {_first_rows(source, rows)})"
            line = first["row"] if source.relation.files.lines else 0
            path, code = f"{source.shown}: {column.place}", check.code
            yield Problem(path, found, check.wanted, code=code, line=line)


def _called(source: _Source) -> tuple[str, str]:
    """What errors call a row of the file: a word, and the SQL of its value."""
    stated = source.stated
    if isinstance(stated, TableSource):
        places = source.contract.key_columns(stated).values()
        texts = ", ".join(f"{quoted(place)}::varchar" for place in places)
        return ", ".join(places), f"concat_ws(', ', {texts})"
    return stated.id, quoted(stated.id_column or stated.id)


def _named(contract: Contract, rows: RowsSource) -> str:
    """What errors call a loaded row, in SQL."""
    return row_name(contract, rows) if isinstance(rows, TableSource) else quoted(rows.id)


def _first_rows(source: _Source, rows: Sequence[Mapping[str, Any]]) -> str:
    """The places and ids of some rows, and the values of all but the first."""
    called, said = _called(source)[0], list[str]()
    for row in rows:
        where = source.relation.place(row["place"]["file"], row["place"]["row"])
        value = "" if not said or row["value"] is None else f": {row['value'][:20]}"
        said.append(f"{where}, {called} {row['id']}{value}")
    return "; ".join(said)


def _repeated(engine: Engine, source: _Source) -> Iterator[Problem]:
    """Ids in more than one row, and the rows of the first of them."""
    if isinstance(source.stated, TableSource):
        table = events_of(source.stated)
        yield from settled(engine, source.contract, source.stated, table, source.shown)
        return
    row_id, table = quoted(source.stated.id), events_of(source.stated)
    repeated = (
        f"select {row_id} from {table} where {row_id} is not null group by 1 having count(*) > 1"
    )
    (count,) = engine.row(f"select count(*) from ({repeated})")
    if not count:
        return
    engine.execute(
        f"select left(_id::varchar, 60), arg_min(_place, _place, {_SHOWN})"
        f" from (select {source.value(source.stated.id)} as _id, _place"
        f" from ({source.rows(placed=True)})) where _id in ({repeated})"
        f" group by _id order by min(_place) limit {_SHOWN}"
    )
    first = "; ".join(
        f"{one}: {', '.join(source.relation.place(p['file'], p['row']) for p in places)}"
        for one, places in engine.fetchall()
    )
    found = f"{count} ids in more than one row (first {first})"
    place = source.stated.id_column or source.stated.id
    where, code = f"{source.shown}: {place}", "source_id_repeated"
    yield Problem(where, found, "each id once", code=code)


def _set_aside(
    engine: Engine, contract: Contract, rows: RowsSource, clock: SourceClock
) -> tuple[int, str | None]:
    """Removes the rows beyond the clock; how many they were, and the id of one."""
    beyond, table = f"_event > {clock.latest:d} or _arrival > {clock.latest:d}", events_of(rows)
    if isinstance(rows, TableSource):  # a row may be created before its event
        beyond = f"_arrival > {clock.latest:d}"
    name = f"min({_named(contract, rows)})::varchar"
    count, example = engine.row(f"select count(*), {name} from {table} where {beyond}")
    if count:
        engine.execute(f"delete from {table} where {beyond}")
    return count, example


def _measured(
    engine: Engine,
    contract: Contract,
    source: RowsSource,
    path: Path,
    clock: SourceClock | None,
    aside: tuple[int, str | None],
    quarantined: Quarantined | None,
) -> TransactionSummary:
    label = label_of(contract, source)
    labelled = "0" if label is None else f"count({quoted(label.column)})"
    rows, labels, first, last, arrival = engine.row(
        f"select count(*), {labelled}, min(_event), max(_event), max(_arrival)"
        f" from {events_of(source)}"
    )
    return TransactionSummary(path, rows, labels, first, last, arrival, clock, *aside, quarantined)


def by_arrival(contract: Contract, path: Path | None, size: int) -> Iterator[list[dict[str, Any]]]:
    """A file's rows in order of arrival, `size` at a time, by column; nulls are left out.

    path: None: the contract's location of the observed rows. The columns are those of the
    contract's source that the file has; money is a decimal.
    """
    stated = contract.observations_of().rows
    wanted = sorted({column.place for column in columns_of(contract, stated)})
    with connect() as engine:
        with open_relation(engine, _location(stated, path), wanted) as relation:
            columns = source_columns(contract, stated, relation.types, relation.files.texts)
            source = _Source(contract, stated, relation, columns, None, None)
            cells = ", ".join(_sent(column) for column in columns)
            arrival = f"coalesce({source.value(ARRIVAL)}, {EVENT})"
            row_id = quoted(stated.id_column or stated.id)
            engine.execute(f"select {cells} from ({source.rows()}) order by {arrival}, {row_id}")
        while found := engine.fetchmany(size):
            yield [
                {c.place: cell for c, cell in zip(columns, row, strict=True) if cell is not None}
                for row in found
            ]


def _sent(column: SourceColumn) -> str:
    """A value as the file states it; one that cannot be converted is as it is, and is refused
    where it arrives."""
    if column.kind == "label":
        nothing = f" when isnan({column.raw}) then null" if column.type in FLOATING else ""
        stated = f"when {column.value} then '1' when not {column.value} then '0'"
        return f"case {stated}{nothing} else {column.raw}::varchar end"
    if column.kind != "money":
        return column.raw
    exact = f"{column.value}::decimal(18, 0) * {10**-column.scale:.{column.scale}f}"
    return f"coalesce(({exact})::varchar, {column.raw}::varchar)"
