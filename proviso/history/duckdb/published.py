"""When offline and the online store may differ: batches that were acknowledged after their stamp.

Offline reads the created_ts that was really written, or it would use a value at moments at which
the pod could not (docs/time.md). Between the stamp and the acknowledgement it is unknown.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from proviso.contracts.contract import Contract, FeatureView
from proviso.history.duckdb.engine import connect, names
from proviso.history.duckdb.relation import stamps_relation
from proviso.history.values import UNKNOWN_END, Ids, LateInterval


def late_intervals(
    contract: Contract, history: Path, view: FeatureView
) -> Mapping[Ids, Sequence[LateInterval]]:
    """By entity (ids in the view's order): when offline and the store may differ.

    An answer at t with start <= t <= end, widened by clock_margin, says nothing about skew.
    """
    stamps = stamps_relation(contract, history, view)
    if stamps is None:
        return {}
    keys = contract.join_keys(view)
    found: dict[Ids, list[LateInterval]] = defaultdict(list)
    with connect() as engine:
        engine.execute(
            f"select distinct {names(*keys)}, _event_us, _created_us,"
            f" coalesce(_acknowledged_us, {UNKNOWN_END}) as _end from ({stamps})"
            f" where _created_us is not null"
            f" and (_acknowledged_us is null or _acknowledged_us > _created_us) order by all"
        )
        for row in engine.fetchall():
            found[row[: len(keys)]].append(LateInterval(*row[len(keys) :]))
    return dict(found)
