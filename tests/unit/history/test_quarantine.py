"""Rows that do not fit are set aside where the source allows it, and are refused elsewhere."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from proviso.contracts.base import InputError
from proviso.contracts.contract import Contract
from proviso.history.duckdb.engine import Engine, connect
from proviso.history.duckdb.features import compute_history
from proviso.history.duckdb.incremental import update_history
from proviso.history.duckdb.transactions import load_transactions
from proviso.history.files import MOMENT
from proviso.history.quarantine import Quarantined, Reason, quarantine_file, read_quarantines
from tests.history_data import (
    ZERO,
    allowing,
    contract,
    random_events,
    read_history,
    write_transactions,
)
from tests.problems import refused
from tests.table_data import TableRow, table_contract, write_table

MINUTE = 60_000_000
ROWS = 20


@pytest.fixture
def engine() -> Iterator[Engine]:
    with connect() as opened:
        yield opened


def sales(**change: Any) -> pa.Table:
    """Twenty sales, a minute apart, each known a minute later."""
    moments = [ZERO + n * MINUTE for n in range(ROWS)]
    columns = {
        "sale_id": pa.array(range(ROWS)),
        "sold_at": pa.array(moments, MOMENT),
        "heard_at": pa.array([moment + MINUTE for moment in moments], MOMENT),
        "buyer_id": pa.array([f"b{n % 3}" for n in range(ROWS)]),
        "shop_id": pa.array(["s"] * ROWS),
        "price": pa.array([10.5] * ROWS),
        "pieces": pa.array([1] * ROWS),
        "weight": pa.array([1.5] * ROWS),
        "is_gift": pa.array([True] * ROWS),
        "was_returned": pa.array([1] * ROWS),
    }
    return pa.table({**columns, **change})


def with_cell(table: pa.Table, column: str, row: int, value: Any) -> pa.Table:
    cells = table[column].to_pylist()
    cells[row] = value
    place = table.column_names.index(column)
    return table.set_column(place, column, pa.array(cells, table[column].type))


def loaded(
    engine: Engine, table: pa.Table, path: Path, owner: Contract, **span: int
) -> Quarantined | None:
    pq.write_table(table, path / "sales.parquet")
    ends = span.get("start"), span.get("end")
    return load_transactions(engine, owner, path / "sales.parquet", *ends).quarantined


def kept(engine: Engine) -> list[Any]:
    rows = engine.execute("select sale_id from _events_sales order by all").fetchall()
    return [one for (one,) in rows]


def test_a_source_without_quarantine_refuses_and_names_the_first_rows(
    engine: Engine, tmp_path: Path
) -> None:
    table = sales()
    for row, price in ((3, 1.005), (7, float("nan")), (9, 2.001), (11, 3.001), (12, 4.001)):
        table = with_cell(table, "price", row, price)
    with refused("source_value_not_finite", "source_value_too_fine") as problems:
        loaded(engine, table, tmp_path, contract())
    assert problems[1].found == (
        "an amount finer than a minor unit, 1.005, in 4 rows"
        " (first in row 4, sale_id 3; row 10, sale_id 9: 2.001; row 12, sale_id 11: 3.001)"
    )


EARLY, LATE = (dt.datetime(year, 1, 1, tzinfo=dt.UTC) for year in (1969, 2300))
DEFECTS: dict[str, tuple[str, Any, str]] = {
    "no id": ("sale_id", None, "source_id_null"),
    "no event": ("sold_at", None, "source_event_null"),
    "a moment before 1970": ("sold_at", EARLY, "source_moment_out_of_range"),
    "an arrival after 2255": ("heard_at", LATE, "source_moment_out_of_range"),
    "no key": ("buyer_id", None, "source_key_null"),
    "a long key": ("buyer_id", "x" * 257, "source_key_invalid"),
    "no amount": ("price", None, "source_value_null"),
    "NaN": ("price", float("nan"), "source_value_not_finite"),
    "infinity": ("weight", float("inf"), "source_value_not_finite"),
    "too many decimals": ("price", 1.005, "source_value_too_fine"),
    "too large": ("price", 1e15, "source_value_out_of_range"),
    "beyond a double": ("pieces", 2**53, "source_value_out_of_range"),
    "another label": ("was_returned", 2, "source_label_invalid"),
    "no truth": ("is_gift", None, "source_value_null"),
}


@pytest.mark.parametrize("defect", DEFECTS)
def test_a_row_with_a_defect_is_set_aside_as_the_file_has_it(
    engine: Engine, tmp_path: Path, defect: str
) -> None:
    column, value, code = DEFECTS[defect]
    table = with_cell(sales(), column, 5, value)
    found = loaded(engine, table, tmp_path, allowing(contract(), 0.05))
    assert found == Quarantined("sales", 1, ROWS, 0, (Reason(column, code, 1),))
    assert kept(engine) == [n for n in range(ROWS) if n != 5]
    query = 'select sale_id, price, _proviso_row, _proviso_reasons from "_quarantine_sales"'
    sale_id, price, row, reasons = engine.row(query)
    assert (sale_id, str(price), row) == (
        None if column == "sale_id" else 5,
        str(value) if column == "price" else "10.5",
        6,
    )
    assert [one["code"] for one in reasons] == [code]


def test_a_share_that_is_too_large_is_refused_with_the_counts_and_each_reason(
    engine: Engine, tmp_path: Path
) -> None:
    table = with_cell(with_cell(sales(), "price", 5, None), "weight", 6, float("nan"))
    with refused("quarantine_exceeded", "source_value_null", "source_value_not_finite") as problems:
        loaded(engine, table, tmp_path, allowing(contract(), 0.09))
    assert problems[0].found == "2 of 20 rows do not fit (10.00%)"
    assert problems[0].wanted == "at most 9%"
    assert loaded(engine, table, tmp_path, allowing(contract(), 0.1)) is not None


def test_a_row_counts_once_however_many_reasons_it_has(engine: Engine, tmp_path: Path) -> None:
    table = with_cell(with_cell(sales(), "price", 5, None), "weight", 5, float("nan"))
    found = loaded(engine, table, tmp_path, allowing(contract(), 0.05))
    assert found is not None
    assert (found.rows, len(found.reasons)) == (1, 2)


def test_of_rows_with_one_id_the_first_to_arrive_counts(engine: Engine, tmp_path: Path) -> None:
    """A copy is left out and is no defect; a bad row has no claim to the id."""
    table = with_cell(with_cell(sales(), "sale_id", 2, 9), "price", 4, None)
    later = sales().slice(4, 1), sales().slice(7, 1)  # 4 repaired, 7 again
    table = pa.concat_tables([table, *later])
    found = loaded(engine, table, tmp_path, allowing(contract(), 0.2))
    assert found is not None
    assert (found.rows, found.of, found.copies) == (2, ROWS + 2, 1)
    assert found.reasons == (
        Reason("price", "source_value_null", 1),
        Reason("sale_id", "source_id_repeated", 1),
    )
    assert kept(engine) == [n for n in range(ROWS) if n != 2]
    [event] = engine.row("select _event from _events_sales where sale_id = 9")
    assert event == ZERO + 2 * MINUTE


def test_a_span_sets_the_same_rows_aside_as_the_whole(engine: Engine, tmp_path: Path) -> None:
    """The row that keeps an id may lie outside of the span."""
    table = with_cell(with_cell(sales(), "sale_id", 2, 9), "price", 4, None)
    owner = allowing(contract(), 0.2)
    whole = loaded(engine, table, tmp_path, owner)
    span = {"start": ZERO + 8 * MINUTE, "end": ZERO + 12 * MINUTE}
    assert loaded(engine, table, tmp_path, owner, **span) == whole
    assert kept(engine) == [8, 10, 11]


def test_the_file_of_a_history_has_the_rows_and_says_of_how_many(tmp_path: Path) -> None:
    owner = allowing(contract(), 0.2)
    pq.write_table(with_cell(sales(), "price", 4, float("nan")), tmp_path / "sales.parquet")
    done = compute_history(owner, tmp_path / "sales.parquet", tmp_path / "history")
    assert read_quarantines(tmp_path / "history") == list(done.quarantined)
    assert (done.transactions, done.quarantined[0].rows) == (ROWS - 1, 1)
    [row] = pq.read_table(quarantine_file(tmp_path / "history", "sales")).to_pylist()
    assert (row["sale_id"], row["_proviso_file"]) == (4, f"{tmp_path}/sales.parquet")
    assert row["_proviso_reasons"] == [
        {
            "column": "price",
            "code": "source_value_not_finite",
            "found": "nan",
            "wanted": "a finite number",
        }
    ]


def test_without_a_bad_row_the_file_says_none_and_without_the_key_there_is_none(
    tmp_path: Path,
) -> None:
    pq.write_table(sales(), tmp_path / "sales.parquet")
    history = tmp_path / "history"
    compute_history(allowing(contract(), 0.2), tmp_path / "sales.parquet", history)
    assert read_quarantines(history) == [Quarantined("sales", 0, ROWS)]
    compute_history(contract(), tmp_path / "sales.parquet", history)
    assert read_quarantines(history) == []


def test_a_repaired_row_is_an_ordinary_late_arrival(tmp_path: Path) -> None:
    """An update takes it without a backfill and gives what a full run gives."""
    owner, history = allowing(contract(), 0.2), tmp_path / "history"
    events = random_events(3, "string", 80)
    whole = write_transactions(events, "string", tmp_path / "whole.parquet")
    table = pq.read_table(whole)
    last = max(table["heard_at"].to_pylist())
    bad = table.set_column(
        table.column_names.index("weight"),
        "weight",
        pa.array([float("nan") if n == 5 else 1.5 for n in range(len(table))]),
    )
    pq.write_table(bad, tmp_path / "bad.parquet")
    update_history(owner, tmp_path / "bad.parquet", history)
    good = with_cell(bad, "weight", 5, 1.5)
    repaired = with_cell(good, "heard_at", 5, last + dt.timedelta(hours=1))
    pq.write_table(repaired, tmp_path / "repaired.parquet")
    update_history(owner, tmp_path / "repaired.parquet", history)
    assert [one.rows for one in read_quarantines(history)] == [0]
    update_history(owner, tmp_path / "repaired.parquet", tmp_path / "again")
    for view in owner.feature_views:
        rows = read_history(owner, view, history)
        assert rows
        assert rows == read_history(owner, view, tmp_path / "again")


def test_a_source_whose_rows_are_all_set_aside_but_within_the_share_has_none_left(
    tmp_path: Path,
) -> None:
    pq.write_table(with_cell(sales(), "price", 0, None).slice(0, 1), tmp_path / "sales.parquet")
    with pytest.raises(InputError) as error:
        compute_history(
            allowing(contract(), 0.99), tmp_path / "sales.parquet", tmp_path / "history"
        )
    assert error.value.problems[0].code == "quarantine_exceeded"


TABLE_ROW = TableRow("b1", ZERO, ZERO + MINUTE, 0.5, 1234, "gold", True, 1)


def test_rows_of_a_table_that_contradict_each_other_are_all_set_aside(tmp_path: Path) -> None:
    """Which of them was true cannot be told; equal ones count once, as ever."""
    owner = allowing(table_contract(tmp_path), 0.5, "scores")
    other = [TABLE_ROW._replace(buyer=f"b{n}") for n in range(2, 6)]
    twice = other[0]._replace(points=7)
    nothing = TABLE_ROW._replace(buyer="")
    write_table(
        [TABLE_ROW, *other, other[3], twice, nothing], "string", tmp_path / "scores.parquet"
    )
    done = compute_history(owner, None, tmp_path / "h", views=["scores_live"])
    assert done.quarantined == (
        Quarantined(
            "scores",
            3,
            8,
            1,
            (
                Reason("AS OF", "table_rows_contradict", 2),
                Reason("BUYER", "source_key_invalid", 1),
            ),
        ),
    )
    rows = read_history(owner, owner.view_by_name["scores_live"], tmp_path / "h")
    assert sorted(row.ids for row in rows) == [("b1",), ("b3",), ("b4",), ("b5",)]
    with refused("quarantine_exceeded", "source_key_invalid", "table_rows_contradict"):
        compute_history(allowing(owner, 0.1, "scores"), None, tmp_path / "h", views=["scores_live"])
