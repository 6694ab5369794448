"""Rows of a table in a real store: at every moment it answers like the table itself."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from feature_runtime.core import keys, timeline
from feature_runtime.core.availability import Row, availability, visible_from
from feature_runtime.core.moments import HOUR, MINUTE
from proviso.contracts.contract import Contract, FeatureView
from proviso.history.duckdb.incremental import update_history
from proviso.history.oracle import LabelRow
from proviso.history.table_oracle import naive_answer, naive_table
from proviso.history.values import Ids
from proviso.online.materialize import Clocks, Materializer
from proviso.replay.arrivals import Arrivals, arrived_by
from tests.history_data import ZERO
from tests.parcel_data import Held
from tests.table_data import VIEWS, TableRow, random_rows, table_contract, write_table

MARGIN = MINUTE
END = ZERO + 40 * HOUR
ROWS = random_rows(11, "string", 150)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("scores")


@pytest.fixture(scope="module")
def owner(folder: Path) -> Contract:
    """A contract whose table's history is computed."""
    made = table_contract(folder)
    write_table(ROWS, "string", folder / "scores.parquet")
    update_history(made, None, folder / "h", END, views=VIEWS)
    return made


def _kept(owner: Contract, held: Held, view: FeatureView, ids: Ids) -> tuple[Row, ...]:
    schema = owner.schema_of(view)
    key = keys.timeline_key(keys.entity_key(view.entities, ids), view.name, schema)
    [blob] = held.store.read([key])
    return () if blob is None else timeline.unpack(schema, blob)


def _by_entity(rows: list[TableRow]) -> dict[Ids, list[TableRow]]:
    found: dict[Ids, list[TableRow]] = {}
    for row in rows:
        found.setdefault((row.buyer,), []).append(row)
    return found


@pytest.mark.parametrize("name", VIEWS)
def test_the_store_answers_as_the_table_at_every_moment(
    name: str, owner: Contract, folder: Path, held: Held
) -> None:
    view, chance, asked = owner.view_by_name[name], random.Random(5), 0
    for as_of in range(ZERO - 10 * HOUR, ZERO + 24 * HOUR, 4 * HOUR + 17 * MINUTE):
        writer = Materializer(owner, folder / "h", held.store, Clocks(as_of, MARGIN, MINUTE))
        (done,) = writer.bring_up([view])
        assert as_of <= done.complete < END
        for ids, rows in _by_entity(ROWS).items():
            kept = _kept(owner, held, view, ids)
            edges = {visible_from(view.times, row) + step for row in kept for step in (-1, 0)}
            spread = {chance.randint(as_of - MARGIN, done.complete) for _ in range(8)}
            for t in {t for t in edges | spread if as_of - MARGIN <= t <= done.complete}:
                given = [row.of_view(view) for row in rows]
                wanted, expected = naive_answer(view, given, LabelRow(ids, t))
                winner, status = availability(view.times, kept, t)
                assert status == expected, (ids, t)
                assert (winner and winner[:3]) == (wanted and wanted[:3]), (ids, t)
                asked += 1
    assert asked > 150


@pytest.mark.parametrize("name", VIEWS)
def test_a_replay_publishes_each_row_before_it_may_be_read(
    name: str, owner: Contract, folder: Path
) -> None:
    view = owner.view_by_name[name]
    rows = naive_table(view, [row.of_view(view) for row in ROWS])
    arrivals = Arrivals(owner, folder / "h", view, 0, END)
    published: set[tuple[Ids, int, int]] = set()
    for t in range(ZERO - 14 * HOUR, ZERO + 26 * HOUR, 7 * MINUTE):
        for ids, row in arrivals.until(arrived_by(view, t)):
            assert row.event_ts <= t
            published.add((ids, row.event_ts, row.created_ts))
        for ids, row in rows:
            if visible_from(view.times, row) <= t:
                assert (ids, row.event_ts, row.created_ts) in published
