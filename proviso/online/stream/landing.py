"""The landing: the transactions of a stream on disk, in ordered parts, before they are processed.

Training reads the landing later, so served rows are computed from it and from nothing else. A part
is written whole or not at all. A part's name has the range of batches that it holds; small parts
are folded into one, and a reader that finds both takes the wider.
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
from proviso.history.files import landed_columns
from proviso.online.stream.messages import ReceivedTransaction

FOLD = 256
_PART = re.compile(r"part-(\d{12})-(\d{12})\.parquet")


class Part(NamedTuple):
    """Batches first to last, in one file."""

    first: int
    last: int
    path: Path


@dataclass
class Landing:
    """A directory that one consumer has locked. id: unique; new: created by this run."""

    contract: Contract
    directory: Path
    id: str
    new: bool

    def parts(self) -> list[Part]:
        """All parts in order; one inside another has been folded into it."""
        return landed_parts(self.directory)

    def append(self, transactions: Sequence[ReceivedTransaction]) -> Part:
        """Writes a batch to disk, synced before this returns."""
        parts = self.parts()
        number = parts[-1].last + 1 if parts else 1
        path = self._path(number, number)
        rows = [{**one.cells, self._arrival: one.arrival} for one in transactions]
        self._write(path, pa.Table.from_pylist(rows, landed_columns(self.contract)))
        return Part(number, number, path)

    def fold(self, last: int) -> None:
        """Folds many small parts into one, of batches up to `last`, which are published."""
        small = [p for p in self.parts() if p.last <= last and p.last - p.first + 1 < FOLD]
        if len(small) < FOLD or small[-1].last - small[0].first + 1 < len(small):
            return
        table = pa.concat_tables([pq.read_table(part.path) for part in small])
        self._write(self._path(small[0].first, small[-1].last), table)
        for part in small:
            part.path.unlink()

    @property
    def _arrival(self) -> str:
        return str(self.contract.observations_of().arrival_timestamp)

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
    if contract.observations_of().arrival_timestamp is None:
        wanted = "a column: a landing keeps when a row arrived"
        raise InputError.of("source.arrival_timestamp", "none", wanted, code="no_arrival_column")
    directory.mkdir(parents=True, exist_ok=True)
    with held_landing(directory):
        new = not _identity(directory).is_file()
        yield Landing(contract, directory, _identified(directory, stream, group), new)


@contextmanager
def held_landing(directory: Path) -> Iterator[None]:
    """Holds a landing's directory against all consumers. Raises InputError."""
    with (directory / "lock").open("w") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            what = "another consumer is using this landing"
            raise InputError.event("landing_locked", what, directory) from None
        yield


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
    """Writes all landed transactions to one file; returns the number of rows.

    Training records the digest of its transactions, which a growing directory does not have.
    """
    parts = landed_parts(directory) if directory.is_dir() else []
    if not parts:
        wanted = "a landing with at least one part"
        raise InputError.of(directory, "no landed part", wanted, code="landing_empty")
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
        wanted = f"that of stream {stream}, group {group}"
        raise InputError.of(directory, found, wanted, code="landing_of_other_stream")
    return str(said["id"])


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
