"""Loads a Parquet file of transactions into the table `events`.

Money becomes exact integer minor units, moments become microseconds. A value that would make a
feature wrong is refused, with its count and an example.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple

from proviso.contracts.base import InputError, Problem
from proviso.contracts.contract import Column, Contract
from proviso.history.duckdb.engine import (
    Engine,
    EngineError,
    column_type,
    connect,
    literal,
    names,
    parquet_columns,
    quoted,
)
from proviso.history.values import MAX_MOMENT, TransactionSummary

EVENTS = "events"
"""The table of loaded transactions: the id, join keys and numeric columns under the contract's
names (money: integer minor units), the label's column as a boolean, and BIGINT microseconds
`_event`, `_arrival`, `_label_stated` (the label's own moment, null where it has none) and
`_label_known` (null where the label is null)."""

_INTEGERS = {"TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER"}
_FLOATS = {"FLOAT", "DOUBLE"}
_NANOSECONDS = {"TIMESTAMP_NS", "TIMESTAMPTZ_NS"}
_MOMENTS = {"TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP WITH TIME ZONE"} | _NANOSECONDS
_WANTED = {
    "moment": "a timestamp (no zone is UTC)",
    "string": "strings",
    "int64": "integers",
    "id": "strings or integers",
    "label": "0, 1, a boolean or null",
    "money": "a decimal or a number",
    "float64": "a number",
    "bool": "a boolean",
}
Kind = Literal["moment", "string", "int64", "id", "label", "money", "float64", "bool"]


class _Check(NamedTuple):
    """A condition that no row may meet, and what to say of the rows that do."""

    condition: str
    column: str
    found: str
    wanted: str
    code: str


def load_transactions(
    engine: Engine,
    contract: Contract,
    path: Path,
    start: int | None = None,
    end: int | None = None,
) -> TransactionSummary:
    """Makes the table `events` of the transactions with start <= event_ts < end.

    Raises InputError with every problem: a missing column, a wrong type, a value that would make
    a feature wrong, each with its count and an example.
    """
    found = parquet_columns(engine, path)
    wanted = _wanted_columns(contract)
    problems = [*_missing(path, contract, found, wanted), *_wrong_types(path, found, wanted)]
    if problems:
        raise InputError(problems)
    _convert(engine, contract, path, found, start, end)
    problems = list(_bad_values(engine, contract, path))
    if problems:
        raise InputError(problems)
    return _measured(engine, contract, path)


def _wanted_columns(contract: Contract) -> dict[str, Kind]:
    source = contract.source
    wanted: dict[str, Kind] = {source.id: "id", source.event_timestamp: "moment"}
    wanted |= {entity.join_key: entity.dtype for entity in contract.entities}
    wanted |= {name: column.dtype for name, column in source.columns.items()}
    wanted[source.label.column] = "label"
    return wanted | dict.fromkeys(_optional(contract), "moment")


def _optional(contract: Contract) -> set[str]:
    """Columns that a file may lack: without them an event arrives at once, a label after delay."""
    source = contract.source
    return {name for name in (source.arrival_timestamp, source.label.known_at) if name is not None}


def _missing(
    path: Path, contract: Contract, found: dict[str, str], wanted: dict[str, Kind]
) -> list[Problem]:
    missing = [name for name in wanted if name not in found and name not in _optional(contract)]
    if not missing:
        return []
    columns = ", ".join(found)
    also = f"also {', '.join(missing)}"
    return [
        Problem(
            f"{path}: columns",
            columns,
            also,
            "the contract's source has them",
            code="source_column_missing",
        )
    ]


def _wrong_types(path: Path, found: dict[str, str], wanted: dict[str, Kind]) -> list[Problem]:
    return [
        Problem(
            f"{path}: {name}",
            found[name],
            _WANTED[kind],
            "the contract's type",
            code="source_type_mismatch",
        )
        for name, kind in wanted.items()
        if name in found and not _fits(found[name], kind)
    ]


def _fits(found: str, kind: Kind) -> bool:
    integer, number = found in _INTEGERS, found in _INTEGERS | _FLOATS
    return {
        "moment": found in _MOMENTS,
        "string": found == "VARCHAR",
        "int64": integer,
        "id": integer or found == "VARCHAR",
        "label": number or found == "BOOLEAN",
        "money": number or found.startswith("DECIMAL"),
        "float64": number or found.startswith("DECIMAL"),
        "bool": found == "BOOLEAN",
    }[kind]


def _convert(
    engine: Engine,
    contract: Contract,
    path: Path,
    found: dict[str, str],
    start: int | None,
    end: int | None,
) -> None:
    """Makes the table; what cannot be converted becomes null or `_bad`, and is judged after."""
    source = contract.source
    event = _microseconds(source.event_timestamp, found)
    stated = "null::bigint"
    if source.label.known_at in found:
        stated = _microseconds(source.label.known_at, found)
    known = f"coalesce({stated}, _event + {source.label.delay:d})"
    arrival = "_event"
    if source.arrival_timestamp in found:
        arrival = f"coalesce({_microseconds(source.arrival_timestamp, found)}, _event)"
    label = quoted(source.label.column)
    truth = f"case {label} when 1 then true when 0 then false end"
    keys = names(*(entity.join_key for entity in contract.entities))
    columns = "".join(
        f", {_value(name, column, found[name])} as {quoted(name)}"
        for name, column in source.columns.items()
    )
    refused = " + ".join(
        ["0", *(f"({_refusal(n, c, found[n])})::int" for n, c in source.columns.items())]
    )
    try:
        engine.execute(
            f"create or replace temp table {EVENTS} as with timed as (select *, {event} as _event"
            f" from read_parquet({literal(path)})) select {quoted(source.id)}, {keys}{columns},"
            f" {truth} as {label}, _event, {arrival} as _arrival, {stated} as _label_stated,"
            f" case when {truth} is not null then {known} end as _label_known,"
            f" {truth} is null and {_stated(label, found[source.label.column])} as _bad_label,"
            f" {refused} as _bad from timed where _event is null or _event between"
            f" {start if start is not None else -(2**62):d} and"
            f" {end - 1 if end is not None else 2**62:d}"
        )
    except EngineError as error:
        wanted = "values of the contract's types"
        raise InputError.of(path, str(error), wanted, code="source_value_invalid") from error


def _stated(label: str, found: str) -> str:
    """Whether a label says something; NaN is how some tools write null."""
    return f"not isnan({label})" if found in _FLOATS else f"{label} is not null"


def _microseconds(column: str | None, found: dict[str, str]) -> str:
    name = quoted(column or "")
    if found[column or ""] in _NANOSECONDS:
        return f"epoch_ns({name}) // 1000"
    return f"epoch_us({name})"


def _value(name: str, column: Column, found: str) -> str:
    if column.dtype != "money":
        return f"cast({quoted(name)} as {column_type(column.dtype)})"
    return f"try_cast(round({_scaled(name, column, found)}) as bigint)"


def _scaled(name: str, column: Column, found: str) -> str:
    """Minor units before rounding; exact for decimals."""
    if found in _FLOATS:
        return f"{quoted(name)}::double * {10**column.scale}"
    return f"{quoted(name)}::decimal(38, 12) * {10**column.scale}"


def _refusal(name: str, column: Column, found: str) -> str:
    """Whether a value must be refused: null, not finite, or finer than a minor unit."""
    value, reasons = quoted(name), [f"{quoted(name)} is null"]
    if found in _FLOATS:
        reasons.append(f"not isfinite({value})")
    if column.dtype == "money":
        minor = _scaled(name, column, found)
        reasons += [f"abs({minor} - round({minor})) > 1e-6", f"abs({minor}) >= {2**53}"]
    return f"coalesce({' or '.join(reasons)}, true)"


def _bad_values(engine: Engine, contract: Contract, path: Path) -> Iterator[Problem]:
    source = contract.source
    row_id = quoted(source.id)
    moments = " or ".join(
        f"{moment} < 0 or {moment} >= {MAX_MOMENT}"
        for moment in ("_event", "_arrival", "_label_known")
    )
    checks = [
        _Check(f"{row_id} is null", source.id, "null", "an id in every row", "source_id_null"),
        _Check(
            "_event is null",
            source.event_timestamp,
            "null",
            "a moment in every row",
            "source_event_null",
        ),
        _Check(
            "_bad > 0",
            ", ".join(source.columns),
            "null, NaN, infinity or too many decimals",
            "finite values, money in whole minor units",
            "source_value_invalid",
        ),
        _Check(
            "_bad_label",
            source.label.column,
            "another value",
            "0, 1 or null",
            "source_label_invalid",
        ),
        _Check(
            moments,
            "moments",
            "a year before 1970 or after 2255",
            "a year between",
            "source_moment_out_of_range",
        ),
        *(
            _Check(f"{quoted(key)} is null", key, "null", "a key in every row", "source_key_null")
            for key in (entity.join_key for entity in contract.entities)
        ),
    ]
    for check in checks:
        count, example = engine.row(
            f"select count(*), min({row_id}) from {EVENTS} where {check.condition}"
        )
        if count:
            found = f"{check.found} in {count} rows (such as {source.id} {example})"
            yield Problem(f"{path}: {check.column}", found, check.wanted, code=check.code)
    repeated = engine.execute(
        f"select {row_id} from {EVENTS} where {row_id} is not null"
        f" group by 1 having count(*) > 1 order by 1"
    ).fetchall()
    if repeated:
        found = f"{len(repeated)} ids in more than one row (such as {repeated[0][0]})"
        path_of_id = f"{path}: {source.id}"
        yield Problem(path_of_id, found, "each id once", code="source_id_repeated")


def _measured(engine: Engine, contract: Contract, path: Path) -> TransactionSummary:
    label = quoted(contract.source.label.column)
    row = engine.row(
        f"select count(*), count({label}), min(_event), max(_event), max(_arrival) from {EVENTS}"
    )
    return TransactionSummary(path, *row)


def by_arrival(contract: Contract, path: Path, size: int) -> Iterator[list[dict[str, Any]]]:
    """A file's rows in order of arrival, `size` at a time, by column; nulls are left out.

    The columns are those of the contract's source that the file has, as they are in it.
    """
    source = contract.source
    wanted = [source.id, source.event_timestamp, source.arrival_timestamp]
    wanted += [*(entity.join_key for entity in contract.entities), *source.columns]
    wanted += [source.label.column, source.label.known_at]
    with connect() as engine:
        found = parquet_columns(engine, path)
        columns = [name for name in wanted if name in found]
        event, arrival = quoted(source.event_timestamp), source.arrival_timestamp
        order = f"coalesce({quoted(arrival)}, {event})" if arrival in found else event
        engine.execute(
            f"select {names(*columns)} from read_parquet({literal(path)})"
            f" order by {order}, {quoted(source.id)}"
        )
        while rows := engine.fetchmany(size):
            yield [
                {n: cell for n, cell in zip(columns, row, strict=True) if cell is not None}
                for row in rows
            ]
