"""Paths are read as they are: no name is a pattern, and no folder's name is a column."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from feature_runtime.core.moments import DAY, HOUR, MINUTE
from proviso.contracts.contract import Contract
from proviso.history.duckdb.engine import connect
from proviso.history.duckdb.features import compute_history
from proviso.history.duckdb.incremental import backfill_history, update_history
from proviso.history.duckdb.join import build_dataset
from proviso.history.duckdb.live import live_entities
from proviso.history.duckdb.publishable import run_rows
from proviso.history.duckdb.relation import stamps_relation
from proviso.history.duckdb.transactions import by_arrival
from proviso.history.journal import Stamped, open_journal
from tests.history_data import ZERO, contract, event, write_transactions

SALES = [event(f"b{n % 3}", f"s{n % 2}", ZERO + n * 25 * MINUTE, price=100 + n) for n in range(60)]
NAMES = (
    "price=5/t.parquet",
    "heard_at=2020-09-13/buyer_id=b7/t.parquet",
    "event_ts=2020-01-01/spent_3h=9/created_ts=1/t.parquet",
    "t[1].parquet",
    "t*.parquet",
    "t?.parquet",
    "[a-z]/{t,u}.parquet",
    'o\'brien & "sons".parquet',
    "back\\slash.parquet",
    "umlaut ü.parquet",
)


@pytest.fixture(params=NAMES)
def odd(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A path to write, beside others that it would match if it were a pattern."""
    path = tmp_path / str(request.param)
    for decoy in ("t1.parquet", "t2.parquet", "tx.parquet", "b/t.parquet", "b/u.parquet"):
        beside = tmp_path / decoy
        beside.parent.mkdir(exist_ok=True)
        write_transactions([event("decoy", price=1)], "string", beside)
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same computed in a folder of a plain name."""
    return _everything(tmp_path_factory.mktemp("plain") / "t.parquet")


def _everything(source: Path) -> Path:
    """History, update, backfill and dataset, all in the source's folder; returns the folder."""
    owner, work = contract(), source.parent
    write_transactions(SALES[:40], "string", source)
    compute_history(owner, source, work)
    write_transactions(SALES, "string", source)
    update_history(owner, source, work, ZERO + DAY)
    corrected = [*SALES[:5], event("b1", "s1", ZERO + 2 * HOUR, price=77), *SALES[6:]]
    write_transactions(corrected, "string", source)
    backfill_history(owner, source, work, ZERO, ZERO + DAY, ZERO + 3 * DAY)
    build_dataset(owner, work, source, ZERO, ZERO + DAY, work / "out[1].parquet")
    return work


def _tables(owner: Contract, work: Path) -> Iterator[list[object]]:
    for name in (*owner.view_by_name, "out[1]"):
        yield pq.ParquetFile(work / f"{name}.parquet").read().to_pylist()


def test_every_file_is_read_as_the_file_that_is_named(odd: Path, plain: Path) -> None:
    owner = contract()
    assert list(_tables(owner, _everything(odd))) == list(_tables(owner, plain))
    [rows] = by_arrival(owner, odd, 1_000)
    assert {row["buyer_id"] for row in rows} == {"b0", "b1", "b2"}


def test_a_journal_is_read_where_it_is(odd: Path) -> None:
    owner, history = contract(), odd.parent
    write_transactions(SALES, "string", odd)
    compute_history(owner, odd, history)
    view = owner.view_by_name["buyer_hourly"]
    assert len(list(live_entities(owner, history, view, ZERO + DAY))) == 3
    row = next(run_rows(owner, history, view, ZERO + 2 * HOUR))
    store = "0123456789abcdef"
    with open_journal(owner, history, view) as journal:
        planned = row.row.created_ts
        stamped = Stamped(row.ids, row.row.event_ts, planned, planned + MINUTE, b"k", b"v")
        segment = journal.intend(store, [stamped])
        assert _created(owner, history) == [(planned + MINUTE, None, store)]
        journal.acknowledge(segment, planned + 7)
        assert _created(owner, history) == [(planned + MINUTE, planned + 7, store)]
        journal.fold()
    assert _created(owner, history) == [(planned + MINUTE, planned + 7, store)]
    shown = {r.ids: r.row.created_ts for r in run_rows(owner, history, view, ZERO + 2 * HOUR)}
    assert shown[row.ids] == planned + MINUTE


def _created(owner: Contract, history: Path) -> list[tuple[object, ...]]:
    relation = stamps_relation(owner, history, owner.view_by_name["buyer_hourly"])
    with connect() as engine:
        return engine.execute(
            f"select _created_us, _acknowledged_us, _store from ({relation})"
        ).fetchall()
