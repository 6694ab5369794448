"""Parquet files without some of their rows: read and written one row group at a time."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from proviso.contracts.files import Replacements
from proviso.forget.subject import Subject
from proviso.history.files import unreadable


@dataclass(frozen=True)
class Rows:
    """The rows of a file that are the subject's: of a table that names it, those with its key; of
    another, those of its transactions.

    columns: the file's columns that decide; none: nothing in the file says whose a row is.
    """

    columns: tuple[str, ...]
    values: frozenset[str]

    def mask(self, table: pa.Table) -> pa.ChunkedArray:
        """Which rows of a table are the subject's. Ids are compared as text: 7 is "7"."""
        wanted = pa.array(sorted(self.values), pa.string())
        found = pa.chunked_array([pa.array([False] * table.num_rows, pa.bool_())])
        for name in self.columns:
            said = pc.is_in(table[name].cast(pa.string()), value_set=wanted)
            found = pc.or_(found, said)
        return found


def rows_of(path: Path, subject: Subject, transactions: Collection[str]) -> Rows:
    """How a file's rows are told apart. transactions: the ids of the subject's own."""
    names = read_names(path)
    if keys := tuple(name for name in names if name in subject.keys):
        return Rows(keys, frozenset({str(subject.value)}))
    return Rows(tuple(n for n in names if n in subject.ids), frozenset(transactions))


def read_names(path: Path) -> list[str]:
    """The columns of a Parquet file. Raises InputError."""
    with _open(path) as file:
        return list(file.schema_arrow.names)


def count(path: Path, rows: Rows) -> int:
    """How many rows of a file are the subject's."""
    with _open(path) as file:
        groups = range(file.num_row_groups if rows.columns else 0)
        tables = (file.read_row_group(n, columns=list(rows.columns)) for n in groups)
        return sum(pc.sum(rows.mask(table)).as_py() or 0 for table in tables)


def height(path: Path) -> int:
    """How many rows a file has."""
    with _open(path) as file:
        return int(file.metadata.num_rows)


def values_of(path: Path, rows: Rows, columns: Collection[str]) -> set[str]:
    """The values of some columns in the subject's rows, as text."""
    found: set[str] = set()
    with _open(path) as file:
        wanted = [name for name in file.schema_arrow.names if name in columns]
        for number in range(file.num_row_groups if rows.columns and wanted else 0):
            table = file.read_row_group(number, columns=[*dict.fromkeys([*rows.columns, *wanted])])
            table = table.filter(rows.mask(table))
            for name in wanted:
                found |= set(table[name].cast(pa.string()).drop_null().to_pylist())
    return found


def rewrite(
    files: Replacements, path: Path, rows: Rows, metadata: Mapping[str, str] | None = None
) -> None:
    """Writes a file again without the subject's rows, in the same order; it takes its place with
    all others of `files`. metadata: entries of the file's own that get another value.
    """
    with _open(path) as file, files.writing(path) as temporary:
        more = {key.encode(): text.encode() for key, text in (metadata or {}).items()}
        schema = file.schema_arrow.with_metadata({**(file.schema_arrow.metadata or {}), **more})
        with pq.ParquetWriter(temporary, schema, compression="zstd") as writer:
            for number in range(file.num_row_groups):
                table = file.read_row_group(number)
                kept = table.filter(pc.invert(rows.mask(table)))
                if kept.num_rows:
                    writer.write_table(kept.replace_schema_metadata(schema.metadata))


def _open(path: Path) -> Any:
    """The file, to be closed by a `with`. Raises InputError."""
    try:
        return pq.ParquetFile(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise unreadable(path, error) from error
