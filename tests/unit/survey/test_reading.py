"""What is counted of files: types, nulls, extremes, uniqueness, and which files are one table."""

from __future__ import annotations

import gzip
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest
from deltalake import write_deltalake

from proviso.survey import reading
from proviso.survey.facts import TableFacts
from proviso.survey.places import places_of
from proviso.survey.reading import copy_as_parquet, read_table
from tests.problems import refused


def write(path: Path, query: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with duckdb.connect() as connection:
        connection.execute("set timezone = 'UTC'")
        connection.execute(f"copy ({query}) to '{path}'")
    return path


def read_tables(*places: Path) -> tuple[TableFacts, ...]:
    given = [str(place) for place in places]
    return tuple(map(read_table, places_of(given, Path("unused"))))


ODD = """select i as "Order ID", 1.25::decimal(9, 2) as price, null as nothing,
    'a' || i % 3 as word, i % 2 = 0 as even, date '2024-01-01' + i::integer as day,
    timestamptz '2024-01-01 00:00+00' + to_hours(i) as at, [i] as list, time '12:00' as clock
    from range(10) as r(i)"""


def test_columns_of_a_parquet_file(tmp_path: Path) -> None:
    [table] = read_tables(write(tmp_path / "My Orders.parquet", ODD))
    assert (table.name, table.rows, table.rewritten) == ("my_orders", 10, False)
    kinds = {column.name: column.kind for column in table.columns}
    assert kinds == {
        "Order ID": "integer",
        "price": "decimal",
        "nothing": "empty",
        "word": "text",
        "even": "boolean",
        "day": "date",
        "at": "timestamp",
        "list": "other",
        "clock": "other",
    }
    assert [column.name for column in table.columns if column.unique] == ["Order ID"]
    at = table.column("at")
    assert (at.low, at.high) == (1_704_067_200_000_000, 1_704_067_200_000_000 + 9 * 3_600_000_000)
    assert (table.column("price").scale, table.column("price").low) == (2, 1.25)
    assert table.column("word").distinct == 3


def test_types_of_a_csv_file_are_of_all_its_rows(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    numbers = [f"{i},{i},NA,2024-01-01T00:00:00Z\n" for i in range(30_000)]
    path.write_text("id,code,gap,at\n" + "".join(numbers) + "30000,X1,5,2024-01-02T00:00:00Z\n")
    [table] = read_tables(path)
    assert [column.kind for column in table.columns] == ["integer", "text", "integer", "timestamp"]
    assert table.column("gap").nulls == 30_000


def test_a_packed_csv_file(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv.gz"
    path.write_bytes(gzip.compress(b"id;name\n1;x\n2;y\n"))
    [table] = read_tables(path)
    assert [column.name for column in table.columns] == ["id", "name"]


def test_the_sample_is_bounded_and_the_same_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "SAMPLE_ROWS", 500)
    path = write(tmp_path / "many.parquet", "select i, i * 2 as twice from range(200000) as r(i)")
    [table] = read_tables(path)
    first, second = (column.sample for column in table.columns)
    assert 300 < len(first) < 700
    assert [2 * value for value in first if isinstance(value, int)] == list(second)
    assert read_tables(path) == (table,)


def test_leading_zeros_stay_and_missing_words_are_null_where_they_hide_a_type(
    tmp_path: Path,
) -> None:
    path = tmp_path / "rows.csv"
    lines = [
        "zip,name,size,seen,flag",
        "007,NA,NA,2024-01-01 10:00,t",
        "12345,x,2.5,2024-01-02 10:00,f",
    ]
    path.write_text("\n".join(lines))
    [table] = read_tables(path)
    kinds = {column.name: (column.kind, column.nulls) for column in table.columns}
    assert kinds == {
        "zip": ("text", 0),
        "name": ("text", 0),
        "size": ("float", 1),
        "seen": ("timestamp", 0),
        "flag": ("boolean", 0),
    }
    assert table.location.csv.nulls == ["NA"]


@pytest.mark.parametrize("delimiter", [";", "\t", "|"])
def test_the_delimiter_is_what_the_header_has_most_of(tmp_path: Path, delimiter: str) -> None:
    path = tmp_path / "rows.tsv"
    path.write_text(f"a b{delimiter}c,d{delimiter}e\n1{delimiter}2{delimiter}3\n")
    [table] = read_tables(path)
    assert [column.name for column in table.columns] == ["a b", "c,d", "e"]
    assert (table.location.csv.delimiter, table.location.format) == (delimiter, "csv")


@pytest.mark.parametrize(
    ("texts", "form"),
    [
        (["1/31/2024 9:05", "02/01/2024 23:59"], "%m/%d/%Y %H:%M"),
        (["31.1.2024 09:05:07", "1.2.2024 00:00:00"], "%d.%m.%Y %H:%M:%S"),
        (["31/01/2024 09:05", "01/02/2024 00:00"], "%d/%m/%Y %H:%M"),
        (["1/31/2024 9:05 PM", "2/1/2024 1:00 AM"], "%m/%d/%Y %I:%M %p"),
    ],
)
def test_moments_of_other_forms_are_converted_in_a_copy(
    tmp_path: Path, texts: list[str], form: str
) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("at\n" + "\n".join(texts) + "\n")
    [table] = read_tables(path)
    assert (table.columns[0].kind, table.columns[0].form, table.rewritten) == (
        "timestamp",
        form,
        True,
    )
    copy_as_parquet(table, tmp_path / "copy.parquet")
    [copied] = read_tables(tmp_path / "copy.parquet")
    assert (copied.columns[0].low, copied.rewritten) == (table.columns[0].low, False)


def test_yes_and_no_become_truth_values_in_a_copy(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("paid,maybe\nY,Y\nNo,N\n,?\n")
    [table] = read_tables(path)
    paid, maybe = table.columns
    assert (paid.kind, paid.sample, paid.form) == ("boolean", (True, False, None), "yes and no")
    assert (maybe.kind, table.rewritten) == ("text", True)
    copy_as_parquet(table, tmp_path / "copy.parquet")
    assert read_tables(tmp_path / "copy.parquet")[0].columns[0].sample == (True, False, None)


def test_a_text_that_is_no_moment_stays_text(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("at\n13/13/2024 10:00\n01/02/2024 10:00\n")
    assert read_tables(path)[0].columns[0].kind == "text"


def test_several_places_have_names_of_their_own(tmp_path: Path) -> None:
    first = write(tmp_path / "a" / "rows.parquet", "select 1 as a")
    second = write(tmp_path / "b" / "rows.csv", "select 1 as b")
    assert [table.name for table in read_tables(first, second)] == ["rows", "rows_2"]


def test_a_lake_table_is_one_table(tmp_path: Path) -> None:
    rows = pa.table({"a": [1, 2]})
    write_deltalake(str(tmp_path / "lake" / "orders"), rows)
    write_deltalake(str(tmp_path / "lake" / "orders"), rows, mode="overwrite")
    write(tmp_path / "lake" / "users.csv", "select 1 as b")
    for place in (tmp_path / "lake", tmp_path / "lake" / "orders"):
        found = {table.name: table.rows for table in read_tables(place)}
        assert found["orders"] == 2


def test_files_of_a_folder_are_tables(tmp_path: Path) -> None:
    write(tmp_path / "orders.parquet", "select 1 as a")
    write(tmp_path / "users.csv", "select 1 as b")
    (tmp_path / "notes.txt").write_text("no table")
    (tmp_path / ".hidden.csv").write_text("x\n1\n")
    assert [table.name for table in read_tables(tmp_path)] == ["orders", "users"]


def test_files_of_the_same_columns_are_one_table(tmp_path: Path) -> None:
    for month in (1, 2):
        write(tmp_path / f"trips_2024-{month:02d}.parquet", f"select {month} as a")
        write(tmp_path / "clicks" / f"part-{month}.parquet", f"select {month} as a")
    tables = {table.name: table for table in read_tables(tmp_path)}
    assert {name: table.rows for name, table in tables.items()} == {"trips": 2, "clicks": 2}
    assert tables["trips"].place == str(tmp_path / "trips*.parquet")
    assert tables["clicks"].place == str(tmp_path / "clicks" / "**" / "*.parquet")


def test_numbered_files_of_other_columns_are_tables_of_their_own(tmp_path: Path) -> None:
    write(tmp_path / "sheet1.csv", "select 1 as a")
    write(tmp_path / "sheet2.csv", "select 1 as b")
    assert [table.name for table in read_tables(tmp_path)] == ["sheet1", "sheet2"]


def test_a_moment_beyond_the_calendar_is_counted_as_null_in_the_sample(tmp_path: Path) -> None:
    path = write(tmp_path / "far.parquet", "select 'infinity'::timestamp as at")
    assert read_tables(path)[0].column("at").sample == (None,)


def test_places_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with refused("file_not_found"):
        read_tables(tmp_path / "absent.csv")
    with refused("data_missing"):
        read_tables(tmp_path)
    (tmp_path / "sheet.xlsx").write_text("x")
    with refused("data_format_unknown"):
        read_tables(tmp_path / "sheet.xlsx")
    with refused("data_without_rows"):
        read_tables(write(tmp_path / "empty.parquet", "select 1 as a where false"))
    (tmp_path / "broken.parquet").write_text("not parquet")
    with refused("data_unreadable"):
        read_tables(tmp_path / "broken.parquet")
    with refused("data_unreadable"):
        read_tables(tmp_path)
    monkeypatch.setattr(reading, "MAX_COLUMNS", 1)
    with refused("data_too_wide"):
        read_tables(write(tmp_path / "wide.csv", "select 1 as a, 2 as b"))
