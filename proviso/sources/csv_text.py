"""CSV files as Arrow batches of text, each row with the line on which it begins.

Python's reader is strict: a quote in the wrong place, a line with too few or too many fields or
bytes that are not UTF-8 are refused with their line. Types are the contract's: the engine converts
the text, so that a wrong value is reported as one of any other file is.
"""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import IO, Any, cast

import pyarrow as pa

from proviso.contracts.base import InputError, Problem
from proviso.contracts.locations import CsvFormat
from proviso.sources.stores import FileStore
from proviso.sources.tables import LINE, Rows, Table

_ROWS = 16_384  # in memory at a time


@dataclass(frozen=True)
class _CsvFile:
    files: FileStore
    path: str
    form: CsvFormat

    @property
    def shown(self) -> str:
        return self.files.shown(self.path)

    def problem(self, found: str, wanted: str, line: int, code: str) -> InputError:
        """The error of a line."""
        return InputError([Problem(self.shown, found, wanted, code=code, line=line)])

    def rows(self) -> Iterator[tuple[int, list[str]]]:
        """Lines and fields of the rows that are not empty, the header first. Raises InputError."""
        with self.files.opened(self.path) as opened:
            text = io.TextIOWrapper(self._bytes(opened), encoding="utf-8-sig", newline="")
            reader = csv.reader(text, delimiter=self.form.delimiter, strict=True)
            line = 1
            try:
                for row in reader:
                    if row:
                        yield line, row
                    line = reader.line_num + 1
            except csv.Error as error:
                wanted = "fields as RFC 4180 has them, at most 131,072 characters each"
                raise self.problem(str(error), wanted, line, "csv_malformed") from None
            except UnicodeDecodeError:
                line = self._undecodable()
                raise self.problem("other bytes", "UTF-8", line, "csv_not_utf8") from None

    def _undecodable(self) -> int:
        """The first line that is not UTF-8."""
        with self.files.opened(self.path) as opened:
            for number, line in enumerate(self._bytes(opened), 1):
                try:
                    line.decode("utf-8")
                except UnicodeDecodeError:
                    return number
        return 0

    def _bytes(self, opened: IO[bytes]) -> Any:
        return (
            gzip.open(opened) if self.path.endswith(".gz") else io.BufferedReader(cast(Any, opened))
        )


def csv_table(files: FileStore, path: str, form: CsvFormat) -> Table:
    """A CSV file. Raises InputError where it has no header or one with a name twice."""
    file = _CsvFile(files, path, form)
    line, header = next(file.rows(), (0, []))
    if not header:
        raise InputError.of(file.shown, "an empty file", "a header line", code="csv_header_invalid")
    if repeated := sorted({name for name in header if header.count(name) > 1}):
        found, wanted = f"{', '.join(repeated)} twice", "each column's name once"
        raise file.problem(found, wanted, line, "csv_header_invalid")

    def read(columns: Sequence[str]) -> Rows:
        schema = pa.schema([*((name, pa.string()) for name in columns), (LINE, pa.int64())])
        return Rows(schema, _batches(file, header, [header.index(n) for n in columns], schema))

    return Table(file.shown, tuple(header), read, frozenset(header))


def _batches(
    file: _CsvFile, header: Sequence[str], places: Sequence[int], schema: pa.Schema
) -> Iterator[pa.RecordBatch]:
    nulls, width = frozenset(["", *file.form.nulls]), len(header)
    lines, held = [], []
    rows = file.rows()
    next(rows)
    for line, row in rows:
        if len(row) != width:
            found, wanted = f"{len(row)} fields", f"{width}, as the header has"
            raise file.problem(found, wanted, line, "csv_fields_mismatch")
        lines.append(line)
        held.append(row)
        if len(held) == _ROWS:
            yield _batch(held, lines, places, nulls, schema)
            lines, held = [], []
    yield _batch(held, lines, places, nulls, schema)


def _batch(
    rows: Sequence[list[str]],
    lines: Sequence[int],
    places: Sequence[int],
    nulls: frozenset[str],
    schema: pa.Schema,
) -> pa.RecordBatch:
    texts = [[None if row[place] in nulls else row[place] for row in rows] for place in places]
    return pa.RecordBatch.from_arrays(
        [*(pa.array(text, pa.string()) for text in texts), pa.array(lines, pa.int64())],
        schema=schema,
    )
