"""One set of rows, wherever and however it lies, is loaded as the same events."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import write_deltalake

from proviso.history.duckdb.engine import Engine, connect
from proviso.history.duckdb.transactions import by_arrival, load_transactions
from tests.history_data import ZERO, contract, random_events, write_transactions
from tests.problems import refused

EVENTS = random_events(7, "string", 60)


@pytest.fixture
def engine() -> Iterator[Engine]:
    with connect() as opened:
        yield opened


def _loaded(engine: Engine, path: Path) -> list[tuple[Any, ...]]:
    load_transactions(engine, contract(), path)
    return engine.execute(
        "select sale_id::varchar, * exclude (sale_id) from _events_sales order by sale_id::bigint"
    ).fetchall()


def _rows(folder: Path) -> pa.Table:
    return pq.read_table(write_transactions(EVENTS, "string", folder / "plain.parquet"))


def _as_folder(table: pa.Table, folder: Path) -> Path:
    """A folder a buyer; the buyer is in the files as well, and the folders say something else."""
    place = folder / "sales"
    for number in range(3):
        part = table.slice(number * 20, 20)
        if number == 2:  # some writers leave a column out that is null in every row
            part = part.drop_columns(["heard_at"]).append_column("more", pa.array([1] * 20))
            part = part.append_column("heard_at", table.slice(40, 20)["heard_at"])
        (place / f"weight={number}").mkdir(parents=True)
        pq.write_table(part, place / f"weight={number}/part.parquet")
    return place


def _as_csv(table: pa.Table, folder: Path) -> Path:
    with (folder / "sales.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(table.column_names)
        for row in table.to_pylist():
            writer.writerow(["" if cell is None else cell for cell in row.values()])
    return folder / "sales.csv"


def _as_pandas_csv(table: pa.Table, folder: Path) -> Path:
    """As pandas writes it: integers of columns with nulls as floats, `T` and an offset."""
    with (folder / "sales.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(table.column_names)
        for row in table.to_pylist():
            cells = row | {"pieces": float(row["pieces"]), "sold_at": row["sold_at"].isoformat()}
            writer.writerow(["" if cell is None else cell for cell in cells.values()])
    return folder / "sales.csv"


def _as_delta(table: pa.Table, folder: Path) -> Path:
    write_deltalake(folder / "sales", table.slice(0, 30), partition_by=["shop_id"])
    write_deltalake(folder / "sales", table.slice(30), mode="append")
    return folder / "sales"


@pytest.mark.parametrize("written", [_as_folder, _as_csv, _as_pandas_csv, _as_delta])
def test_the_same_rows_are_the_same_events(
    written: Callable[[pa.Table, Path], Path], engine: Engine, tmp_path: Path
) -> None:
    table = _rows(tmp_path)
    expected = _loaded(engine, tmp_path / "plain.parquet")
    place = written(table, tmp_path)
    assert _loaded(engine, place) == expected
    sent = [batch for rows in by_arrival(contract(), place, 7) for batch in rows]
    assert len(sent) == len(EVENTS)


def _csv(path: Path, **cells: str) -> Path:
    """Three sales of which the second has other cells."""
    good = {
        "sale_id": "1", "sold_at": "2020-09-13T00:00:00Z", "buyer_id": "b", "shop_id": "s",
        "price": "10.50", "pieces": "1", "weight": "1.5", "is_gift": "true", "was_returned": "",
    }  # fmt: skip
    names = list(good)
    rows = [good, good | {"sale_id": "2"} | cells, good | {"sale_id": "3"}]
    lines = [",".join(names), *(",".join(row[name] for name in names) for row in rows)]
    (path / "sales.csv").write_text("\n".join(lines) + "\n")
    return path / "sales.csv"


@pytest.mark.parametrize(
    ("column", "text", "code"),
    [
        ("sold_at", "2020-09-13", "source_text_invalid"),
        ("sold_at", "13.09.2020 10:00", "source_text_invalid"),
        ("sold_at", "2020-02-30T00:00:00Z", "source_text_invalid"),
        ("sold_at", "1969-12-31T23:59:59Z", "source_moment_out_of_range"),
        ("sold_at", "", "source_event_null"),
        ("buyer_id", "", "source_key_null"),
        ("price", "ten", "source_text_invalid"),
        ("price", "1e3", "source_text_invalid"),
        ("price", "0x10", "source_text_invalid"),
        ("price", "1.005", "source_value_too_fine"),
        ("price", "90071992547409.92", "source_value_out_of_range"),
        ("price", "", "source_value_null"),
        ("pieces", "1.5", "source_text_invalid"),
        ("pieces", "1_000", "source_text_invalid"),
        ("pieces", " 1", "source_text_invalid"),
        ("pieces", "9007199254740992", "source_value_out_of_range"),
        ("weight", "nan", "source_text_invalid"),
        ("weight", "inf", "source_text_invalid"),
        ("weight", "1e39", "source_value_out_of_range"),
        ("is_gift", "yes", "source_text_invalid"),
        ("was_returned", "2", "source_label_invalid"),
    ],
)
def test_a_wrong_text_has_column_value_and_line(
    column: str, text: str, code: str, engine: Engine, tmp_path: Path
) -> None:
    path = _csv(tmp_path, **{column: text})
    with refused(code) as problems:
        load_transactions(engine, contract(), path)
    (problem,) = problems
    assert problem.path == f"{path}: {column}"
    assert (problem.line, problem.column) == (3, 0)
    assert "first in line 3" in problem.found
    assert text in problem.found


@pytest.mark.parametrize(
    ("column", "text", "expected"),
    [
        ("sold_at", "2020-09-13 00:00:00", ZERO),
        ("sold_at", "2020-09-13T02:00+02:00", ZERO),
        ("sold_at", "2020-09-13 00:00:00.000001 UTC", ZERO + 1),
        ("price", ".5", 50),
        ("price", "-1", -100),
        ("price", "+1.50000", 150),
        ("pieces", "5.0", 5),
        ("pieces", "-9007199254740991", -(2**53 - 1)),
        ("weight", "1e-3", 0.001),
        ("is_gift", "0", False),
        ("is_gift", "True", True),
        ("was_returned", "1.0", True),
    ],
)
def test_texts_of_values(
    column: str, text: str, expected: object, engine: Engine, tmp_path: Path
) -> None:
    load_transactions(engine, contract(), _csv(tmp_path, **{column: text}))
    name = "_event" if column == "sold_at" else column
    assert engine.row(f"select {name} from _events_sales where sale_id = '2'") == (expected,)


def test_a_missing_column_of_a_csv_file_is_named(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "sales.csv").write_text("sale_id,other\n1,2\n")
    with refused("source_column_missing") as problems:
        load_transactions(engine, contract(), tmp_path / "sales.csv")
    assert problems[0].found == "sale_id, other"


def test_a_row_of_several_files_is_named_with_its_file(engine: Engine, tmp_path: Path) -> None:
    _rows(tmp_path)
    table = pq.read_table(tmp_path / "plain.parquet")
    (tmp_path / "sales").mkdir()
    pq.write_table(table.slice(0, 30), tmp_path / "sales/a.parquet")
    wrong = table.slice(30).drop_columns(["buyer_id"])
    wrong = wrong.append_column("buyer_id", pa.array([None, *["b"] * 29]))
    pq.write_table(wrong, tmp_path / "sales/b.parquet")
    with refused("source_key_null") as problems:
        load_transactions(engine, contract(), tmp_path / "sales")
    assert f"first in row 1 of {tmp_path}/sales/b.parquet" in problems[0].found
