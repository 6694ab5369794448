"""A history that grew by parts is the whole history, and so says the naive reference."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feature_runtime.core.moments import HOUR
from proviso.contracts.contract import Contract, FeatureView, OnEvent
from proviso.history.duckdb.engine import Engine, connect
from proviso.history.duckdb.incremental import backfill_history, update_history
from proviso.history.duckdb.scalars import EngineScalars
from proviso.history.extent import final_end
from proviso.history.oracle import naive_history
from proviso.history.values import EntityRow, Event
from tests.history_data import (
    LABEL,
    ZERO,
    contract,
    events,
    labelled,
    near,
    random_events,
    read_history,
    write_transactions,
)


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with connect() as opened:
        yield opened


@dataclass(frozen=True)
class Case:
    """Sales in order of arrival, the moments of the updates, and a correction's span and moment."""

    dtype: str
    sales: Sequence[Event]
    updates: Sequence[int]
    start: int
    end: int
    moment: int
    labels_early: bool


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """The first update has a sale; the correction comes after it, also after the last."""
    dtype = draw(st.sampled_from(["string", "int64"]))
    sales = sorted(draw(events(dtype)), key=lambda e: e.arrival_ts)
    first = sales[0].arrival_ts + 1
    updates = sorted(max(first, m) for m in draw(st.lists(near(18), min_size=2, max_size=4)))
    moment = max(updates[0], draw(near(18)))
    return Case(dtype, sales, updates, draw(near(12)), draw(near(18)), moment, draw(st.booleans()))


class Grown:
    """A directory whose history grows by parts of a case's sales."""

    def __init__(self, owner: Contract, case: Case, out: Path) -> None:
        self.owner, self.case, self.out = owner, case, out
        out.mkdir()

    def source(self, moment: int) -> Path:
        """The sales that have arrived, with the labels that are known, or with all."""
        arrived = [e for e in self.case.sales if e.arrival_ts < moment]
        if not self.case.labels_early:
            arrived = [_as_known(e, moment) for e in arrived]
        return write_transactions(arrived, self.case.dtype, self.out / "sales.parquet")

    def update(self, moment: int) -> None:
        update_history(self.owner, self.source(moment), self.out, moment)

    def backfill(self, known: int) -> None:
        case = self.case
        backfill_history(
            self.owner, self.source(known), self.out, case.start, case.end, case.moment
        )

    def rows(self, view: FeatureView) -> list[EntityRow]:
        return read_history(self.owner, view, self.out)


def _as_known(sale: Event, moment: int) -> Event:
    known = sale.known[LABEL]
    if known is None or max(known, sale.arrival_ts) < moment:
        return sale
    return labelled(sale, None)


def _by_parts(owner: Contract, case: Case, out: Path) -> Grown:
    grown = Grown(owner, case, out)
    for moment in [m for m in case.updates if m <= case.moment]:
        grown.update(moment)
    grown.backfill(case.moment)
    for moment in [m for m in case.updates if m > case.moment]:
        grown.update(moment)
    return grown


def _at_once(owner: Contract, case: Case, out: Path) -> Grown:
    grown, last = Grown(owner, case, out), case.updates[-1]
    grown.update(last)
    grown.backfill(max(last, case.moment))
    return grown


def _reference(engine: Engine, owner: Contract, view: FeatureView, case: Case) -> list[EntityRow]:
    """The rows by their words: what each run could read, then what a correction adds."""
    sales = list(case.sales)
    first = min(min(e.event_ts, e.arrival_ts) for e in sales)
    end = final_end(view, max(case.updates[-1], case.moment))
    rows = naive_history(EngineScalars(engine, owner), owner, view, sales, first, end)
    takes = view.delay_to_readable
    takes -= 0 if isinstance(view.publication, OnEvent) else view.source_delay
    in_time = [
        replace(_as_known(e, case.moment), arrival_ts=e.event_ts)
        for e in sales
        if e.arrival_ts < case.moment
    ]
    end = min(case.end, final_end(view, case.moment))
    for fresh in naive_history(EngineScalars(engine, owner), owner, view, in_time, case.start, end):
        past = [
            r.row
            for r in rows
            if (r.ids, r.row.event_ts) == (fresh.ids, fresh.row.event_ts)
            and r.row.created_ts < case.moment + takes
        ]
        if not past or max(past, key=lambda row: row.created_ts).values != fresh.row.values:
            row = fresh.row._replace(created_ts=case.moment + takes)
            rows.append(EntityRow(fresh.ids, row))
    return sorted(rows, key=lambda r: (r.row.event_ts, r.ids, r.row.created_ts))


def _compare(engine: Engine, case: Case) -> None:
    owner = contract(case.dtype)
    with tempfile.TemporaryDirectory() as work:
        parts = _by_parts(owner, case, Path(work) / "parts")
        whole = _at_once(owner, case, Path(work) / "whole")
        for view in owner.feature_views:
            found = parts.rows(view)
            assert found == whole.rows(view), view.name
            assert found == _reference(engine, owner, view, case), view.name


@pytest.mark.long
@settings(max_examples=150)
@given(case=cases())
def test_any_partition_gives_the_whole_history_often(engine: Engine, case: Case) -> None:
    _compare(engine, case)


@settings(max_examples=6)
@given(case=cases())
def test_any_partition_with_a_correction_gives_the_whole_history(
    engine: Engine, case: Case
) -> None:
    _compare(engine, case)


@pytest.mark.parametrize("seed", range(2))
def test_every_sixth_hour_of_many_sales_gives_the_whole_history(engine: Engine, seed: int) -> None:
    dtype = ("string", "int64")[seed % 2]
    sales = sorted(random_events(seed, dtype, 60), key=lambda e: e.arrival_ts)
    updates = [ZERO + hour * HOUR + seed for hour in range(-6, 19, 6)]
    span = (ZERO - 9 * HOUR, ZERO + 3 * HOUR)
    _compare(engine, Case(dtype, sales, updates, *span, ZERO + 2 * HOUR, seed == 1))
