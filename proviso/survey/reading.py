"""Counts and samples the columns of a table, wherever it lies, in bounded memory.

The rows come from `proviso.sources`, as every other command's do. Numbers of rows, nulls, extremes
and uniqueness are of all rows; what pairs of columns are to each other is decided from a sample of
rows that is the same in each run.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from proviso.contracts.base import InputError
from proviso.contracts.files import replacing
from proviso.contracts.locations import CsvFormat, Location
from proviso.sources import SourceFiles, open_source
from proviso.sources.tables import LINE
from proviso.survey.csv_types import TextType, literal, quoted, text_types
from proviso.survey.facts import ColumnFacts, Kind, TableFacts, Value
from proviso.survey.places import Place

SAMPLE_ROWS = 20_000
EXACT_ROWS = 1_000_000
"""Rows up to which values are counted exactly."""
MAX_COLUMNS = 500
_LONGEST_TEXT = 200
_INTEGERS = {
    *("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT"),
    *("UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "UHUGEINT"),
}
_KINDS: dict[str, Kind] = {
    **dict.fromkeys(_INTEGERS, "integer"),
    **dict.fromkeys(("FLOAT", "DOUBLE"), "float"),
    **dict.fromkeys(("VARCHAR", "UUID"), "text"),
    **dict.fromkeys(("TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS"), "timestamp"),
    **dict.fromkeys(("TIMESTAMP_NS", "TIMESTAMP WITH TIME ZONE"), "timestamp"),
    "BOOLEAN": "boolean",
    "DATE": "date",
}


@dataclass(frozen=True)
class _Opened:
    """Rows as a view `_rows`. texts: of columns that are text in their files, what they are."""

    connection: duckdb.DuckDBPyConnection
    location: Location
    texts: Mapping[str, TextType]


def read_table(place: Place) -> TableFacts:
    """What is counted of a table. Raises InputError."""
    with _rows(place.location) as opened:
        return _facts(opened, place.name)


def copy_as_parquet(table: TableFacts, path: Path) -> None:
    """Writes a table as one Parquet file, with the types that were found. Raises InputError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with _rows(table.location) as opened, replacing(path) as temporary:
        target = literal(str(temporary))
        opened.connection.execute(f"copy _rows to {target} (format parquet)")


@contextmanager
def _rows(location: Location) -> Iterator[_Opened]:
    """A location's rows, with types; errors of the engine are the data's."""
    with tempfile.TemporaryDirectory() as copies, duckdb.connect() as connection:
        connection.execute("set timezone = 'UTC'")
        connection.execute("set preserve_insertion_order = true")
        with open_source(location, None, Path(copies)) as files:
            try:
                yield _opened(connection, location, files)
            except duckdb.Error as error:
                message = str(error).strip().splitlines()[0]
                raise InputError.event("data_unreadable", message, files.shown) from None


def _opened(
    connection: duckdb.DuckDBPyConnection, location: Location, files: SourceFiles
) -> _Opened:
    paths = "[" + ", ".join(literal(str(path)) for path in files.paths) + "]"
    line = f" exclude ({LINE})" if files.lines else ""
    connection.execute(
        f"create temp view _raw as select *{line}"
        f" from read_parquet({paths}, union_by_name = true, hive_partitioning = false)"
    )
    names = [str(row[0]) for row in _all(connection, "describe _raw")]
    found = text_types(connection, "_raw", [name for name in names if name in files.texts])
    values = ", ".join(
        f"{found.columns[name].value} as {quoted(name)}" if name in found.columns else quoted(name)
        for name in names
    )
    connection.execute(f"create temp view _rows as select {values} from _raw")
    csv = CsvFormat(delimiter=location.csv.delimiter, nulls=[*found.nulls])
    stated = location.model_copy(update={"csv": csv}) if found.nulls else location
    return _Opened(connection, stated, found.columns)


