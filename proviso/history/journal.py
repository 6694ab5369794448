"""A live writer's journal: what it is about to send, before it sends it (docs/adr/0041).

A stamp is fixed before its batch is sent. A writer that dies in between leaves the batch here, and
the next one sends the very same bytes again: the merge is idempotent, so no row gets two stamps.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from feature_runtime.core.keys import EntityId
from feature_runtime.core.moments import HOUR
from proviso.contracts.base import InputError
from proviso.contracts.contract import Contract, FeatureView
from proviso.contracts.files import replacing
from proviso.history.engines import history_engine
from proviso.history.files import MOMENT, history_columns, unreadable
from proviso.history.segments import (
    FOLDED_KEY,
    Segment,
    all_segments,
    folded,
    segment_path,
    segments,
    stamping_directory,
    stamps_file,
)
from proviso.history.values import EntityRow

REMEMBERED = HOUR
"""How long an on-event row is known that was written as planned: a stream may deliver it again."""

FEW_SEGMENTS, MANY_SEGMENTS = 256, 4096


class Stamped(NamedTuple):
    """A row about to be sent. The first of its entity carries key and bytes of all of them.

    created_ts None: the row is not sent, now or later, since a later one of its slice is.
    """

    ids: tuple[EntityId, ...]
    event_ts: int
    planned: int
    created_ts: int | None
    key: bytes | None
    blob: bytes | None


@dataclass(frozen=True)
class Intent:
    """A batch as it was written down: what to send, and from when its first and its last row may
    be read."""

    pairs: tuple[tuple[bytes, bytes], ...]
    rows: int
    first: int
    last: int


class Journal:
    """The journal of one view, held by one writer."""

    def __init__(self, contract: Contract, history: Path, view: FeatureView) -> None:
        self._contract, self._history, self._view = contract, history, view
        self._directory = stamping_directory(history, view)
        self._segments = segments(history, view)
        last = self._segments[-1].number if self._segments else folded(history, view)
        self._next = last + 1
        keys = contract.join_keys(view)
        columns = history_columns(contract, view)
        self._stamp_columns = [
            *(columns.field(key) for key in keys),
            *(pa.field(name, MOMENT) for name in ("event_ts", "planned_ts", "created_ts")),
            pa.field("_schema", pa.string()),
        ]

    def pending(self) -> list[Segment]:
        """Batches without an acknowledgement, in order."""
        return [segment for segment in self._segments if segment.acknowledged is None]

    def intent(self, segment: Segment) -> Intent:
        """What was to be sent. Raises InputError when the file is damaged."""
        try:
            table = pq.read_table(segment.path, columns=["created_ts", "_key", "_blob"])
        except (pa.ArrowInvalid, OSError) as error:
            raise unreadable(segment.path, error) from error
        created = table["created_ts"].cast(pa.int64()).drop_null().to_pylist()
        pairs = zip(table["_key"].to_pylist(), table["_blob"].to_pylist(), strict=True)
        sent = tuple((key, blob) for key, blob in pairs if key is not None)
        return Intent(sent, len(created), min(created), max(created))

    def intend(self, store: str, rows: Sequence[Stamped]) -> Segment:
        """Writes a batch down, on disk when this returns."""
        schema = self._contract.schema_of(self._view)
        width = len(self._view.entities)
        columns = [
            *([row.ids[i] for row in rows] for i in range(width)),
            [row.event_ts for row in rows],
            [row.planned for row in rows],
            [row.created_ts for row in rows],
            [schema] * len(rows),
            [row.key for row in rows],
            [row.blob for row in rows],
        ]
        fields = [*self._stamp_columns, ("_key", pa.binary()), ("_blob", pa.binary())]
        kind = pa.schema(fields)
        arrays = [pa.array(c, f.type) for c, f in zip(columns, kind, strict=True)]
        segment = Segment(
            segment_path(self._directory, self._next, store, None), self._next, store, None
        )
        with _durably(segment.path) as temporary:
            pq.write_table(pa.table(arrays, schema=kind), temporary, compression="zstd")
        self._next += 1
        self._segments.append(segment)
        return segment

    def acknowledge(self, segment: Segment, moment: int, refused: Collection[bytes] = ()) -> None:
        """Notes that the store had a batch by `moment`, without the keys that it refused.

        Not forced to the disk: an acknowledgement that is lost only sends the batch once more.
        """
        at = self._segments.index(segment)
        if refused and not self._without(segment, refused):
            segment.path.unlink()
            del self._segments[at]
            return
        path = segment_path(self._directory, segment.number, segment.store, moment)
        segment.path.rename(path)
        self._segments[at] = Segment(path, segment.number, segment.store, moment)

    def _without(self, segment: Segment, refused: Collection[bytes]) -> int:
        """Takes the rows of some keys out of a batch, which the store does not have; how many
        rows are left. A crash before this sends the batch again, and the keys are asked again."""
        table = pq.read_table(segment.path)
        keys, kept = table["_key"].to_pylist(), list[bool]()
        key = b""
        for stated in keys:
            key = stated or key
            kept.append(key not in refused)
        if any(kept):
            with _durably(segment.path) as temporary:
                pq.write_table(table.filter(pa.array(kept)), temporary, compression="zstd")
        return sum(kept)

    def known(self, store: str, rows: Sequence[EntityRow]) -> frozenset[EntityRow]:
        """Those of the rows that this store has been sent before; their stamps stay."""
        return history_engine().sent_before(self._contract, self._history, self._view, store, rows)

    def fold_if_due(self) -> None:
        """Folds when reading many small files costs more than writing the stamps anew."""
        path = stamps_file(self._history, self._view)
        count = len(self._segments)
        kept = pq.read_metadata(path).num_rows if path.is_file() else 0
        added = 0
        if FEW_SEGMENTS <= count < MANY_SEGMENTS:
            added = sum(pq.read_metadata(segment.path).num_rows for segment in self._segments)
        if due(count, added, kept):
            self.fold()

    def fold(self) -> None:
        """Copies the acknowledged batches into the stamps file, all or nothing.

        Their files go when the journal is next opened: a reader may be about to open them.
        """
        if not self._segments or self.pending():
            return
        last = self._segments[-1].number
        fields = [*self._stamp_columns, ("_store", pa.string()), ("acknowledged_ts", MOMENT)]
        kind = pa.schema(fields)
        path = stamps_file(self._history, self._view)
        kept = history_engine().stamps_to_keep(
            self._contract, self._history, self._view, kind, REMEMBERED
        )
        with (
            kept as batches,
            _durably(path) as temporary,
            pq.ParquetWriter(temporary, kind, compression="zstd") as writer,
        ):
            for batch in batches:
                writer.write_batch(batch)
            writer.add_key_value_metadata({FOLDED_KEY: str(last)})
        self._segments.clear()


def due(segments_count: int, added: int, kept: int) -> bool:
    """Whether to fold `segments_count` batches of `added` rows into `kept` stamps.

    Rewriting half of what is kept at the soonest keeps the work linear in what is written.
    """
    return segments_count >= MANY_SEGMENTS or (segments_count >= FEW_SEGMENTS and 2 * added >= kept)


@contextmanager
def open_journal(contract: Contract, history: Path, view: FeatureView) -> Iterator[Journal]:
    """Holds a view's journal against all other writers. Raises InputError when one has it."""
    directory = stamping_directory(history, view)
    directory.mkdir(parents=True, exist_ok=True)
    lock = directory / "lock"
    with lock.open("w") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError.event(
                "history_writer_active",
                f"another process is writing view {view.name}",
                lock,
                "wait until it ends; its lock goes with it",
            ) from None
        _sweep(history, view)
        yield Journal(contract, history, view)


def _sweep(history: Path, view: FeatureView) -> None:
    """Takes away what a writer left that died while folding or writing."""
    directory, stamps = stamping_directory(history, view), stamps_file(history, view)
    done = folded(history, view)
    for segment in all_segments(directory):
        if segment.number <= done:
            segment.path.unlink()
    for torn in (*directory.glob(".*.parquet.*"), *history.glob(f".{stamps.name}.*")):
        torn.unlink()


@contextmanager
def _durably(path: Path) -> Iterator[Path]:
    """As `replacing`, and on disk before it takes its place and when the block is left."""
    with replacing(path) as temporary:
        yield temporary
        _sync(temporary)
    _sync(path.parent)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
