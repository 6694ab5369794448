"""The events that a sampled row is computed again from: few, and with the same verdict as all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings

from feature_runtime.core.availability import Row
from feature_runtime.core.moments import DAY, HOUR, MINUTE
from proviso.history.duckdb.engine import Engine, connect
from proviso.history.duckdb.loaded import open_transactions
from proviso.history.duckdb.scalars import EngineScalars
from proviso.history.oracle import Reference
from proviso.history.values import Event, Ids
from proviso.training.dataset_check import Winner
from proviso.training.history_check import differences, earliest
from proviso.training.relevant_events import EntityEvents
from tests.history_data import ZERO, contract, events, labelled, random_events, write_transactions


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with connect() as opened:
        yield opened


def by_entity(sales: Sequence[Event], keys: Sequence[str]) -> dict[Ids, list[Event]]:
    found: dict[Ids, list[Event]] = {}
    for sale in sales:
        found.setdefault(tuple(sale.ids[key] for key in keys), []).append(sale)
    return found


def candidates(reference: Reference, mine: Sequence[Event]) -> Iterator[Row]:
    """Rows that are right, and such that a tampered history would have."""
    rows = reference.rows(mine, ZERO - 10 * HOUR, ZERO + DAY)
    for row in rows[:: max(1, len(rows) // 12)]:
        yield row
        yield row._replace(created_ts=row.created_ts + HOUR)
        yield row._replace(created_ts=row.created_ts - HOUR)
        yield row._replace(event_ts=row.event_ts + 1)
        yield row._replace(values=tuple(None for _ in row.values))


def judged_alike(reference: Reference, mine: Sequence[Event], ids: Ids) -> int:
    """Compares the verdicts; returns how many found a row wrong."""
    relevant, everything, wrong = EntityEvents(reference, mine), reference.seen(mine), 0
    for row in candidates(reference, mine):
        winner = Winner(ids, row)
        whole = list(differences(reference, winner, everything))
        assert list(differences(reference, winner, relevant.of_row(row))) == whole
        wrong += len(whole)
    return wrong


@settings(max_examples=10)
@given(sales=events("string"))
def test_the_verdict_is_that_of_all_events(engine: Engine, sales: list[Event]) -> None:
    owner = contract()
    scalars = EngineScalars(engine, owner)
    for view in owner.feature_views:
        for ids, mine in by_entity(sales, owner.join_keys(view)).items():
            judged_alike(Reference(scalars, owner, view), mine, ids)


@pytest.mark.parametrize("seed", range(4))
def test_the_verdict_on_many_events(engine: Engine, seed: int) -> None:
    owner = contract()
    scalars = EngineScalars(engine, owner)
    sales = random_events(seed, "string", 150)
    for view in owner.feature_views:
        ids, mine = max(by_entity(sales, owner.join_keys(view)).items(), key=lambda e: len(e[1]))
        assert judged_alike(Reference(scalars, owner, view), mine, ids) > 0


@pytest.mark.parametrize("seed", range(4))
def test_the_verdict_needs_no_event_from_before_the_windows(seed: int, tmp_path: Path) -> None:
    """Late arrivals, outcomes known late and entities long idle included."""
    owner, wrong = contract(), 0
    sales = random_events(seed, "string", 150)
    path = write_transactions(sales, "string", tmp_path / "sales.parquet")
    with open_transactions(owner, path) as loaded:
        for view in owner.feature_views:
            reference = Reference(loaded.scalars, owner, view)
            for ids, mine in by_entity(sales, owner.join_keys(view)).items():
                for rows in rows_from(reference, mine, seed):
                    winners = [Winner(ids, row) for row in rows]
                    few = loaded.events(view, {ids}, earliest(view, winners))[ids]
                    wrong += judged_the_same(reference, winners, mine, few)
    assert wrong > 0


def rows_from(reference: Reference, mine: Sequence[Event], seed: int) -> Iterator[list[Row]]:
    """Rows to judge from some moments on."""
    rows = sorted(candidates(reference, mine), key=lambda row: row.event_ts)
    for first in range(seed, len(rows), 15):
        yield rows[first:]


def judged_the_same(
    reference: Reference, winners: Sequence[Winner], every: Sequence[Event], few: Sequence[Event]
) -> int:
    """Compares the verdicts; returns how many found a row wrong."""
    whole, cut, wrong = EntityEvents(reference, every), EntityEvents(reference, few), 0
    for winner in winners:
        found = list(differences(reference, winner, whole.of_row(winner.row)))
        assert list(differences(reference, winner, cut.of_row(winner.row))) == found
        wrong += len(found)
    return wrong


def test_few_events_are_read(tmp_path: Path) -> None:
    """With an event a minute over 40 days, those of the longest window, three hours, and later."""
    owner = contract()
    view = owner.view_by_name["buyer_hourly"]
    [one] = random_events(1, "string", 1)
    mine = [
        labelled(replace(one, event_ts=t, arrival_ts=t, id=t), None)
        for t in range(ZERO, ZERO + 40 * DAY, MINUTE)
    ]
    ids = (one.ids["buyer_id"],)
    row = Row(ZERO + 40 * DAY - HOUR, ZERO + 40 * DAY, ())
    path = write_transactions(mine, "string", tmp_path / "sales.parquet")
    with open_transactions(owner, path) as loaded:
        read = loaded.events(view, {ids}, earliest(view, [Winner(ids, row)]))[ids]
        judged = EntityEvents(Reference(loaded.scalars, owner, view), read).of_row(row)
    assert len(read) == 180 + 59 + 1  # of the windows, after them, and the last before them
    assert len(judged.events) == 1
