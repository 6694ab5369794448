"""Several sources: batch, increments and references give the same rows, and the join their winners.

Contracts are drawn: which sources, which views of them, by which publication, and rows with
corrections, late and early arrivals, repeats and rows of a table created before their event.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feature_runtime.core.availability import Row
from feature_runtime.core.moments import HOUR
from feature_runtime.core.service import view_column
from proviso.contracts.contract import Contract, FeatureView
from proviso.contracts.publication import of_table, publishing_takes
from proviso.history.duckdb.engine import Engine, connect
from proviso.history.duckdb.features import compute_history
from proviso.history.duckdb.incremental import backfill_history, update_history
from proviso.history.duckdb.join import build_dataset
from proviso.history.duckdb.loaded import open_transactions
from proviso.history.duckdb.scalars import EngineScalars
from proviso.history.extent import final_end
from proviso.history.oracle import LabelRow, naive_join
from proviso.history.table_oracle import naive_table, readable_from
from proviso.history.values import DatasetSummary, EntityRow
from tests.history_data import near, read_history
from tests.several_sources import END, START, Ask, Shop, shops

BEGIN = START - 24 * HOUR
"""A moment before which no view has a row."""


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with connect() as opened:
        yield opened


@settings(max_examples=8)
@given(shop=shops(), updates=st.lists(near(18), min_size=2, max_size=4))
def test_batch_and_increments_are_the_references(
    engine: Engine, shop: Shop, updates: list[int]
) -> None:
    """Updates come in any order: one as of an earlier moment adds nothing."""
    arrived = [[one.arrival_ts for one in rows] for rows in (shop.sales, shop.visits)]
    first = 1 + max(map(min, [*arrived, [row.created_ts for row in shop.scores]]))
    with tempfile.TemporaryDirectory() as work:
        folder, known = Path(work), 0
        owner = shop.placed(folder)
        for order, moment in enumerate([max(first, one) for one in updates] + [END]):
            known = max(known, moment)
            shop.write(folder, known, order)
            update_history(owner, None, folder / "parts", moment)
        shop.write(folder)
        update_history(owner, None, folder / "whole", END)
        compute_history(owner, None, folder / "once", BEGIN, END)
        for view in owner.feature_views:
            found = _rows(owner, view, folder / "parts")
            assert found == _rows(owner, view, folder / "whole"), view.name
            scalars = EngineScalars(engine, owner)
            assert found == shop.naive(scalars, view, BEGIN, final_end(view, END)), view.name
            at_once = _rows(owner, view, folder / "once")
            assert at_once == shop.naive(scalars, view, BEGIN, END), view.name


@settings(max_examples=15)
@given(shop=shops(), moment=near(14), changed=st.integers(0, 10**6))
def test_a_corrected_table_is_the_references(shop: Shop, moment: int, changed: int) -> None:
    """A table whose past was rewritten is refused, and what it now says otherwise is published by
    a backfill."""
    moment = max(moment, min(row.created_ts for row in shop.scores) + 1)
    place = changed % len(shop.scores)
    other = shop.scores[place]._replace(points=100, rating=7.5)
    after = [*shop.scores[:place], other, *shop.scores[place + 1 :]]
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work)
        owner = shop.placed(folder)
        views = [v for v in owner.feature_views if of_table(v)]
        names = [view.name for view in views]
        shop.write(folder, moment)
        update_history(owner, None, folder / "h", moment, names)
        rewritten = Shop(shop.dtype, shop.views, shop.sales, shop.visits, after, shop.asks)
        rewritten.write(folder, moment)
        backfill_history(owner, None, folder / "h", 0, as_of=moment, views=names)
        rewritten.write(folder, END)
        update_history(owner, None, folder / "h", END, names)
        for view in views:
            assert _rows(owner, view, folder / "h") == _corrected(shop, rewritten, view, moment)


def _corrected(before: Shop, after: Shop, view: FeatureView, moment: int) -> list[EntityRow]:
    """What was published before the moment, what the backfill adds, and what was created since."""
    old = [r.of_view(view) for r in before.scores if r.created_ts < moment]
    new = [r.of_view(view) for r in after.scores if r.created_ts < moment]
    rows = {(r.ids, r.row.event_ts, r.row.created_ts): r for r in naive_table(view, old)}
    said = {}
    for one in sorted(rows.values(), key=lambda r: r.row.created_ts):
        said[one.ids, one.row.event_ts] = one.row
    says = {(g.ids, g.event_ts): g for g in sorted(new, key=lambda g: g.created_ts)}
    for (ids, at), row in says.items():
        known = said.get((ids, at))
        if known is None or known.values != row.values:
            planned = max(readable_from(view, row), moment + publishing_takes(view))
            readable = max(planned, known.created_ts if known else 0)
            rows[ids, at, readable] = EntityRow(ids, Row(at, readable, row.values))
    later = [r.of_view(view) for r in after.scores if r.created_ts >= moment]
    rows |= {(r.ids, r.row.event_ts, r.row.created_ts): r for r in naive_table(view, later)}
    found = [one._replace(row=one.row._replace(run_id=0)) for one in rows.values()]
    return sorted(found, key=lambda r: (r.row.event_ts, r.ids, r.row.created_ts))


@settings(max_examples=12)
@given(shop=shops(), loaded=st.booleans())
def test_a_dataset_of_questions_is_the_naive_join(engine: Engine, shop: Shop, loaded: bool) -> None:
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work)
        owner = shop.placed(folder)
        shop.write(folder)
        compute_history(owner, None, folder / "h", BEGIN, END)
        out = folder / "dataset.parquet"
        done = _joined(owner, folder, out, loaded)
        asks = sorted(
            (one for one in shop.asks if START <= one.at < END), key=lambda a: (a.at, a.id)
        )
        table = pq.read_table(out)
        assert done.rows == len(asks)
        assert _asked(table) == [_wanted(one) for one in asks]
        for view in owner.feature_views:
            scalars = EngineScalars(engine, owner)
            rows = shop.naive(scalars, view, BEGIN, END)
            labels = [LabelRow(_ids(owner, view, one), one.at) for one in asks]
            wanted = naive_join(view.times, rows, labels)
            assert _answers(table, view) == [
                (status.name, *((None, None) if row is None else row[:2]), *_values(view, row))
                for row, status in wanted
            ], view.name


def _joined(owner: Contract, folder: Path, out: Path, loaded: bool) -> DatasetSummary:
    if not loaded:
        return build_dataset(owner, folder / "h", None, START, END, out)
    with open_transactions(owner, None) as transactions:
        return transactions.build_dataset(folder / "h", START, END, out)


def _ids(owner: Contract, view: FeatureView, ask: Ask) -> tuple[Any, ...]:
    keys = {"buyer_id": ask.buyer, "shop_id": ask.shop}
    return tuple(keys[key] for key in owner.join_keys(view))


def _asked(table: Any) -> list[tuple[Any, ...]]:
    moments = [table[n].cast("int64").to_pylist() for n in ("scoring_ts", "label_known_at")]
    names = ("ask_id", "buyer_id", "shop_id", "label", "budget", "mood")
    cells = [table[name].to_pylist() for name in names]
    return list(zip(*cells, *moments, strict=True))


def _wanted(ask: Ask) -> tuple[Any, ...]:
    label = None if ask.bought is None else int(ask.bought)
    budget = None if ask.budget is None else ask.budget / 100
    return (ask.id, ask.buyer, ask.shop, label, budget, ask.mood, ask.at, ask.label_known)


def _answers(table: Any, view: FeatureView) -> list[tuple[Any, ...]]:
    moments = [table[f"{view.name}__{n}_ts"].cast("int64") for n in ("event", "created")]
    cells = [table[view_column(view.name, f.name)].to_pylist() for f in view.features]
    return list(
        zip(
            table[f"{view.name}__status"].to_pylist(),
            *(moment.to_pylist() for moment in moments),
            *cells,
            strict=True,
        )
    )


def _values(view: FeatureView, row: Any) -> Sequence[Any]:
    return [None] * len(view.features) if row is None else row.values


def _rows(owner: Contract, view: FeatureView, history: Path) -> list[EntityRow]:
    return read_history(owner, view, history)
