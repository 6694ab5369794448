"""Every aggregate of the contract's registry: the engine computes what its meaning says."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from feature_runtime.core.moments import HOUR, MINUTE
from proviso.contracts.aggregates import AGGREGATES
from proviso.contracts.contract import Aggregate, Contract
from proviso.history.duckdb.engine import connect
from proviso.history.duckdb.scalars import EngineScalars
from proviso.history.engines import history_engine
from proviso.history.oracle import naive_history
from tests.history_data import ZERO, contract, event, read_history, write_transactions


def _owner(name: str) -> Contract:
    """The shop with one feature a view: the aggregate, bare."""
    of = "pieces" if AGGREGATES[name].takes_column else None
    stated = {"name": "total", "function": name, "of": of, "window": "PT3H"}
    aggregate = Aggregate.model_validate(stated)
    owner = contract()
    views = [
        view.model_copy(
            update={
                "aggregates": [aggregate],
                "features": [
                    view.features[0].model_copy(
                        update={"name": "total", "sql": None, "dtype": "int64"}
                    )
                ],
            }
        )
        for view in owner.feature_views
        if view.name in {"buyer_hourly", "buyer_stream"}
    ]
    return owner.model_copy(update={"feature_views": views, "feature_services": []})


@pytest.mark.parametrize("name", AGGREGATES)
def test_an_aggregate_is_what_its_meaning_says_to_the_bit(name: str, tmp_path: Path) -> None:
    rng, owner = random.Random(5), _owner(name)
    sales = [
        event(
            rng.choice(["b0", "b1"]),
            "s0",
            ZERO + rng.randrange(8 * 60) * MINUTE,
            late=rng.choice([0, 7, 70]) * MINUTE,
            pieces=rng.randrange(-5, 90),
        )
        for _ in range(60)
    ]
    source = write_transactions(sales, "string", tmp_path / "sales.parquet")
    start, end = ZERO - HOUR, ZERO + 12 * HOUR
    history_engine().compute_history(owner, source, tmp_path, start, end)
    with connect() as engine:
        for view in owner.feature_views:
            expected = naive_history(EngineScalars(engine, owner), owner, view, sales, start, end)
            assert len({row.row.values for row in expected}) > 3
            assert read_history(owner, view, tmp_path) == expected


def test_a_function_that_is_not_registered_is_refused() -> None:
    with pytest.raises(ValueError, match="found 'median', wanted one of count, sum"):
        Aggregate.model_validate(
            {"name": "total", "function": "median", "of": "pieces", "window": "PT1H"}
        )
