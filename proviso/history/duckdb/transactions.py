"""Reads the source: a Parquet file of transactions becomes the table that everything starts from.

Money becomes exact integer minor units, moments become microseconds, and whatever would make a
feature wrong without anybody noticing is refused here, with its count and an example.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from proviso.contracts.base import InputError, Problem
from proviso.contracts.contract import Column, Contract
from proviso.history.duckdb.engine import (
    Engine,
    EngineError,
    column_type,
    literal,
    names,
    parquet_columns,
    quoted,
)

EVENTS = "events"
MAX_MOMENT = 2**53
"""Microseconds until the year 2255; the online store's numbers are exact up to here."""

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


@dataclass(frozen=True)
class Transactions:
    """What was loaded into the table `events`; moments in microseconds, None where there is no row.

    The table has the id, join keys and numeric columns under the contract's names (money as
    integer minor units), the label's column as a boolean, and `_event`, `_arrival`,
    `_label_known` (null where the label is null): BIGINT microseconds.
    """

    path: Path
    rows: int
    labelled: int
    first_event: int | None
    last_event: int | None
    last_arrival: int | None

    @property
    def last_moment(self) -> int | None:
        """The last event or arrival."""
        if self.last_event is None or self.last_arrival is None:
            return None
        return max(self.last_event, self.last_arrival)

    @property
    def whole_until(self) -> int:
        """All that has arrived before this moment is here, if the file was cut between moments."""
        return 0 if self.last_arrival is None else self.last_arrival + 1


def load_transactions(
    engine: Engine,
    contract: Contract,
    path: Path,
    start: int | None = None,
    end: int | None = None,
) -> Transactions:
    """Loads the transactions with start <= event_ts < end. Raises InputError with every problem."""
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
    return [Problem(f"{path}: columns", columns, f"also {', '.join(missing)}", "the contract")]


def _wrong_types(path: Path, found: dict[str, str], wanted: dict[str, Kind]) -> list[Problem]:
    return [
        Problem(f"{path}: {name}", found[name], _WANTED[kind], "the contract's type")
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
    known = f"_event + {source.label.delay:d}"
    if source.label.known_at in found:
        known = f"coalesce({_microseconds(source.label.known_at, found)}, {known})"
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
            f" {truth} as {label}, _event, {arrival} as _arrival,"
            f" case when {truth} is not null then {known} end as _label_known,"
            f" {truth} is null and {_stated(label, found[source.label.column])} as _bad_label,"
            f" {refused} as _bad from timed where _event is null or _event between"
            f" {start if start is not None else -(2**62):d} and"
            f" {end - 1 if end is not None else 2**62:d}"
        )
    except EngineError as error:
        raise InputError.of(path, str(error), "values of the contract's types") from error


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
    checks = {
        f"{row_id} is null": (source.id, "null", "an id in every row", "rows are told apart by it"),
        "_event is null": (source.event_timestamp, "null", "a moment in every row", ""),
        "_bad > 0": (
            ", ".join(source.columns),
            "null, NaN, infinity or too many decimals",
            "finite values, money in whole minor units",
            "sums are exact or wrong",
        ),
        "_bad_label": (source.label.column, "another value", "0, 1 or null", ""),
        " or ".join(
            f"{moment} < 0 or {moment} >= {MAX_MOMENT}"
            for moment in ("_event", "_arrival", "_label_known")
        ): ("moments", "a year before 1970 or after 2255", "years between", ""),
    }
    checks |= {
        f"{quoted(e.join_key)} is null": (e.join_key, "null", "a key in every row", "")
        for e in contract.entities
    }
    for condition, (column, what, wanted, why) in checks.items():
        count, example = engine.row(
            f"select count(*), min({row_id}) from {EVENTS} where {condition}"
        )
        if count:
            found = f"{what} in {count} rows (such as {source.id} {example})"
            yield Problem(f"{path}: {column}", found, wanted, why)
    repeated = engine.execute(
        f"select {row_id} from {EVENTS} where {row_id} is not null"
        f" group by 1 having count(*) > 1 order by 1"
    ).fetchall()
    if repeated:
        found = f"{len(repeated)} ids in more than one row (such as {repeated[0][0]})"
        yield Problem(f"{path}: {source.id}", found, "each id once", "an event counts once")


def _measured(engine: Engine, contract: Contract, path: Path) -> Transactions:
    label = quoted(contract.source.label.column)
    row = engine.row(
        f"select count(*), count({label}), min(_event), max(_event), max(_arrival) from {EVENTS}"
    )
    return Transactions(path, *row)
