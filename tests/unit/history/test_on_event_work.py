"""What on-event rows cost: work that grows with an entity's events, not with their square."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from feature_runtime.core.moments import MINUTE
from proviso.history.duckdb.engine import Engine, connect
from proviso.history.duckdb.features import Span, computed
from proviso.history.duckdb.transactions import load_transactions
from tests.history_data import ZERO, contract, event, write_transactions

EVENTS = 3_000
SECOND = MINUTE // 60


@pytest.fixture
def engine() -> Iterator[Engine]:
    with connect() as opened:
        yield opened


def _operators(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for child in node.get("children", []):
        yield from _operators(child)


@pytest.mark.parametrize("late", [0, 3 * MINUTE])
@pytest.mark.parametrize("apart", [SECOND, 2 * MINUTE])
def test_no_step_makes_many_rows_an_event_of_a_busy_entity(
    engine: Engine, tmp_path: Path, apart: int, late: int
) -> None:
    owner = contract()
    sales = [
        event("b1", at=ZERO + n * apart, late=late if n % 7 == 0 else 0, label=n % 5 == 0)
        for n in range(EVENTS)
    ]
    load_transactions(engine, owner, write_transactions(sales, "string", tmp_path / "s.parquet"))
    view = owner.view_by_name["buyer_stream"]
    with computed(engine, owner, view, Span(ZERO, ZERO + EVENTS * apart + late)) as made:
        rows = engine.execute(f"explain (analyze, format json) {made.query}").fetchall()
    [plan] = json.loads(rows[0][1])["operator"]
    widest = max(one["intermediate_rows"] for one in _operators(plan))
    assert made.rows <= widest <= 10 * EVENTS
