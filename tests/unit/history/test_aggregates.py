"""Every aggregate of the contract's registry: the engine computes what its meaning says."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from feature_runtime.core.moments import HOUR, MINUTE
from proviso.contracts.aggregates import AGGREGATES, fixed
from proviso.contracts.contract import Aggregate
from proviso.history.duckdb.engine import connect
from proviso.history.duckdb.scalars import EngineScalars
from proviso.history.engines import history_engine
from proviso.history.oracle import naive_history
from tests.aggregate_cases import every_function, only
from tests.history_data import ZERO, event, numbered, read_history, write_transactions


@pytest.mark.parametrize("name", AGGREGATES)
def test_an_aggregate_is_what_its_meaning_says_to_the_bit(name: str, tmp_path: Path) -> None:
    rng = random.Random(5)
    owner = only(*(one for one in every_function() if one["function"] == name))
    sales = [
        event(
            rng.choice(["b0", "b1"]),
            "s0",
            ZERO + rng.randrange(8 * 60) * MINUTE,
            late=rng.choice([0, 7, 70]) * MINUTE,
            label=rng.choice([True, False, None]),
            price=rng.randrange(100_000),
            pieces=rng.randrange(-5, 9),
            weight=rng.randrange(1000) / 64,
            is_gift=rng.random() < 0.3,
        )
        for _ in range(40)
    ]
    sales = numbered(sales)
    source = write_transactions(sales, "string", tmp_path / "sales.parquet")
    start, end = ZERO - HOUR, ZERO + 12 * HOUR
    history_engine().compute_history(owner, source, tmp_path, start, end)
    told = set[Any]()
    with connect() as engine:
        for view in owner.feature_views:
            expected = naive_history(EngineScalars(engine, owner), owner, view, sales, start, end)
            told |= {value for row in expected for value in row.row.values}
            assert read_history(owner, view, tmp_path) == expected
    assert len(told) > 3


def test_a_double_is_rounded_once_to_the_scale_and_a_half_goes_away_from_zero() -> None:
    assert [fixed(x, 0) for x in (0.5, -0.5, 1.5, 2.5, 0.49999999999999994)] == [1, -1, 2, 3, 0]
    assert fixed(0.1, 3) == 100
    assert fixed(-12.3456, 2) == -1235
    assert fixed(4503599627370495.5, 0) == 4503599627370496


def test_a_function_that_is_not_registered_is_refused() -> None:
    with pytest.raises(ValueError, match="found 'median', wanted one of count, sum"):
        Aggregate.model_validate(
            {"name": "total", "function": "median", "of": "pieces", "window": "PT1H"}
        )


def test_a_share_without_a_condition_is_refused() -> None:
    with pytest.raises(ValueError, match="found share without where"):
        Aggregate.model_validate({"name": "total", "function": "share", "window": "PT1H"})
