"""Counts and samples the columns of Parquet and CSV files, in one pass and bounded memory.

Numbers of rows, nulls, extremes and uniqueness are of all rows; what pairs of columns are to each
other is decided from a sample of rows that is the same in each run.
"""

from __future__ import annotations

import gzip
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any, Literal, cast

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from proviso.contracts.base import InputError
from proviso.contracts.files import check_is_file, replacing
from proviso.survey.facts import ColumnFacts, Kind, TableFacts, Value
from proviso.survey.names import plain_name

SAMPLE_ROWS = 20_000
EXACT_ROWS = 1_000_000
"""Rows up to which values are counted exactly."""
MAX_TABLES = 50
MAX_COLUMNS = 500
FORMATS: dict[str, Literal["parquet", "csv"]] = {
    ".parquet": "parquet",
    ".pq": "parquet",
    ".csv": "csv",
    ".csv.gz": "csv",
    ".tsv": "csv",
}
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


def read_tables(place: Path) -> tuple[TableFacts, ...]:
    """The tables of a file, or of a folder's files. Raises InputError.

    In a folder each file is a table; files of the same columns that lie in one subfolder, or whose
    names differ in digits only, are one.
    """
    if not place.is_dir():
        check_is_file(place, "a Parquet or CSV file, or a folder of them")
        return (_table(_stem(place), str(place), [place]),)
    tables = _grouped(place, _files(place))
    return tuple(_table(name, shown, paths) for name, shown, paths in tables)


def copy_as_parquet(table: TableFacts, path: Path) -> None:
    """Writes a table as one Parquet file, with the types that were guessed. Raises InputError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with duckdb.connect() as connection, replacing(path) as temporary:
        connection.execute("set timezone = 'UTC'")
        try:
            _open(connection, table.format, [Path(table.place)])
            connection.execute(f"copy _rows to {_literal(str(temporary))} (format parquet)")
        except duckdb.Error as error:
            raise _unreadable(error, table.place) from None


def format_of(name: str) -> Literal["parquet", "csv"] | None:
    """What a file's name says it is."""
    low = name.lower()
    return next((kind for ending, kind in FORMATS.items() if low.endswith(ending)), None)


def _files(folder: Path) -> list[Path]:
    files = sorted(
        path
        for path in folder.rglob("*")
        if path.is_file()
        and format_of(path.name)
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    )
    if not files:
        wanted = f"files that end with {', '.join(FORMATS)}"
        raise InputError.of(folder, "none", wanted, code="data_missing")
    return files


def _grouped(folder: Path, files: Sequence[Path]) -> list[tuple[str, str, list[Path]]]:
    """Name, place and files of each table of a folder."""
    groups: dict[tuple[str, str], list[Path]] = {}
    for path in files:
        groups.setdefault((_common_name(folder, path), _columns(path)), []).append(path)
    if len(groups) > MAX_TABLES:
        wanted = f"at most {MAX_TABLES}"
        raise InputError.of(folder, f"{len(groups)} tables", wanted, code="data_too_wide")
    alone = Counter(name for name, _ in groups)
    return [
        table
        for (name, _), paths in groups.items()
        for table in (
            [(name, _pattern(folder, paths), paths)]
            if alone[name] == 1 and len(paths) > 1
            else [(_stem(path), str(path), [path]) for path in paths]
        )
    ]


def _common_name(folder: Path, path: Path) -> str:
    """What the files of one table have in common: their subfolder, or their name without digits.

    `payments_2024-01.csv` and `payments_2024-02.csv` are both payments.
    """
    inside = path.relative_to(folder)
    if len(inside.parts) > 1:
        return inside.parts[0]
    return _stem(path).rstrip("0123456789-_ ") or _stem(path)


def _columns(path: Path) -> str:
    """What tells whether two files have the same columns."""
    if format_of(path.name) == "parquet":
        try:
            return str(pq.read_schema(path).remove_metadata())
        except (pa.ArrowException, OSError) as error:
            raise _unreadable(error, path) from None
    with _opened(path) as file:
        return file.readline(1 << 16).decode(errors="replace")


def _opened(path: Path) -> IO[bytes]:
    return cast(IO[bytes], gzip.open(path)) if path.suffix == ".gz" else path.open("rb")


def _pattern(folder: Path, paths: Sequence[Path]) -> str:
    """A pattern that all of a table's files fit, and no other file of the folder."""
    inside = paths[0].relative_to(folder)
    ending = "".join(paths[0].suffixes[-2:]) if paths[0].suffix == ".gz" else paths[0].suffix
    if len(inside.parts) > 1:
        return str(folder / inside.parts[0] / "**" / f"*{ending}")
    return str(folder / f"{_common_name(folder, paths[0])}*{ending}")


