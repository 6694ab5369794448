"""The files of a source as a relation of SQL: its columns, and where each row is."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from proviso.contracts.locations import Location
from proviso.history.duckdb.engine import (
    Engine,
    EngineError,
    literal,
    parquet_rows,
    quoted,
)
from proviso.history.files import unreadable
from proviso.sources import SourceFiles, open_source
from proviso.sources.tables import LINE

_FILE, _INDEX, _NUMBER = "_file_name", "_file_index", "_file_row"
_NO_VALUE = "__HIVE_DEFAULT_PARTITION__"


@dataclass(frozen=True)
class Relation:
    """A source that is open: its files, and the types of its columns by name.

    A column that was not asked for may have no type.
    """

    files: SourceFiles
    types: Mapping[str, str]

    def rows(self, columns: Sequence[str], *, placed: bool = False) -> str:
        """A query of some columns. placed: with `_place`, which `place` explains."""
        more = [", ".join(self._column(name) for name in columns)]
        options = [f"filename = {literal(_FILE)}"] if placed or self.files.partitions else []
        if placed:
            row = quoted(LINE) if self.files.lines else f"{_NUMBER} + 1"
            options.append("file_row_number = true")
            more.append(f"{{'file': {_INDEX}, 'row': {row}}} as _place")
        files = _read(self.files, ", ".join(options))
        if placed:
            number = f"{self._file()}::integer as {_INDEX}"
            files = f"(select * rename (file_row_number as {_NUMBER}), {number} from {files})"
        return f"select {', '.join(more)} from {files}"

    def place(self, file: int, row: int) -> str:
        """A row's place for a reader: the row of a file from 1, or its line."""
        what = f"{'line' if self.files.lines else 'row'} {row}"
        return what if len(self.files.paths) == 1 else f"{what} of {self.files.names[file]}"

    def _file(self) -> str:
        """The number of a row's file, from 0: DuckDB's, unless the files have such a column."""
        if not {"file_index"} & {name.lower() for name in self.types}:
            return "file_index"
        paths = ", ".join(literal(path) for path in self.files.paths)
        return f"(list_position([{paths}], {_FILE}) - 1)"

    def _column(self, name: str) -> str:
        """A column of the files, or the value of a folder `name=value` on a file's path."""
        if name not in self.files.partitions:
            return quoted(name)
        folder = literal(f".*/{name}=([^/]*)/")  # its characters are letters, digits, `_- `
        value = f"url_decode(regexp_extract({_FILE}, {folder}, 1))"
        return f"nullif(nullif({value}, ''), {literal(_NO_VALUE)}) as {quoted(name)}"


@contextmanager
def open_relation(
    engine: Engine, location: Location, columns: Sequence[str], folder: Path = Path()
) -> Iterator[Relation]:
    """A location's rows as a relation, as long as the block lasts. Raises InputError.

    columns: those that are wanted and that the source may have.
    """
    with (
        tempfile.TemporaryDirectory(prefix="proviso-source-") as copies,
        open_source(location, columns, Path(copies), folder) as files,
    ):
        yield Relation(files, _types(engine, files))


def _types(engine: Engine, files: SourceFiles) -> dict[str, str]:
    """The engine's types of the columns; those that were not copied have an empty one."""
    types = dict.fromkeys(files.columns or (), "")
    if files.paths:
        try:
            engine.execute(f"describe select * from {_read(files, '')}")
        except EngineError as error:
            raise unreadable(Path(files.shown), error) from error
        types |= {name: kind for name, kind, *_ in engine.fetchall() if name != LINE}
    return types | dict.fromkeys(files.partitions, "VARCHAR")


def _read(files: SourceFiles, options: str) -> str:
    """The files; a column that a file of several lacks is null in it."""
    several = ["union_by_name = true"] if len(files.paths) > 1 else []
    return parquet_rows(*files.paths, more=", ".join([*several, *([options] if options else [])]))
