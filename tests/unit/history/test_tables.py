"""Views over a table: its rows, as they may be read, corrected, grown and refused."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from feature_runtime.core.availability import Row, Status
from feature_runtime.core.moments import HOUR, MINUTE
from proviso.contracts.contract import Contract
from proviso.history.duckdb.features import compute_history
from proviso.history.duckdb.incremental import backfill_history, update_history
from proviso.history.extent import read_extent
from proviso.history.files import history_file
from proviso.history.oracle import LabelRow, naive_join
from proviso.history.table_oracle import naive_answer, naive_table
from proviso.history.values import EntityRow, GivenRow, SourceClock
from tests.history_data import ZERO, read_history
from tests.problems import refused
from tests.table_data import VIEWS, TableRow, random_rows, table_contract, write_table

ROW = TableRow("b1", ZERO, ZERO + MINUTE, 0.5, 1234, "gold", True, 1)
SECOND = 1_000_000


def _history(
    owner: Contract, folder: Path, name: str, rows: Sequence[TableRow], end: int | None = None
) -> list[EntityRow]:
    """The view's history, computed at once."""
    write_table(rows, "string", folder / "scores.parquet")
    compute_history(owner, None, folder / "h", end=end, views=[name])
    return read_history(owner, owner.view_by_name[name], folder / "h")


def _read(rows: Sequence[EntityRow]) -> list[tuple[int, int, object]]:
    """Event time, created time and points."""
    return [(r.row.event_ts - ZERO, r.row.created_ts - ZERO, r.row.values[4]) for r in rows]


@pytest.mark.parametrize("name", VIEWS)
def test_every_dtype_is_stored_as_the_contract_says(name: str, tmp_path: Path) -> None:
    owner, empty = table_contract(tmp_path), (None, 0, None, None, 0)
    (one, other) = _history(owner, tmp_path, name, [ROW, TableRow("b2", ZERO, ZERO, *empty)])
    assert one.row.values == (0.5, 12.34, "gold", True, 1)
    assert other.row.values == (None, 0.0, None, None, 0)
    assert [type(v) for v in one.row.values] == [float, float, str, bool, int]


def test_a_row_is_published_when_it_is_there_and_its_moment_has_come(tmp_path: Path) -> None:
    """scores_live takes 12 minutes; scores_runs has runs each 3 hours, which start 10 minutes
    after H and take 7."""
    owner = table_contract(tmp_path)
    rows = [
        ROW._replace(created_ts=ZERO + wait, event_ts=ZERO + at, points=number)
        for number, (at, wait) in enumerate(
            [(0, 10 * MINUTE), (1, 10 * MINUTE + 1), (2 * HOUR, -HOUR), (3 * HOUR, 3 * HOUR)]
        )
    ]
    live, runs = (_read(_history(owner, tmp_path, n, rows)) for n in ("scores_live", "scores_runs"))
    assert live == [
        (0, 22 * MINUTE, 0),
        (1, 22 * MINUTE + 1, 1),
        (2 * HOUR, 2 * HOUR + 12 * MINUTE, 2),
        (3 * HOUR, 3 * HOUR + 12 * MINUTE, 3),
    ]
    run = 3 * HOUR + 17 * MINUTE
    assert runs == [(0, 17 * MINUTE, 0), (1, run, 1), (2 * HOUR, run, 2), (3 * HOUR, run, 3)]


def test_a_correction_wins_from_its_own_publication_on(tmp_path: Path) -> None:
    owner, corrected = table_contract(tmp_path), ROW._replace(created_ts=ZERO + HOUR, points=2)
    view = owner.view_by_name["scores_live"]
    found = _history(owner, tmp_path, view.name, [corrected, ROW])
    assert _read(found) == [(0, 13 * MINUTE, 1), (0, HOUR + 12 * MINUTE, 2)]
    for t, points in ((HOUR + 12 * MINUTE - 1, 1), (HOUR + 12 * MINUTE, 2)):
        ((winner, status),) = naive_join(view.times, found, [LabelRow(("b1",), ZERO + t)])
        assert winner is not None
        assert (winner.values[4], status) == (points, Status.OK)