def _stem(path: Path) -> str:
    return path.name.split(".", 1)[0]


def _table(name: str, shown: str, paths: list[Path]) -> TableFacts:
    kind = format_of(paths[0].name)
    if kind is None:
        wanted = f"a file that ends with {', '.join(FORMATS)}"
        raise InputError.of(
            paths[0], paths[0].suffix or "no ending", wanted, code="data_format_unknown"
        )
    with duckdb.connect() as connection:
        connection.execute("set timezone = 'UTC'")
        connection.execute("set preserve_insertion_order = true")
        try:
            _open(connection, kind, paths)
            return _facts(connection, plain_name(name) or "data", shown, kind)
        except duckdb.Error as error:
            raise _unreadable(error, shown) from None


def _unreadable(error: Exception, place: object) -> InputError:
    message = str(error).strip().splitlines()[0]
    return InputError.event("data_unreadable", message, place)


def _open(connection: duckdb.DuckDBPyConnection, kind: str, paths: Sequence[Path]) -> None:
    """The files as a view `_rows`. A CSV file's types are guessed from all of its rows."""
    read = "read_parquet(?)"
    if kind == "csv":
        read = "read_csv(?, header = true, sample_size = -1, nullstr = ['', 'NA', 'NULL', 'null'])"
    # A view takes no parameters; a table of a CSV file may spill, and is read once.
    files = "[" + ", ".join(_literal(str(path)) for path in paths) + "]"
    made = "view" if kind == "parquet" else "table"
    connection.execute(f"create temp {made} _rows as from {read.replace('?', files)}")


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _facts(
    connection: duckdb.DuckDBPyConnection, name: str, shown: str, kind: Literal["parquet", "csv"]
) -> TableFacts:
    described = [(str(row[0]), str(row[1])) for row in _all(connection, "describe _rows")]
    if len(described) > MAX_COLUMNS:
        found, wanted = f"{len(described)} columns", f"at most {MAX_COLUMNS}"
        raise InputError.of(shown, found, wanted, code="data_too_wide")
    [[rows]] = _all(connection, "select count(*) from _rows")
    if rows == 0:
        raise InputError.of(shown, "no rows", "at least one row", code="data_without_rows")
    sample = _sample(connection, described, int(rows))
    columns = [
        _column(connection, column, engine_type, int(rows), values)
        for (column, engine_type), values in zip(described, sample, strict=True)
    ]
    return TableFacts(name, shown, kind, int(rows), tuple(columns))


def _sample(
    connection: duckdb.DuckDBPyConnection, columns: Sequence[tuple[str, str]], rows: int
) -> list[tuple[Value, ...]]:
    """The values of each column in about SAMPLE_ROWS rows."""
    chosen = "" if rows <= SAMPLE_ROWS else _share(SAMPLE_ROWS / rows)
    values = ", ".join(_value(_quoted(name), _kind(name_type)) for name, name_type in columns)
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
    connection: duckdb.DuckDBPyConnection,
    name: str,
    engine_type: str,
    rows: int,
    sample: tuple[Value, ...],
) -> ColumnFacts:
    kind, raw = _kind(engine_type), _quoted(name)
    ordered = kind not in ("text", "other")
    value = _value(raw, kind)
    extremes = f"min({value}), max({value})" if ordered else "null, null"
    counter = "count(distinct" if rows <= EXACT_ROWS else "approx_count_distinct("
    counted = f"select count({raw}), {counter} {raw}), {extremes} from _rows"
    [[present, about, low, high]] = _all(connection, counted)
    unique, distinct = _unique(connection, raw, kind, int(present), int(about), rows)
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
    )


def _unique(
    connection: duckdb.DuckDBPyConnection, raw: str, kind: Kind, present: int, about: int, rows: int
) -> tuple[bool, int]:
    """Whether every row has a value of its own, and the number of values."""
    if kind not in ("integer", "text") or present < rows or about < 0.8 * rows:
        return False, min(about, present)
    [[distinct]] = _all(connection, f"select count(distinct {raw}) from _rows")
    return int(distinct) == rows, int(distinct)


def _scale(engine_type: str) -> int:
    return int(engine_type[:-1].split(",")[1]) if engine_type.startswith("DECIMAL(") else 0


def _all(connection: duckdb.DuckDBPyConnection, query: str) -> list[tuple[Any, ...]]:
    return connection.execute(query).fetchall()
