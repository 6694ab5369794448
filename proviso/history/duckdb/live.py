"""Entities that are live at a moment: those for which a view must have a fresh row."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from feature_runtime.core.keys import EntityId
from proviso.contracts.contract import Contract, FeatureView
from proviso.contracts.publication import runs_of
from proviso.history.duckdb.engine import connect, names
from proviso.history.duckdb.relation import planned_relation

_FETCH = 20_000


def live_entities(
    contract: Contract, history: Path, view: FeatureView, t: int
) -> Iterator[tuple[EntityId, ...]]:
    """Ids, in the view's entity order, of the entities that are live at `t`, each once.

    With runs: the population of the newest one that the plan makes readable by `t`. On event, and
    of a table: entities with a row that the lookback still reaches. By the plan, not by stamps, so
    that an entity with a late row counts as one that should have had it.
    """
    keys = names(*contract.join_keys(view))
    rows = planned_relation(contract, history, view, t - view.temporal_join_lookback, t + 1)
    readable = f"select {keys}, _event_us from ({rows}) where _created_us <= ?"
    newest = ""
    if runs_of(view):
        newest = "where _event_us = (select max(_event_us) from _readable)"
    query = f"with _readable as materialized ({readable}) select distinct {keys} from _readable "
    yield from _fetched(query + newest, t)


def visible_entities(
    contract: Contract, history: Path, view: FeatureView, t: int
) -> Iterator[tuple[EntityId, ...]]:
    """Ids, in the view's entity order, of the entities with a winner at `t`, by the plan."""
    keys = names(*contract.join_keys(view))
    last = t - view.source_delay
    rows = planned_relation(contract, history, view, t - view.temporal_join_lookback, last + 1)
    yield from _fetched(f"select distinct {keys} from ({rows}) where _created_us <= ?", t)


def _fetched(query: str, t: int) -> Iterator[tuple[EntityId, ...]]:
    with connect() as engine:
        cursor = engine.execute(query, [t])
        while found := cursor.fetchmany(_FETCH):
            yield from found
