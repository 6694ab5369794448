"""Stamps of live writers as a history has them, written down without a writer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from feature_runtime.core.keys import EntityId
from proviso.contracts.contract import Contract, FeatureView
from proviso.history.files import MOMENT, history_columns
from proviso.history.segments import stamps_file


class Stamp(NamedTuple):
    """A row that was written with another created_ts than planned; microseconds."""

    ids: tuple[EntityId, ...]
    event_ts: int
    planned: int
    created_ts: int
    acknowledged_ts: int


def record_stamps(
    contract: Contract, history: Path, view: FeatureView, stamps: Sequence[Stamp]
) -> None:
    """Adds stamps to a view's stamps file."""
    if not stamps:
        return
    fields = history_columns(contract, view)
    keys = contract.join_keys(view)
    moments = ("event_ts", "planned_ts", "created_ts", "acknowledged_ts")
    columns = {
        **{
            key: pa.array([stamp.ids[i] for stamp in stamps], fields.field(key).type)
            for i, key in enumerate(keys)
        },
        **{
            name: pa.array([stamp[i] for stamp in stamps], MOMENT)
            for i, name in enumerate(moments, 1)
        },
        "_schema": pa.array([contract.schema_of(view)] * len(stamps)),
        "_store": pa.array(["0" * 16] * len(stamps)),
    }
    table = pa.table(columns)
    path = stamps_file(history, view)
    if path.is_file():
        table = pa.concat_tables([pq.read_table(path), table.select(pq.read_schema(path).names)])
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path)
