"""The linear history equals the naive reference, row by row and bit by bit."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feature_runtime.core.moments import DAY, HOUR
from proviso.history.duckdb.engine import Engine, connect
from proviso.history.duckdb.features import compute_history
from proviso.history.duckdb.scalars import EngineScalars
from proviso.history.oracle import naive_history
from proviso.history.values import Event
from tests.history_data import (
    ZERO,
    contract,
    events,
    near,
    random_events,
    read_history,
    write_transactions,
)


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with connect() as opened:
        yield opened


@st.composite
def cases(draw: st.DrawFn) -> tuple[str, list[Event], int, int]:
    """Ids of a type, events, and a span that may begin or end among them."""
    dtype = draw(st.sampled_from(["string", "int64"]))
    start = draw(st.just(ZERO - DAY) | near(12))
    hours = draw(st.sampled_from([2, 5, 9, 72]))
    return dtype, draw(events(dtype)), start, start + hours * HOUR + draw(st.integers(0, 1))


def _compare(engine: Engine, dtype: str, sales: list[Event], start: int, end: int) -> None:
    owner = contract(dtype)
    with tempfile.TemporaryDirectory() as work:
        source = write_transactions(sales, dtype, Path(work) / "sales.parquet")
        compute_history(owner, source, Path(work), start, end)
        for view in owner.feature_views:
            wanted = naive_history(EngineScalars(engine, owner), owner, view, sales, start, end)
            assert read_history(owner, view, Path(work)) == wanted, view.name


@settings(max_examples=30)
@given(case=cases())
def test_every_view_equals_the_naive_history(
    engine: Engine, case: tuple[str, list[Event], int, int]
) -> None:
    _compare(engine, *case)


@pytest.mark.parametrize("seed", range(6))
def test_every_view_equals_the_naive_history_of_many_events(engine: Engine, seed: int) -> None:
    dtype = ("string", "int64")[seed % 2]
    _compare(engine, dtype, random_events(seed, dtype, 60), ZERO - 8 * HOUR, ZERO + DAY)
