"""Values that are known later than their event count from then on, in every way of computing."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feature_runtime.core.moments import HOUR
from proviso.contracts.contract import Contract
from proviso.contracts.places import within_project
from proviso.history.duckdb.arriving import open_arrivals
from proviso.history.duckdb.features import compute_history
from proviso.history.duckdb.incremental import backfill_history, update_history
from proviso.history.duckdb.loaded import open_transactions
from proviso.history.oracle import naive_history
from proviso.history.values import EntityRow, Event
from tests.history_data import ZERO, random_events, read_history, write_transactions
from tests.late_data import (
    CONDITIONS,
    as_known,
    late_contract,
    late_sales,
    with_late_aggregates,
    write_late,
)

START, END = ZERO - 13 * HOUR, ZERO + 24 * HOUR
WINDOWS = st.sampled_from(["PT1H", "PT2H30M", "PT7H", "all"])


@settings(max_examples=4)
@given(
    seed=st.integers(0, 10**6),
    count=st.sampled_from([1, 4, 25]),
    window=WINDOWS,
    where=st.sampled_from(CONDITIONS),
    observed=st.booleans(),
)
def test_late_values_count_when_they_are_known(
    seed: int, count: int, window: str, where: str | None, observed: bool
) -> None:
    dtype = ("string", "int64")[seed % 2]
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        owner = with_late_aggregates(late_contract(dtype, observed), window, where, seed)
        owner, source, sales = _written(owner, seed, dtype, count, observed, work)
        compute_history(owner, source, work / "h", START, END)
        with open_transactions(owner, source) as loaded:
            for view in owner.feature_views:
                wanted = naive_history(loaded.scalars, owner, view, sales, START, END)
                assert read_history(owner, view, work / "h") == wanted, view.name
                entities = {tuple(e.ids[key] for key in owner.join_keys(view)) for e in sales}
                found = loaded.events(view, entities)
                assert {e.id: e.known for mine in found.values() for e in mine} == {
                    e.id: e.known for e in sales
                }


def _written(
    owner: Contract, seed: int, dtype: str, count: int, observed: bool, work: Path
) -> tuple[Contract, Path, list[Event]]:
    """The contract with its places, the observed rows, and the sales of the views."""
    sales = late_sales(seed, dtype, count)
    if observed:
        return owner, write_late(sales, dtype, work / "sales.parquet"), sales
    write_late(sales, dtype, work / "parcels.parquet")
    seen = write_transactions(random_events(seed, dtype, 3), dtype, work / "sales.parquet")
    return within_project(owner, work), seen, sales


@pytest.mark.parametrize("seed", range(2))
def test_increments_and_corrections_give_the_whole_history(seed: int, tmp_path: Path) -> None:
    owner = with_late_aggregates(late_contract(), "PT2H30M", CONDITIONS[seed + 1], seed)
    sales = sorted(late_sales(seed, "string", 40), key=lambda e: e.arrival_ts)
    moments = [ZERO - 4 * HOUR, ZERO + 2 * HOUR + 1, ZERO + 20 * HOUR]
    for name, updates in {"parts": moments, "whole": moments[-1:]}.items():
        out = tmp_path / name
        out.mkdir()
        for moment in updates:
            arrived = [as_known(e, moment) for e in sales if e.arrival_ts < moment]
            update_history(owner, write_late(arrived, "string", out / "s"), out, moment)
        source = write_late(sales, "string", out / "s")
        backfill_history(owner, source, out, ZERO - 9 * HOUR, ZERO + 9 * HOUR, ZERO + 21 * HOUR)
    for view in owner.feature_views:
        parts, whole = (read_history(owner, view, tmp_path / n) for n in ("parts", "whole"))
        assert parts == whole, view.name


@pytest.mark.parametrize("seed", range(2))
def test_arrivals_give_the_rows_of_the_whole_history(seed: int, tmp_path: Path) -> None:
    """As a stream lands them: each part has the late values that its rows came with."""
    owner = with_late_aggregates(late_contract(), "PT2H30M", CONDITIONS[seed + 1], seed)
    view = owner.view_by_name["buyer_stream"]
    sales = sorted(late_sales(seed, "string", 40), key=lambda e: e.arrival_ts)
    published = list[EntityRow]()
    with open_arrivals(owner, [view], "1GB") as arrivals:
        for part in _parts(sales):
            arrivals.take(write_late(part, "string", tmp_path / "part"), fresh=True)
            published += arrivals.rows(view)
            arrivals.published()
    with open_transactions(owner, write_late(sales, "string", tmp_path / "s")) as loaded:
        wanted = naive_history(loaded.scalars, owner, view, sales, 0, 2**52)
    assert sorted(map(_told, published), key=repr) == sorted(map(_told, wanted), key=repr)


def _told(row: EntityRow) -> tuple[object, ...]:
    return row.ids, row.row.event_ts, row.row.created_ts, row.row.values


def _parts(sales: Sequence[Event]) -> Iterator[list[Event]]:
    """Sales in order of arrival, nine or so at a time; equal arrivals stay together."""
    part = list[Event]()
    for sale in sales:
        if len(part) >= 9 and sale.arrival_ts != part[-1].arrival_ts:
            yield part
            part = []
        part.append(sale)
    yield part
