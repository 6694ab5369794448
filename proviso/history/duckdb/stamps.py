"""What a live writer's journal asks of the stamps that are on disk (docs/adr/0041)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa

from proviso.contracts.contract import Contract, FeatureView
from proviso.contracts.publication import runs_of
from proviso.history.duckdb.engine import connect, names
from proviso.history.duckdb.relation import stamps_relation
from proviso.history.values import EntityRow

_MEMORY = "1GB"
_BATCH = 65_536


def sent_before(
    contract: Contract, history: Path, view: FeatureView, store: str, rows: Sequence[EntityRow]
) -> frozenset[EntityRow]:
    """Those of the rows that the journal says this store has been sent; their stamps stay."""
    stamps = stamps_relation(contract, history, view)
    if not rows or stamps is None:
        return frozenset()
    keys = contract.join_keys(view)
    columns = [
        *([row.ids[i] for row in rows] for i in range(len(keys))),
        [row.row.event_ts for row in rows],
        [row.row.created_ts for row in rows],
        list(range(len(rows))),
    ]
    wanted = (*keys, "_event_us", "_planned_us", "_place")
    unnested = ", ".join(f'unnest(?) as "{name}"' for name in wanted)
    query = (
        f"select distinct _place from (select {unnested}) semi join"
        f" (select * from ({stamps}) where _store = ?) using ({names(*wanted[:-1])})"
    )
    with connect() as engine:
        places = engine.execute(query, [*columns, store]).fetchall()
    return frozenset(rows[place] for (place,) in places)


@contextmanager
def stamps_to_keep(
    contract: Contract, history: Path, view: FeatureView, columns: pa.Schema, remembered: int
) -> Iterator[Iterator[pa.RecordBatch]]:
    """Stamps of every schema that may still be needed, as batches of `columns`.

    Those that differ from the plan or were acknowledged after the stamp; of a view without runs
    also those planned within `remembered` microseconds before the newest.
    """
    relation = stamps_relation(contract, history, view, every_schema=True)
    keys = names(*contract.join_keys(view))
    moments = ", ".join(
        f"make_timestamptz(_{name}_us) as {name}_ts"
        for name in ("event", "planned", "created", "acknowledged")
    )
    needed = "_created_us is distinct from _planned_us or _acknowledged_us > _created_us"
    if runs_of(view) is None:
        newest = f"(select max(_planned_us) from ({relation}))"
        needed += f" or _planned_us >= {newest} - {remembered:d}"
    kept = f"select {keys}, {moments}, _schema, _store from ({relation}) where {needed}"
    with connect(_MEMORY) as engine:
        reader = engine.batches(f"select {names(*columns.names)} from ({kept})", _BATCH)
        yield (batch.cast(columns) for batch in reader)
