"""The leakage exercise: a history as a wrong join takes it, and which uses of it were too early."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from proviso.contracts.contract import Contract, FeatureView
from proviso.history.duckdb.engine import connect, names, parquet_rows, quoted, write_parquet
from proviso.history.duckdb.relation import history_relation
from proviso.history.values import Belief

_TRUE_CREATED = "_readable_ts"


def write_believed(
    contract: Contract, history: Path, view: FeatureView, belief: Belief, path: Path
) -> None:
    """Writes a view's rows with the created_ts that is believed, and the true one beside it.

    The file has no schema id: it belongs to no contract's definition.
    """
    keys, features = names(*contract.join_keys(view)), names(*(f.name for f in view.features))
    created = "_created_us" if belief.offset is None else f"_event_us + {belief.offset:d}"
    last = (
        f"qualify row_number() over (partition by {keys}, _event_us order by _created_us desc) = 1"
    )
    with connect() as engine:
        write_parquet(
            engine,
            f"select {keys}, make_timestamptz(_event_us) as event_ts,"
            f" make_timestamptz({created}) as created_ts,"
            f" {features}, make_timestamptz(_created_us) as {_TRUE_CREATED}"
            f" from ({history_relation(contract, history, view)})"
            f" {last if belief.last_only else ''}",
            path,
        )


def used_too_early(
    contract: Contract, view: FeatureView, path: Path, used: pa.Table
) -> Sequence[int]:
    """Numbers of uses of a row before it was readable, by the true created_ts of a file that
    `write_believed` made.

    used: join keys, `_event` and `_created` (the believed times of the row), `_at`, `_number`.
    """
    delay = contract.view_by_name[view.name].source_delay
    same = " and ".join(f"_u.{quoted(key)} = _r.{quoted(key)}" for key in contract.join_keys(view))
    with connect() as engine:
        engine.lend("_used", used)
        rows = engine.execute(
            f"select _u._number from _used _u join {parquet_rows(path)} _r on {same}"
            f" and _u._event = epoch_us(_r.event_ts) and _u._created = epoch_us(_r.created_ts)"
            f" where greatest(_u._event + {delay:d}, epoch_us(_r.{_TRUE_CREATED})) > _u._at"
        ).fetchall()
    return [number for (number,) in rows]