def test_of_the_rows_of_one_run_only_the_last_created_is_published(tmp_path: Path) -> None:
    owner = table_contract(tmp_path)
    more = [ROW._replace(created_ts=ROW.created_ts + n, points=n) for n in (0, 1, 2)]
    assert _read(_history(owner, tmp_path, "scores_runs", more)) == [(0, 17 * MINUTE, 2)]
    assert len(_history(owner, tmp_path, "scores_live", more)) == 3


def test_equal_rows_count_once_and_contradictory_ones_are_refused(tmp_path: Path) -> None:
    owner = table_contract(tmp_path)
    assert len(_history(owner, tmp_path, "scores_live", [ROW, ROW])) == 1
    with refused("table_rows_contradict") as problems:
        _history(owner, tmp_path, "scores_live", [ROW, ROW._replace(points=2)])
    assert "b1" in problems[0].found


def test_an_entity_expires_with_its_last_row(tmp_path: Path) -> None:
    """There is no tombstone: what is no longer true is said by a row, of nulls if need be."""
    owner = table_contract(tmp_path)
    view = owner.view_by_name["scores_live"]
    gone = ROW._replace(event_ts=ZERO + HOUR, created_ts=ZERO + HOUR, rating=None, tier=None)
    rows = [row.given for row in (ROW, gone)]

    def answer(t: int) -> tuple[Row | None, Status]:
        return naive_answer(view, rows, LabelRow(("b1",), t))

    last = ZERO + HOUR
    found = _history(owner, tmp_path, view.name, [ROW, gone])
    for t, status in {
        last + view.online_ttl: Status.OK,
        last + view.online_ttl + 1: Status.STALE,
        last + view.temporal_join_lookback: Status.STALE,
        last + view.temporal_join_lookback + 1: Status.MISSING_KEY,
    }.items():
        assert answer(t)[1] == status
        assert naive_join(view.times, found, [LabelRow(("b1",), t)])[0][1] == status
    winner = answer(last + view.online_ttl)[0]
    assert winner is not None
    assert winner.values[:3] == (None, 12.34, None)


@pytest.mark.parametrize("name", VIEWS)
@pytest.mark.parametrize("seed", range(4))
def test_a_history_of_many_rows_is_the_references(name: str, seed: int, tmp_path: Path) -> None:
    owner, rows = table_contract(tmp_path), random_rows(seed, "string", 80)
    view = owner.view_by_name[name]
    assert _history(owner, tmp_path, name, rows) == _as_read(naive_table(view, _given(rows)))


@pytest.mark.parametrize("name", VIEWS)
def test_a_row_that_is_published_by_a_run_to_come_may_still_be_replaced(
    name: str, tmp_path: Path
) -> None:
    owner, place = table_contract(tmp_path), tmp_path / "scores.parquet"
    later = ROW._replace(created_ts=ROW.created_ts + SECOND, points=2)
    for rows in ([ROW], [ROW, later]):
        write_table(rows, "string", place)
        done = update_history(owner, None, tmp_path / "h", views=[name])
        assert done.views[0].rows == 1
    assert done.views[0].kept == (0 if name == "scores_runs" else 1)
    view = owner.view_by_name[name]
    expected = _as_read(naive_table(view, _given([ROW, later])))
    assert read_history(owner, view, tmp_path / "h") == expected


