"""Delta and Iceberg tables and queries, written by their own libraries."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.transforms import IdentityTransform
from pyiceberg.types import StringType
from pyiceberg.utils.config import Config

from tests.problems import refused
from tests.unit.sources.reading import rows_of

FIRST = pa.table({"id": [1, 2, 3], "Day Of": ["a", "b", "a"], "amount": [1.0, 2.0, 3.0]})
LATER = pa.table({"id": [4], "Day Of": ["c"], "amount": [4.0], "note": ["new"]})
KEPT = [
    {"id": 1, "Day Of": "a", "note": None},
    {"id": 3, "Day Of": "a", "note": None},
    {"id": 4, "Day Of": "c", "note": "new"},
]
"""Both tables without the row of id 2, which was deleted."""
WANTED = ["id", "Day Of", "note"]


def _delta(folder: Path) -> None:
    write_deltalake(folder, FIRST, partition_by=["Day Of"])
    write_deltalake(folder, LATER, mode="append", schema_mode="merge")
    DeltaTable(folder).delete("id = 2")


@pytest.mark.parametrize("stated", [{"delta": "table"}, {"path": "table"}])
def test_a_delta_table_is_its_newest_version(stated: dict[str, Any], tmp_path: Path) -> None:
    _delta(tmp_path / "table")
    assert rows_of(stated, tmp_path, WANTED) == KEPT


def test_a_delta_table_of_an_earlier_version(tmp_path: Path) -> None:
    _delta(tmp_path / "table")
    rows = rows_of({"delta": "table", "version": 0}, tmp_path, WANTED)
    assert rows == [{"id": row["id"], "Day Of": row["Day Of"]} for row in FIRST.to_pylist()]


@pytest.mark.parametrize("version", [None, 99])
def test_a_delta_table_that_is_not_there(version: int | None, tmp_path: Path) -> None:
    if version is not None:
        _delta(tmp_path / "table")
    with refused("source_unreadable"):
        rows_of({"delta": "table", "version": version}, tmp_path)


def _iceberg(folder: Path) -> tuple[Any, int]:
    """A table, and its snapshot before the later rows."""
    folder.mkdir()
    catalog = SqlCatalog("lake", uri=f"sqlite:///{folder}/c.db", warehouse=f"file://{folder}")
    catalog.create_namespace("shop")
    table = catalog.create_table("shop.sales", FIRST.schema)
    with table.update_spec() as spec:
        spec.add_field("Day Of", IdentityTransform(), "day")
    table.append(FIRST)
    snapshot = table.current_snapshot()
    assert snapshot is not None
    with table.update_schema() as change:
        change.add_column("note", StringType())
        change.rename_column("amount", "paid")
    table.append(LATER.rename_columns(["id", "Day Of", "paid", "note"]))
    table.delete("id == 2")
    catalog.close()
    return table, snapshot.snapshot_id


def test_an_iceberg_table_is_its_newest_snapshot(tmp_path: Path) -> None:
    table, earlier = _iceberg(tmp_path / "ice")
    for stated in ({"iceberg": table.metadata_location}, {"path": "ice/shop/sales"}):
        assert rows_of(stated, tmp_path, WANTED) == KEPT
    rows = rows_of({"iceberg": "ice/shop/sales", "snapshot": earlier}, tmp_path, WANTED)
    assert [row["id"] for row in rows] == [1, 2, 3]


def test_an_iceberg_table_of_a_catalogue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _iceberg(tmp_path / "ice")
    monkeypatch.setenv("PYICEBERG_CATALOG__LAKE__URI", f"sqlite:///{tmp_path}/ice/c.db")
    monkeypatch.setenv("PYICEBERG_CATALOG__LAKE__WAREHOUSE", f"file://{tmp_path}/ice")
    monkeypatch.setattr("pyiceberg.catalog._ENV_CONFIG", Config())  # read once for a process
    assert rows_of({"iceberg": "shop.sales", "catalog": "lake"}, tmp_path, WANTED) == KEPT
    with refused("source_unreadable"):
        rows_of({"iceberg": "shop.nothing", "catalog": "lake"}, tmp_path)


def test_which_of_two_newest_metadata_files_is_not_guessed(tmp_path: Path) -> None:
    table, _ = _iceberg(tmp_path / "ice")
    newest = Path(table.metadata_location.removeprefix("file://"))
    other = newest.with_name(f"{newest.name[:5]}-another.metadata.json")
    other.write_bytes(newest.read_bytes())
    with refused("iceberg_metadata_ambiguous"):
        rows_of("ice/shop/sales", tmp_path)


def test_an_iceberg_table_that_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with refused("iceberg_metadata_missing"):
        rows_of({"iceberg": "empty"}, tmp_path)


@pytest.fixture
def database(tmp_path: Path) -> dict[str, Any]:
    with sqlite3.connect(tmp_path / "shop.db") as connection:
        connection.execute("create table sales (id integer, name text, amount real)")
        connection.execute("insert into sales values (1, 'one', 1.5), (2, null, 2.5)")
    connection.close()
    return {"driver": "sqlite", "uri": str(tmp_path / "shop.db")}


def test_a_query_of_another_database(database: dict[str, Any], tmp_path: Path) -> None:
    query = "select id, name, amount from sales -- all of them\n;"
    rows = rows_of({"query": query, "database": database}, tmp_path, ["id", "name", "other"])
    assert rows == [{"id": 1, "name": "one"}, {"id": 2, "name": None}]


def test_a_query_that_fails_says_why(database: dict[str, Any], tmp_path: Path) -> None:
    with refused("source_unreadable") as problems:
        rows_of({"query": "select nothing from sales", "database": database}, tmp_path)
    assert "nothing" in problems[0].message
