"""Keeps the stamps of rows that were published later than planned, beside the history.

Offline must read the created_ts that was really written, or it would use a value at moments at
which the pod could not (docs/time.md).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from feature_runtime.keys import EntityId
from proviso.contracts.contract import Contract, FeatureView
from proviso.contracts.files import replacing
from proviso.history.engine import connect, literal, names
from proviso.history.publishable import Stamp
from proviso.history.relation import MOMENT, history_columns, stamps_file


class LateInterval(NamedTuple):
    """A row that offline reads from `start` on, while the store may not have had it until `end`."""

    event_ts: int
    start: int
    end: int


def late_intervals(
    contract: Contract, history: Path, view: FeatureView
) -> Mapping[tuple[EntityId, ...], Sequence[LateInterval]]:
    """By entity (ids in the view's order): when offline and the store may differ.

    An answer at t with start <= t <= end, widened by clock_margin, says nothing about skew.
    """
    path = stamps_file(history, view)
    if not path.is_file():
        return {}
    keys = contract.join_keys(view)
    moments = ", ".join(f"epoch_us({n})" for n in ("event_ts", "created_ts", "acknowledged_ts"))
    found: dict[tuple[EntityId, ...], list[LateInterval]] = defaultdict(list)
    with connect() as engine:
        engine.execute(
            f"select distinct {names(*keys)}, {moments} from read_parquet({literal(path)})"
            f" where acknowledged_ts > created_ts order by all"
        )
        for row in engine.fetchall():
            found[row[: len(keys)]].append(LateInterval(*row[len(keys) :]))
    return dict(found)


def record_stamps(
    contract: Contract, history: Path, view: FeatureView, stamps: Sequence[Stamp]
) -> None:
    """Appends stamps to `history/<view>.published.parquet`, all or nothing."""
    if not stamps:
        return
    keys = history_columns(contract, view).names[: len(view.entities)]
    schema = pa.schema(
        [
            *(history_columns(contract, view).field(key) for key in keys),
            *((name, MOMENT) for name in ("event_ts", "planned_ts", "created_ts")),
            ("acknowledged_ts", MOMENT),
        ]
    )
    columns = [
        *([stamp.ids[i] for stamp in stamps] for i in range(len(keys))),
        [stamp.event_ts for stamp in stamps],
        [stamp.planned for stamp in stamps],
        [stamp.created_ts for stamp in stamps],
        [stamp.acknowledged_ts for stamp in stamps],
    ]
    arrays = [pa.array(c, f.type) for c, f in zip(columns, schema, strict=True)]
    table = pa.table(arrays, schema=schema)
    path = stamps_file(history, view)
    if path.is_file():
        table = pa.concat_tables([pq.read_table(path), table])
    with replacing(path) as temporary:
        pq.write_table(table, temporary)
