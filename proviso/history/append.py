"""Writes a view's file anew with more rows at their places; what stays is streamed through."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from proviso.contracts.contract import Contract, FeatureView
from proviso.contracts.files import replacing
from proviso.history.engine import Engine, literal, names
from proviso.history.extent import Extent, notes_of
from proviso.history.relation import MOMENT, history_columns

_BATCH = 65_536
_ROW_GROUP = 122_880


def rows_before(engine: Engine, path: Path, until: int | None) -> int:
    """How many rows of a file have event_ts < until; None: all."""
    bound = "true" if until is None else f"event_ts < make_timestamptz({until:d}::bigint)"
    query = f"select count(*) from read_parquet({literal(path)}) where {bound}"
    return int(engine.row(query)[0])


def insert_rows(
    engine: Engine,
    contract: Contract,
    view: FeatureView,
    path: Path,
    table: str,
    until: int | None,
    extent: Extent,
) -> None:
    """Puts a table's rows among those of the file with event_ts < until, all or nothing.

    The order stays event_ts, keys, created_ts. Only rows from the table's first event_ts on are
    sorted; those before it pass through, a batch at a time. extent: what the file then says of
    itself; its rows are counted here.
    """
    first = engine.row(f"select epoch_us(min(event_ts)) from {table}")[0]
    untouched = min((m for m in (first, until) if m is not None), default=None)
    columns = history_columns(contract, view)
    rows = 0
    with (
        replacing(path) as temporary,
        pq.ParquetWriter(temporary, columns, compression="zstd", compression_level=1) as writer,
    ):
        for batch in _batches(path, columns, untouched):
            writer.write_batch(batch, row_group_size=_ROW_GROUP)
            rows += batch.num_rows
        if first is not None:
            query = _sorted(contract, view, path, table, first, until)
            for batch in engine.batches(query, _BATCH):
                writer.write_batch(batch.cast(columns), row_group_size=_ROW_GROUP)
                rows += batch.num_rows
        said = extent.model_copy(update={"rows": rows})
        writer.add_key_value_metadata(notes_of(contract, view, said))


def _batches(path: Path, columns: pa.Schema, until: int | None) -> Iterator[pa.RecordBatch]:
    """The file's rows with event_ts < until, in its order; it is sorted by event_ts."""
    with pq.ParquetFile(path) as source:
        for batch in source.iter_batches(_BATCH, columns=columns.names):
            kept = batch
            if until is not None:
                kept = batch.filter(pc.less(batch["event_ts"], pa.scalar(until, MOMENT)))
            yield kept.cast(columns)
            if kept.num_rows < batch.num_rows:
                return


def _sorted(
    contract: Contract, view: FeatureView, path: Path, table: str, first: int, until: int | None
) -> str:
    """The table's rows and those of the file that come after its first, in order."""
    keys = names(*contract.join_keys(view))
    columns = names(*history_columns(contract, view).names)
    bounds = [f"event_ts >= make_timestamptz({first:d}::bigint)"]
    bounds += [f"event_ts < make_timestamptz({until:d}::bigint)"] if until is not None else []
    return (
        f"select {columns} from (select {columns} from {table} union all select {columns}"
        f" from read_parquet({literal(path)}) where {' and '.join(bounds)})"
        f" order by event_ts, {keys}, created_ts"
    )
