"""What training reads of a live writer's history: rows with their stamps, and the stamps."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from feature_runtime.core.availability import Row
from proviso.contracts.contract import FeatureView
from proviso.history.duckdb.engine import connect, names
from proviso.history.duckdb.relation import history_relation, stamps_relation
from tests.parcel_data import Ids, Project, all_rows

AHEAD = (
    ("{schedule: P1D, duration: PT15M}", "{schedule: P1D, duration: PT20H}"),
    ("online_ttl: PT26H", "online_ttl: PT47H"),
)
"""A run takes so long that nearly always one has started and cannot be read yet."""


def offline_rows(project: Project, view: FeatureView) -> Mapping[Ids, list[Row]]:
    """What training reads, by entity."""
    keys = project.contract.join_keys(view)
    planned = {(ids, r.event_ts): r for ids, rows in all_rows(project, view).items() for r in rows}
    found: dict[Ids, list[Row]] = defaultdict(list)
    with connect() as engine:
        source = history_relation(project.contract, project.history, view)
        engine.execute(f"select {names(*keys)}, _event_us, _created_us from ({source})")
        for *ids, event, created in engine.fetchall():
            row = planned[tuple(ids), event]
            found[tuple(ids)].append(row._replace(created_ts=created))
    return found


def stamps_of(project: Project, view: FeatureView) -> list[tuple[Any, ...]]:
    """(ids..., event, planned) of every row that was written with another stamp than planned."""
    stamps = stamps_relation(project.contract, project.history, view)
    assert stamps is not None
    keys = names(*project.contract.join_keys(view))
    with connect() as engine:
        engine.execute(f"select {keys}, _event_us, _planned_us from ({stamps}) order by all")
        return engine.fetchall()