def _facts(opened: _Opened, name: str) -> TableFacts:
    connection, shown = opened.connection, opened.location.shown
    described = [(str(row[0]), str(row[1])) for row in _all(connection, "describe _rows")]
    if len(described) > MAX_COLUMNS:
        found, wanted = f"{len(described)} columns", f"at most {MAX_COLUMNS}"
        raise InputError.of(shown, found, wanted, code="data_too_wide")
    [[rows]] = _all(connection, "select count(*) from _rows")
    if rows == 0:
        raise InputError.of(shown, "no rows", "at least one row", code="data_without_rows")
    sample = _sample(connection, described, int(rows))
    columns = [
        _column(opened, column, engine_type, int(rows), values)
        for (column, engine_type), values in zip(described, sample, strict=True)
    ]
    return TableFacts(name, opened.location, int(rows), tuple(columns))


def _sample(
    connection: duckdb.DuckDBPyConnection, columns: Sequence[tuple[str, str]], rows: int
) -> list[tuple[Value, ...]]:
    """The values of each column in about SAMPLE_ROWS rows."""
    chosen = "" if rows <= SAMPLE_ROWS else _share(SAMPLE_ROWS / rows)
    values = ", ".join(_value(quoted(name), _kind(name_type)) for name, name_type in columns)
    connection.execute("set threads = 1")  # more would make the sample differ from run to run
    sampled = _all(connection, f"select {values} from _rows {chosen}")
    connection.execute("reset threads")
    return list(zip(*sampled, strict=True)) if sampled else [() for _ in columns]


def _share(share: float) -> str:
    return f"using sample {100 * share:.9f} percent (bernoulli, 1)"


def _value(column: str, kind: Kind) -> str:
    """A column's value as Python has it: moments in microseconds, text cut short."""
    if kind in ("timestamp", "date"):
        return f"try(epoch_us({column}::timestamp))"
    if kind == "decimal":
        return f"{column}::double"
    if kind == "text":
        return f"left({column}::varchar, {_LONGEST_TEXT})"
    return column if kind in ("integer", "float", "boolean") else "null::integer"


def _kind(engine_type: str) -> Kind:
    if engine_type.startswith("DECIMAL("):
        return "decimal"
    return _KINDS.get(engine_type, "other")


def _column(
    opened: _Opened, name: str, engine_type: str, rows: int, sample: tuple[Value, ...]
) -> ColumnFacts:
    kind, raw = _kind(engine_type), quoted(name)
    ordered = kind not in ("text", "other")
    value = _value(raw, kind)
    extremes = f"min({value}), max({value})" if ordered else "null, null"
    counter = "count(distinct" if rows <= EXACT_ROWS else "approx_count_distinct("
    counted = f"select count({raw}), {counter} {raw}), {extremes} from _rows"
    [[present, about, low, high]] = _all(opened.connection, counted)
    unique, distinct = _unique(opened, raw, kind, int(present), int(about), rows)
    text = opened.texts.get(name)
    return ColumnFacts(
        name,
        kind if present else "empty",
        engine_type,
        rows - int(present),
        distinct,
        unique,
        sample,
        low,
        high,
        _scale(engine_type),
        text.form if text else "",
    )


def _unique(
    opened: _Opened, raw: str, kind: Kind, present: int, about: int, rows: int
) -> tuple[bool, int]:
    """Whether every row has a value of its own, and the number of values."""
    if kind not in ("integer", "text") or present < rows or about < 0.8 * rows:
        return False, min(about, present)
    [[distinct]] = _all(opened.connection, f"select count(distinct {raw}) from _rows")
    return int(distinct) == rows, int(distinct)


def _scale(engine_type: str) -> int:
    return int(engine_type[:-1].split(",")[1]) if engine_type.startswith("DECIMAL(") else 0


def _all(connection: duckdb.DuckDBPyConnection, query: str) -> list[tuple[Any, ...]]:
    return connection.execute(query).fetchall()
