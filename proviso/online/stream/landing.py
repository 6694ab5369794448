"""Where a stream's transactions land before anything is made of them: parts on disk, in order.

What has landed is the source that training reads later, so a row that is served is computed from
what is here and from nothing else. A part is there whole or not at all. Parts carry the range of
batches that they hold: small ones are folded into one, and who finds both reads the wider.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from proviso.contracts.base import InputError
from proviso.contracts.contract import Contract
from proviso.contracts.files import replacing
from proviso.history.duckdb.relation import MOMENT
from proviso.online.stream.messages import Heard

FOLD = 256
_PART = re.compile(r"part-(\d{12})-(\d{12})\.parquet")
_TYPES = {"int64": pa.int64(), "float64": pa.float64(), "bool": pa.bool_(), "string": pa.string()}


class Part(NamedTuple):
    """Batches first to last, in one file."""

    first: int
    last: int
    path: Path


@dataclass
class Landing:
    """A directory that one consumer holds. id: tells it from any other; new: made just now."""

    contract: Contract
    directory: Path
    id: str
    new: bool

    def parts(self) -> list[Part]:
        """All parts in order; one inside another has been folded into it."""
        return landed_parts(self.directory)

    def append(self, heard: Sequence[Heard]) -> Part:
        """Puts a batch on disk; it is there when this returns."""
        parts = self.parts()
        number = parts[-1].last + 1 if parts else 1
        path = self._path(number, number)
        self._write(path, pa.Table.from_pylist([*map(self._row, heard)], self._schema()))
        return Part(number, number, path)

    def fold(self, last: int) -> None:
        """Makes one part of many small ones, of batches up to `last`, which are published."""
        small = [p for p in self.parts() if p.last <= last and p.last - p.first + 1 < FOLD]
        if len(small) < FOLD or small[-1].last - small[0].first + 1 < len(small):
            return
        table = pa.concat_tables([pq.read_table(part.path) for part in small])
        self._write(self._path(small[0].first, small[-1].last), table)
        for part in small:
            part.path.unlink()

    def _row(self, heard: Heard) -> dict[str, object]:
        source = self.contract.source
        row: dict[str, object] = {source.id: heard.id, source.event_timestamp: heard.event}
        row |= {str(source.arrival_timestamp): heard.arrival, source.label.column: heard.label}
        row |= {source.label.known_at: heard.known} if source.label.known_at else {}
        return row | dict(heard.keys) | dict(heard.columns)

    def _schema(self) -> pa.Schema:
        source = self.contract.source
        fields = [(source.id, pa.string()), (source.event_timestamp, MOMENT)]
        fields.append((str(source.arrival_timestamp), MOMENT))
        fields += [(entity.join_key, _TYPES[entity.dtype]) for entity in self.contract.entities]
        for name, column in source.columns.items():
            money = pa.decimal128(18, column.scale)
            fields.append((name, money if column.dtype == "money" else _TYPES[column.dtype]))
        fields.append((source.label.column, pa.bool_()))
        return pa.schema(
            fields + ([(source.label.known_at, MOMENT)] if source.label.known_at else [])
        )

    def _path(self, first: int, last: int) -> Path:
        return self.directory / f"part-{first:012d}-{last:012d}.parquet"

    def _write(self, path: Path, table: pa.Table) -> None:
        with replacing(path) as temporary:
            pq.write_table(table, temporary, compression="zstd")
            _sync(temporary)
        _sync(path.parent)


@contextmanager
def open_landing(contract: Contract, directory: Path, stream: str, group: str) -> Iterator[Landing]:
    """Holds a landing against all other consumers. Raises InputError when it is another's."""
    if contract.source.arrival_timestamp is None:
        wanted = "a column for the arrival, which the landing states"
        raise InputError.of("source.arrival_timestamp", "none", wanted)
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / "lock").open("w") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            found, wanted = "another consumer at work", "one at a time"
            raise InputError.of(directory, found, wanted) from None
        new = not _identity(directory).is_file()
        yield Landing(contract, directory, _identified(directory, stream, group), new)


def landed_parts(directory: Path) -> list[Part]:
    """The parts of a landing in order."""
    found = [
        Part(int(match[1]), int(match[2]), path)
        for path in directory.iterdir()
        if (match := _PART.fullmatch(path.name))
    ]
    parts: list[Part] = []
    for part in sorted(found, key=lambda p: (p.first, -p.last)):
        if not parts or part.first > parts[-1].last:
            parts.append(part)
    return parts


def snapshot(directory: Path, out: Path) -> int:
    """One file of all that has landed, which no longer changes; returns how many rows.

    Training binds the digest of its transactions, and a directory that grows has none.
    """
    parts = landed_parts(directory) if directory.is_dir() else []
    if not parts:
        raise InputError.of(directory, "nothing that has landed", "the directory of a landing")
    rows = 0
    kind = pq.read_schema(parts[0].path)
    with replacing(out) as temporary, pq.ParquetWriter(temporary, kind, compression="zstd") as into:
        for part in parts:
            table = pq.read_table(part.path)
            into.write_table(table)
            rows += table.num_rows
    return rows


def _identity(directory: Path) -> Path:
    return directory / "landing.json"


def _identified(directory: Path, stream: str, group: str) -> str:
    path, of = _identity(directory), {"stream": stream, "group": group}
    if not path.is_file():
        with replacing(path) as temporary:
            temporary.write_text(json.dumps(of | {"id": secrets.token_hex(8)}), encoding="utf-8")
            _sync(temporary)
    said = json.loads(path.read_text(encoding="utf-8"))
    if {"stream": said["stream"], "group": said["group"]} != of:
        found = f"the landing of stream {said['stream']}, group {said['group']}"
        raise InputError.of(directory, found, f"that of {stream}, {group}")
    return str(said["id"])


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
