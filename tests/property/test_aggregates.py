"""Every aggregate over every kind of column: equal to its meaning, however the history came about.

Nulls, strings and moments are columns of the loaded table here, made without a file.
"""

from __future__ import annotations

import random
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feature_runtime.core.availability import Row
from feature_runtime.core.moments import HOUR
from proviso.contracts.aggregates import AGGREGATES
from proviso.contracts.contract import Contract, FeatureView
from proviso.contracts.sources import Column, EventsSource
from proviso.history.duckdb import features, sweeps
from proviso.history.duckdb.arriving import open_arrivals
from proviso.history.duckdb.dating import known_column
from proviso.history.duckdb.engine import Engine, connect, names
from proviso.history.duckdb.features import Span, computed
from proviso.history.duckdb.incremental import backfill_history, update_history
from proviso.history.duckdb.scalars import EngineScalars
from proviso.history.duckdb.transactions import events_of
from proviso.history.oracle import naive_history
from proviso.history.values import EntityRow, Event
from tests.aggregate_cases import dated_as, every_function, only
from tests.history_data import (
    LABEL,
    ZERO,
    contract,
    numbered,
    random_events,
    read_history,
    write_transactions,
)

TOWNS = ("Bath", "York", "Ypern", "Zürich", "z", "", None)
START, END = ZERO - 13 * HOUR, ZERO + 14 * HOUR
_COLUMNS = {
    "price": pa.int64(),
    "pieces": pa.int64(),
    "weight": pa.float64(),
    "is_gift": pa.bool_(),
    "town": pa.string(),
    "due": pa.int64(),
}


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with connect() as opened:
        yield opened


