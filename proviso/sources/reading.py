"""A source's rows as Parquet files: those of this machine as they are, all others copied first.

A copy holds the columns that are asked for and no other, and is written a bounded number of rows
at a time. It is a snapshot: what reads it may read it more than once, while the source goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from proviso.contracts.base import InputError
from proviso.contracts.locations import Location
from proviso.sources.csv_text import csv_table
from proviso.sources.database import query_table
from proviso.sources.delta import delta_table
from proviso.sources.failures import reported
from proviso.sources.iceberg import iceberg_table, is_iceberg
from proviso.sources.stores import (
    ENDINGS,
    FileStore,
    FoundFile,
    file_store,
    files_of,
    folder_values,
)
from proviso.sources.tables import Rows, Table, write_rows


@dataclass(frozen=True)
class SourceFiles:
    """Parquet files with a source's rows.

    paths, names: the files, and what errors call each. columns: what the source has, None where
    the files tell it. texts: columns that are text whatever type the contract gives them.
    partitions: columns that are in the paths, as folders `key=value`. lines: whether a column
    `tables.LINE` has the line of a text file on which a row begins.
    """

    shown: str
    paths: tuple[Path, ...]
    names: tuple[str, ...]
    columns: tuple[str, ...] | None = None
    texts: frozenset[str] = field(default_factory=frozenset)
    partitions: tuple[str, ...] = ()
    lines: bool = False


@contextmanager
def open_source(
    location: Location, columns: Sequence[str] | None, copies: Path, folder: Path = Path()
) -> Iterator[SourceFiles]:
    """The rows of a location, as long as the block lasts. Raises InputError.

    columns: those that are wanted and the source may have; None: all. copies: an empty folder for
    what is copied. folder: the project's, from which relative paths go. A file that changes before
    the block ends is refused at its end: what was read of it may be half of each.
    """
    if location.query is not None:
        with query_table(location, folder) as table:
            yield _copied(location.shown, [table], columns, copies)
    elif location.delta is not None:
        table = delta_table(location, location.delta, folder)
        yield _copied(location.delta, [table], columns, copies)
    elif location.iceberg is not None:
        table = iceberg_table(location, location.iceberg, folder)
        yield _copied(location.iceberg, [table], columns, copies)
    else:
        with _opened_path(location, columns, copies, folder) as found:
            yield found


@contextmanager
def _opened_path(
    location: Location, columns: Sequence[str] | None, copies: Path, folder: Path
) -> Iterator[SourceFiles]:
    """Files, or a table whose folder the path is."""
    place = str(location.path)
    files, path = file_store(place, location.store, folder)
    kind = files.kind(path)
    if kind == "folder" and files.kind(f"{path.rstrip('/')}/_delta_log") == "folder":
        yield _copied(place, [delta_table(location, place, folder)], columns, copies)
    elif kind == "folder" and is_iceberg(files, path):
        yield _copied(place, [iceberg_table(location, place, folder)], columns, copies)
    else:
        form = location.format or _format(place)
        found = files_of(files, path, ENDINGS[form])
        with _unchanged(files, found):
            yield _of_files(location, form, files, found, columns, copies)


def _format(place: str) -> str:
    """CSV where the place ends so, else Parquet."""
    return "csv" if place.rstrip("/*").endswith(ENDINGS["csv"]) else "parquet"


def _of_files(
    location: Location,
    form: str,
    files: FileStore,
    found: Sequence[FoundFile],
    columns: Sequence[str] | None,
    copies: Path,
) -> SourceFiles:
    keys, place = location.partitions, str(location.path)
    values = [folder_values(files.shown(one.path), one.path, keys) for one in found]
    if form == "parquet" and files.local:
        paths = tuple(Path(one.path).absolute() for one in found)
        names = tuple(one.path for one in found)
        texts = frozenset(keys)
        return SourceFiles(place, paths, names, texts=texts, partitions=tuple(keys))
    make = _csv_of(location) if form == "csv" else _parquet_table
    tables = [
        _with_folders(make(files, one.path), stated)
        for one, stated in zip(found, values, strict=True)
    ]
    copied = _copied(place, tables, columns, copies)
    return SourceFiles(
        place, copied.paths, copied.names, copied.columns, copied.texts, lines=form == "csv"
    )


def _csv_of(location: Location) -> Callable[[FileStore, str], Table]:
    return lambda files, path: csv_table(files, path, location.csv)


def _parquet_table(files: FileStore, path: str) -> Table:
    """A Parquet file of an object store. Raises InputError."""
    shown = files.shown(path)
    with files.opened(path) as opened, reported(shown, files.secrets):
        schema = pq.read_schema(opened)

    def read(columns: Sequence[str]) -> Rows:
        chosen = pa.schema([schema.field(name) for name in columns])
        return Rows(chosen, batches(columns))

    def batches(columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        with files.opened(path) as opened:
            for batch in pq.ParquetFile(opened).iter_batches(columns=list(columns)):
                yield batch.select(list(columns))

    return Table(shown, tuple(schema.names), read)


def _with_folders(table: Table, values: dict[str, str | None]) -> Table:
    """A file's table with columns of its folders; they take the place of columns of the file."""
    if not values:
        return table

    def read(columns: Sequence[str]) -> Rows:
        rows = table.read([name for name in columns if name not in values])
        kept = [name for name in columns if name in values]
        schema = rows.schema
        for name in kept:
            schema = schema.append(pa.field(name, pa.string()))
        return Rows(schema, (_extended(batch, kept, values, schema) for batch in rows.batches))

    columns = (*(name for name in table.columns if name not in values), *values)
    return Table(table.shown, columns, read, table.texts | values.keys())


def _extended(
    batch: pa.RecordBatch, names: Sequence[str], values: dict[str, str | None], schema: pa.Schema
) -> pa.RecordBatch:
    constants = [pa.array([values[name]] * batch.num_rows, pa.string()) for name in names]
    return pa.RecordBatch.from_arrays([*batch.columns, *constants], schema=schema)


def _copied(
    shown: str, tables: Sequence[Table], columns: Sequence[str] | None, copies: Path
) -> SourceFiles:
    """Tables as files of this machine; one without any wanted column has no file."""
    paths, names = [], []
    for number, table in enumerate(tables):
        chosen = [n for n in table.columns if columns is None or n in columns]
        if not chosen:
            continue
        path = copies / f"{number:06d}.parquet"
        write_rows(table.read(chosen), path)
        paths.append(path)
        names.append(table.shown)
    every = tuple(dict.fromkeys(name for table in tables for name in table.columns))
    texts = frozenset(name for table in tables for name in table.texts)
    return SourceFiles(shown, tuple(paths), tuple(names), every, texts)


@contextmanager
def _unchanged(files: FileStore, found: Sequence[FoundFile]) -> Iterator[None]:
    """Refuses files that are others when the block ends than when they were found."""
    try:
        yield
    except Exception as error:
        if changed := _changed(files, found):
            raise changed from error
        raise
    if changed := _changed(files, found):
        raise changed


def _changed(files: FileStore, found: Sequence[FoundFile]) -> InputError | None:
    for one in found:
        if files.mark(one.path) != one.mark:
            message, why = "the file changed while it was read", "read it again"
            return InputError.event("source_changed", message, files.shown(one.path), why)
    return None
