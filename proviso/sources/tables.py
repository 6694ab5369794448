"""What every reader yields: a table's columns, and its rows as Arrow batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

LINE = "_proviso_line"
"""A column of staged rows: the line of a text file on which the row begins, from 1."""

_ROWS = 131_072
_BYTES = 64 * 2**20


@dataclass(frozen=True)
class Rows:
    """Rows of some columns of a table, read as they are asked for."""

    schema: pa.Schema
    batches: Iterator[pa.RecordBatch]


@dataclass(frozen=True)
class Table:
    """A table that rows can be read from once.

    texts: columns that are text, whatever type the contract gives them. shown: what errors call it.
    """

    shown: str
    columns: tuple[str, ...]
    read: Callable[[Sequence[str]], Rows]
    texts: frozenset[str] = field(default_factory=frozenset)


def write_rows(rows: Rows, path: Path) -> None:
    """Writes rows as a Parquet file, a bounded number of them in memory at a time."""
    schema = pa.schema([pa.field(f.name, _plain(f.type)) for f in rows.schema])
    with pq.ParquetWriter(path, schema, compression="zstd", compression_level=1) as writer:
        held: list[pa.RecordBatch] = []
        for batch in rows.batches:
            held.append(_in_plain_types(batch, schema))
            if _full(held):
                writer.write_table(pa.Table.from_batches(held, schema))
                held = []
        if held:
            writer.write_table(pa.Table.from_batches(held, schema))


def _full(held: Sequence[pa.RecordBatch]) -> bool:
    """Whether a row group is large enough."""
    rows, size = sum(b.num_rows for b in held), sum(b.nbytes for b in held)
    return bool(rows >= _ROWS or size >= _BYTES)


def _plain(kind: pa.DataType) -> pa.DataType:
    """A type that Parquet files of every reader hold."""
    if isinstance(kind, pa.BaseExtensionType):
        return _plain(kind.storage_type)
    if pa.types.is_dictionary(kind):
        return _plain(kind.value_type)
    if pa.types.is_string_view(kind):
        return pa.string()
    return pa.binary() if pa.types.is_binary_view(kind) else kind


def _in_plain_types(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """A batch in the types of a schema of `_plain` ones."""
    arrays = []
    for column, wanted in zip(batch.columns, schema, strict=True):
        stored = column.storage if isinstance(column, pa.ExtensionArray) else column
        arrays.append(stored if stored.type == wanted.type else stored.cast(wanted.type))
    return pa.RecordBatch.from_arrays(arrays, schema=schema)
