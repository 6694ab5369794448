"""The linear history equals the naive reference, row by row and bit by bit."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feature_runtime.moments import DAY, HOUR
from proviso.history.engine import Engine, connect
from proviso.history.features import compute_history
from proviso.history.oracle import Event, naive_history
from tests.history_data import ZERO, contract, events, near, read_history, write_transactions


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with connect() as opened:
        yield opened


@st.composite
def cases(draw: st.DrawFn) -> tuple[str, list[Event], int, int]:
    """Ids of a type, events, and a span that may begin or end among them."""
    dtype = draw(st.sampled_from(["string", "int64"]))
    start = draw(st.just(ZERO - DAY) | near(12))
    end = draw(st.just(ZERO + 2 * DAY) | st.builds(start.__add__, st.integers(1, 20 * HOUR)))
    return dtype, draw(events(dtype)), start, end


@settings(max_examples=40)
@given(case=cases())
def test_every_view_equals_the_naive_history(
    engine: Engine, case: tuple[str, list[Event], int, int]
) -> None:
    dtype, sales, start, end = case
    owner = contract(dtype)
    with tempfile.TemporaryDirectory() as work:
        source = write_transactions(sales, dtype, Path(work) / "sales.parquet")
        compute_history(owner, source, Path(work), start, end)
        for view in owner.feature_views:
            wanted = naive_history(engine, owner, view, sales, start, end)
            assert read_history(owner, view, Path(work)) == wanted, view.name