@pytest.fixture(params=[1_000_000, 5])
def _in_parts(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """All entities at once, or a few events of some of them at a time."""
    monkeypatch.setattr(features, "AT_ONCE", request.param)
    monkeypatch.setattr("proviso.history.duckdb.onevent.AT_ONCE", request.param)
    assert sweeps.AT_ONCE == 1_000_000


def with_nulls(owner: Contract) -> Contract:
    """The shop with a town and a due moment, and every column nullable."""
    events, *others = owner.sources
    assert isinstance(events, EventsSource)
    more = {"town": Column(dtype="string"), "due": Column(dtype="timestamp")}
    columns = {
        name: column if column.known_at else column.model_copy(update={"nullable": True})
        for name, column in {**events.columns, **more}.items()
    }
    made = events.model_copy(update={"columns": columns})
    return owner.model_copy(update={"sources": [made, *others]})


def varied(seed: int, count: int) -> list[Event]:
    """Random sales with towns, nulls, and ties of every kind."""
    rng = random.Random(seed)
    made = []
    for sale in random_events(seed, "string", count):
        columns: dict[str, Any] = {
            "price": rng.choice((None, 0, 5, 5, 700)),
            "pieces": rng.choice((None, -2, 1, 1, 8)),
            "weight": rng.choice((None, 0.5, -0.0, 0.0, 2.25, 1e9)),
            "is_gift": rng.choice((None, True, False)),
            "town": rng.choice(TOWNS),
            "due": rng.choice((None, ZERO, ZERO + 1)),
        }
        made.append(replace(sale, columns={**columns, LABEL: sale.columns[LABEL]}))
    return numbered(made)


def load(engine: Engine, owner: Contract, sales: Sequence[Event]) -> None:
    columns = {
        "sale_id": pa.array([e.id for e in sales], pa.int64()),
        "buyer_id": pa.array([e.ids["buyer_id"] for e in sales]),
        "shop_id": pa.array([e.ids["shop_id"] for e in sales]),
        "was_returned": pa.array([e.columns[LABEL] for e in sales], pa.bool_()),
        "_event": pa.array([e.event_ts for e in sales], pa.int64()),
        "_arrival": pa.array([e.arrival_ts for e in sales], pa.int64()),
        known_column(LABEL): pa.array([e.known[LABEL] for e in sales], pa.int64()),
        **{n: pa.array([e.columns[n] for e in sales], kind) for n, kind in _COLUMNS.items()},
    }
    engine.lend("_made", pa.table(columns))
    table = events_of(owner.observations_of().rows)
    engine.execute(f"create or replace temp table {table} as select * from _made")


def computed_rows(
    engine: Engine, owner: Contract, view: FeatureView, start: int, end: int
) -> list[EntityRow]:
    keys, stated = owner.join_keys(view), names(*(f.name for f in view.features))
    start = features.first_run(view, start)
    with computed(engine, owner, view, Span(start, end)) as made:
        found = engine.execute(
            f"select {names(*keys)}, epoch_us(event_ts), epoch_us(created_ts), {stated}"
            f" from ({made.query})"
        ).fetchall()
    rows = [
        EntityRow(row[: len(keys)], Row(row[len(keys)], row[len(keys) + 1], row[len(keys) + 2 :]))
        for row in found
    ]
    return sorted(rows, key=lambda r: (r.row.event_ts, r.ids, r.row.created_ts))


STATED = [
    {"function": name, "of": of, **({"scale": 1} if of == "weight" and function.sums else {})}
    for name, function in AGGREGATES.items()
    if function.column != "none"
    for of, dtype in {
        "price": "money",
        "pieces": "int64",
        "weight": "float64",
        "is_gift": "bool",
        "town": "string",
        "due": "timestamp",
    }.items()
    if dtype in function.dtypes
]
BARE = [
    {"function": "share", "where": "town in ('Bath', 'z') or price > 4"},
    {"function": "time_since", "where": "town <> 'Bath'"},
    {"function": "count", "where": "not is_gift and town is null"},
]


def owner_of(stated: Sequence[dict[str, Any]], window: str, dated: str) -> Contract:
    made = with_nulls(contract())
    named = [
        {**dated_as(one, dated), "name": f"a{place}", "window": window}
        for place, one in enumerate(stated)
    ]
    return only(*named, of=made)


@pytest.mark.usefixtures("_in_parts")
@settings(max_examples=3)
@given(
    seed=st.integers(0, 10**6),
    count=st.sampled_from([1, 3, 20]),
    window=st.sampled_from(["PT1H", "PT2H30M", "PT7H", "all"]),
    dated=st.sampled_from(["event", "known"]),
    where=st.sampled_from([None, "town <> 'York'", "weight >= 0 or is_gift"]),
)
def test_nulls_strings_and_moments_are_what_their_meaning_says(
    engine: Engine, seed: int, count: int, window: str, dated: str, where: str | None
) -> None:
    conditions = [{**one, "where": where} for one in STATED]
    owner = owner_of([*conditions, *BARE], window, dated)
    sales = varied(seed, count)
    load(engine, owner, sales)
    scalars = EngineScalars(engine, owner)
    for view in owner.feature_views:
        wanted = naive_history(scalars, owner, view, sales, START, END)
        assert computed_rows(engine, owner, view, START, END) == wanted, view.name


def whole_and_parts(seed: int, folder: Path) -> Iterator[tuple[str, object, object]]:
    """Histories of every aggregate: at once, and by three updates, then both corrected."""
    owner = only(*every_function())
    sales = sorted(random_events(seed, "string", 40), key=lambda e: e.arrival_ts)
    moments = [ZERO - 4 * HOUR, ZERO + 2 * HOUR + 1, ZERO + 20 * HOUR]
    histories = {"parts": moments, "whole": moments[-1:]}
    for name, updates in histories.items():
        out = folder / name
        out.mkdir()
        for moment in updates:
            arrived = [e for e in sales if e.arrival_ts < moment]
            update_history(owner, write_transactions(arrived, "string", out / "s"), out, moment)
        source = write_transactions(sales, "string", out / "s")
        backfill_history(owner, source, out, ZERO - 9 * HOUR, ZERO + 9 * HOUR, ZERO + 21 * HOUR)
    for view in owner.feature_views:
        parts, whole = (read_history(owner, view, folder / name) for name in histories)
        yield view.name, parts, whole


@pytest.mark.parametrize("seed", range(1))
def test_increments_and_corrections_give_the_whole_history(seed: int, tmp_path: Path) -> None:
    for view, parts, whole in whole_and_parts(seed, tmp_path):
        assert parts == whole, view


@pytest.mark.parametrize("seed", range(1))
def test_a_stream_publishes_the_rows_of_the_whole_history(seed: int) -> None:
    owner = only(*every_function())
    view = owner.view_by_name["buyer_stream"]
    sales = sorted(random_events(seed, "string", 40), key=lambda e: e.arrival_ts)
    published = list[EntityRow]()
    with tempfile.TemporaryDirectory() as folder, connect() as engine:
        with open_arrivals(owner, [view], "1GB") as arrivals:
            for first in range(0, len(sales), 9):
                some = sales[first : first + 9]
                until = some[-1].arrival_ts
                more = [e for e in sales[first + 9 :] if e.arrival_ts == until]
                part = write_transactions([*some, *more], "string", Path(folder) / "part")
                arrivals.take(part, fresh=True)
                published += arrivals.rows(view)
                arrivals.published()
                sales = [e for e in sales if e not in more]
        wanted = naive_history(
            EngineScalars(engine, owner), owner, view, random_events(seed, "string", 40), 0, 2**52
        )
    told = sorted((r.ids, r.row.event_ts, r.row.created_ts, r.row.values) for r in published)
    assert told == sorted((r.ids, r.row.event_ts, r.row.created_ts, r.row.values) for r in wanted)