def test_a_row_that_was_used_and_has_changed_is_noticed_and_can_be_corrected(
    tmp_path: Path,
) -> None:
    owner, place, out = table_contract(tmp_path), tmp_path / "scores.parquet", tmp_path / "h"
    write_table([ROW], "string", place)
    update_history(owner, None, out, ZERO + HOUR, views=["scores_live"])
    late = ROW._replace(buyer="b2", points=7)
    for rows in ([], [ROW._replace(points=5)], [ROW, late]):
        write_table([*rows, ROW._replace(buyer="b3")], "string", place)
        with refused("transactions_changed"):
            update_history(owner, None, out, ZERO + 2 * HOUR, views=["scores_live"])
    write_table([ROW._replace(points=5), late], "string", place)
    moment = ZERO + 2 * HOUR
    backfill_history(owner, None, out, ZERO, as_of=moment, views=["scores_live"])
    view = owner.view_by_name["scores_live"]
    readable = 2 * HOUR + 12 * MINUTE
    assert _read(read_history(owner, view, out)) == [
        (0, 13 * MINUTE, 1),
        (0, readable, 5),
        (0, readable, 7),
    ]
    update_history(owner, None, out, moment + HOUR, views=["scores_live"])
    assert read_extent(owner, view, history_file(out, view)).rows == 3


def test_rows_created_after_the_clock_are_set_aside_and_rows_of_a_later_event_are_not(
    tmp_path: Path,
) -> None:
    owner = table_contract(tmp_path)
    ahead = ROW._replace(event_ts=ZERO + 4 * HOUR)
    beyond = ROW._replace(created_ts=ZERO + 2 * HOUR)
    write_table([ahead, beyond], "string", tmp_path / "scores.parquet")
    clock = SourceClock(ZERO + HOUR, MINUTE)
    done = compute_history(owner, None, tmp_path / "h", views=["scores_live"], clock=clock)
    assert (done.set_aside, done.set_aside_example) == (1, "b1")
    view = owner.view_by_name["scores_live"]
    assert _read(read_history(owner, view, tmp_path / "h")) == [
        (4 * HOUR, 4 * HOUR + 12 * MINUTE, 1)
    ]


@pytest.mark.parametrize(
    ("column", "values", "code"),
    [
        ("LOADED AT", None, "source_column_missing"),
        ("LOADED AT", pa.nulls(1, pa.timestamp("us", "UTC")), "source_event_null"),
        ("BUYER", pa.nulls(1, pa.string()), "source_key_null"),
        ("points", pa.nulls(1, pa.int64()), "source_value_null"),
        ("CREDIT", pa.array([0.123]), "source_value_too_fine"),
        ("tier", pa.array([1]), "source_type_mismatch"),
        ("rating", pa.array([float("nan")]), "source_value_not_finite"),
    ],
)
def test_what_is_wrong_with_a_table_is_named(
    column: str, values: pa.Array | None, code: str, tmp_path: Path
) -> None:
    owner, place = table_contract(tmp_path), tmp_path / "scores.parquet"
    write_table([ROW], "string", place)
    table = pq.read_table(place)
    columns = {name: table[name] for name in table.column_names} | {column: values}
    pq.write_table(pa.table({n: c for n, c in columns.items() if c is not None}), place)
    with refused(code) as problems:
        compute_history(owner, None, tmp_path / "h", views=["scores_live"])
    if values is not None:
        assert problems[0].path == f"{place}: {column}"


def _given(rows: Sequence[TableRow]) -> list[GivenRow]:
    return [row.given for row in rows]


def _as_read(rows: Sequence[EntityRow]) -> list[EntityRow]:
    """Rows as a file gives them, without a run's number."""
    return [one._replace(row=one.row._replace(run_id=0)) for one in rows]


def test_a_null_of_a_nullable_money_column_is_no_value(tmp_path: Path) -> None:
    stated = table_contract(tmp_path).model_dump(mode="json")
    (scores,) = (one for one in stated["sources"] if one["name"] == "scores")
    scores["columns"]["credit"]["nullable"] = True
    owner, place = Contract.model_validate(stated), tmp_path / "scores.parquet"
    write_table([ROW], "string", place)
    table = pq.read_table(place)
    at = table.schema.get_field_index("CREDIT")
    pq.write_table(table.set_column(at, "CREDIT", pa.array([None], pa.float64())), place)
    compute_history(owner, None, tmp_path / "h", views=["scores_live"])
    (row,) = read_history(owner, owner.view_by_name["scores_live"], tmp_path / "h")
    assert row.row.values[1] is None
