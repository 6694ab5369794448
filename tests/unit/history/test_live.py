"""The entities that a release must find a key of: those with a winner by the rule."""

from __future__ import annotations

from pathlib import Path

from feature_runtime.core.availability import Row, Status, availability
from feature_runtime.core.moments import HOUR
from proviso.history.duckdb.live import visible_entities
from proviso.history.values import EntityRow
from tests.history_data import ZERO, contract, write_history

T = ZERO + 24 * HOUR


def test_an_entity_is_visible_when_the_rule_finds_a_row(tmp_path: Path) -> None:
    owner = contract()
    view = owner.view_by_name["buyer_hourly"]
    oldest, newest = T - view.temporal_join_lookback, T - view.source_delay
    values = (1, 0, 1.0, 0.0, 0, False)
    times = {
        "just within": (oldest, oldest + HOUR),
        "too old": (oldest - 1, oldest + HOUR),
        "readable now": (newest - HOUR, T),
        "readable soon": (newest - HOUR, T + 1),
        "arrived now": (newest, newest),
        "not arrived": (newest + 1, newest),
    }
    rows = [
        EntityRow((who,), Row(event, created, values)) for who, (event, created) in times.items()
    ]
    write_history(owner, view, [*rows, rows[0]], tmp_path)
    found = list(visible_entities(owner, tmp_path, view, T))
    wanted = {
        ids for ids, row in rows if availability(view.times, [row], T)[1] != Status.MISSING_KEY
    }
    assert set(found) == wanted == {("just within",), ("readable now",), ("arrived now",)}
    assert len(found) == len(wanted)
