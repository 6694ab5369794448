"""A DuckDB session: queries, their errors, and SQL text of names, literals and types.

The only module that imports duckdb.

Times inside the engine are BIGINT microseconds, UTC; timestamps exist only in files. Names go
into SQL quoted and only after the contract's pattern; values as parameters or literals made here.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from proviso.contracts.base import InputError, Problem
from proviso.contracts.files import Replacements, replacing
from proviso.history.values import DEFAULT_MEMORY

_FILE_ERRORS = (
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EFBIG,
    errno.EACCES,
    errno.EPERM,
    errno.EROFS,
    errno.ENOENT,
    errno.ENOTDIR,
    errno.EISDIR,
    errno.EMFILE,
    errno.EIO,
)
_TYPES = {"string": "VARCHAR", "int64": "BIGINT", "float64": "DOUBLE", "bool": "BOOLEAN"}


class EngineError(InputError):
    """The engine refused a query: a file that it cannot read, or SQL of the contract.

    Callers that know which of them it was raise another error in its place.
    """

    def __init__(self, reason: str) -> None:
        super().__init__([Problem("engine", code="engine_failed", message=reason)])
        self.reason = reason

    def __str__(self) -> str:
        return self.reason


class Engine:
    """One DuckDB session in memory that spills into a directory of its own."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection

    def execute(self, query: str, parameters: Sequence[Any] = ()) -> Engine:
        """Runs a query; its rows are then fetched from this engine. Raises EngineError."""
        with _errors():
            self._connection.execute(query, list(parameters))
        return self

    def fetchall(self) -> list[tuple[Any, ...]]:
        """All rows of the last query."""
        return self._connection.fetchall()

    def fetchmany(self, count: int) -> list[tuple[Any, ...]]:
        """The next rows of the last query; empty at its end."""
        return self._connection.fetchmany(count)

    def row(self, query: str, parameters: Sequence[Any] = ()) -> tuple[Any, ...]:
        """The first row of a query that has one."""
        return self.execute(query, parameters).fetchall()[0]

    def batches(self, query: str, rows: int = 65_536) -> pa.RecordBatchReader:
        """A query's result as Arrow batches of at most `rows` rows. Raises EngineError."""
        with _errors():
            return self._connection.sql(query).to_arrow_reader(rows)

    def lend(self, name: str, table: pa.Table) -> None:
        """Lets queries read an Arrow table under a name, in place of what had it before."""
        with _errors():
            self._connection.register(name, table)

    @contextmanager
    def in_order(self) -> Iterator[None]:
        """Inside the block what is read in an order is written in it, without being sorted."""
        self.execute("set preserve_insertion_order = true")
        try:
            yield
        finally:
            self.execute("set preserve_insertion_order = false")


@contextmanager
def _errors() -> Iterator[None]:
    """Raises EngineError for an error of DuckDB, InputError where it ran out of memory.

    An error of a file is an OSError, as it is of any other code that reads or writes it.
    """
    try:
        yield
    except duckdb.OutOfMemoryException as error:
        message = "the engine ran out of memory and of what it could spill"
        why = "raise --memory"
        raise InputError.event("engine_out_of_memory", message, "--memory", why) from error
    except duckdb.Error as error:
        if isinstance(error, duckdb.IOException) and (known := _file_error(str(error))):
            raise known from error
        raise EngineError(_reason(error)) from error


def _reason(error: duckdb.Error) -> str:
    """The error's first paragraph: behind it come the text of our query and DuckDB's stack."""
    return " ".join(str(error).split("\n\n")[0].split())[:500]


def _file_error(text: str) -> OSError | None:
    """The operating system's error that DuckDB reports in its own words, and the file's name."""
    number = next((number for number in _FILE_ERRORS if os.strerror(number) in text), None)
    if number is None:
        return None
    named = re.search(r'(?:file|directory) \\?"([^"\\]+)', text)
    return OSError(number, os.strerror(number), named[1] if named else None)


@contextmanager
def connect(memory: str = DEFAULT_MEMORY) -> Iterator[Engine]:
    """An engine of at most `memory` (such as 4GB); its spilled data goes when it closes."""
    spill = tempfile.mkdtemp(prefix="proviso-engine-")
    config: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": memory,
        "temp_directory": spill,
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
        "preserve_insertion_order": False,
    }
    try:
        connection = duckdb.connect(config=config)
    except duckdb.Error as error:
        shutil.rmtree(spill, ignore_errors=True)
        raise InputError.of(
            "--memory", memory, "a size such as 4GB", code="engine_memory_invalid"
        ) from error
    try:
        connection.execute("set timezone='UTC'")
        yield Engine(connection)
    finally:
        connection.close()
        shutil.rmtree(spill, ignore_errors=True)


def quoted(name: str) -> str:
    """An identifier for SQL."""
    return '"' + name.replace('"', '""') + '"'


def names(*columns: str, of: str = "") -> str:
    """A list of identifiers, each of the table `of` where one is given."""
    prefix = f"{of}." if of else ""
    return ", ".join(prefix + quoted(column) for column in columns)


def literal(text: str | Path) -> str:
    """A string literal for SQL."""
    return "'" + str(text).replace("'", "''") + "'"


def parquet_rows(*paths: Path, more: str = "") -> str:
    """Parquet files as a table of SQL: these very files, with the columns that are in them.

    Neither is a name read as a pattern nor a folder such as `amount=5` as a column. more: further
    options, as in `file_row_number = true`.
    """
    files = ", ".join(literal(re.sub(r"([\[*?])", r"[\1]", str(path))) for path in paths)
    options = f", {more}" if more else ""
    return f"read_parquet([{files}], hive_partitioning = false{options})"


def column_type(dtype: str) -> str:
    """The engine's type of a contract's dtype."""
    return _TYPES[dtype]


def write_parquet(
    engine: Engine,
    query: str,
    path: Path,
    notes: Mapping[str, str] | None = None,
    files: Replacements | None = None,
) -> int:
    """Writes a query's rows to `path`, all or nothing; returns how many.

    notes: the file's key-value metadata. files: with which others it takes its place together.
    Raises EngineError, OSError.
    """
    stated = ", ".join(f"{literal(key)}: {literal(text)}" for key, text in (notes or {}).items())
    note = f", kv_metadata {{{stated}}}" if stated else ""
    # DuckDB would write beside the file and rename it, too: this file is beside its place already.
    options = f"format parquet, compression zstd, compression_level 1, use_tmp_file false{note}"
    with replacing(path) if files is None else files.writing(path) as temporary:
        return int(engine.row(f"copy ({query}) to {literal(temporary)} ({options})")[0])
