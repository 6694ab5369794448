"""A query of a real PostgreSQL: types, the password by name, and what its errors say."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import adbc_driver_postgresql.dbapi as driver
import pytest

from proviso.contracts.locations import Location
from proviso.history.duckdb.engine import connect
from proviso.history.duckdb.places import open_relation
from tests.local.postgres_server import PASSWORD, PostgresServer, running_postgres
from tests.problems import refused

TABLE = """
create table sales (sale_id bigint primary key, "SOLD AT" timestamptz not null, shop text,
  local_time timestamp, price numeric(12, 2), pieces integer, weight double precision, gift boolean,
  note varchar(20), extra jsonb)
"""
ROWS = """
insert into sales select i, timestamptz '2020-09-13 00:00:00.000001Z' + i * interval '1 minute',
  's' || i % 3, '2020-09-13 01:02:03', i * 1.01, i, i / 2.0, i % 2 = 0, null, '{"a": 1}'
  from generate_series(1, 5000) i
"""
COLUMNS = ["sale_id", "SOLD AT", "shop", "local_time", "price", "pieces", "weight", "gift", "note"]


@pytest.fixture(scope="module")
def postgres() -> Iterator[PostgresServer]:
    with running_postgres() as server:
        encoded = "s3cret%2Fwith%3Aodd%40characters%3F"
        uri = server.uri.replace("reader@", f"reader:{encoded}@")
        with driver.connect(uri, autocommit=True) as connection, connection.cursor() as cursor:
            cursor.execute(TABLE)
            cursor.execute(ROWS)
        yield server


def _location(server: PostgresServer, query: str, **database: Any) -> Location:
    stated = {"driver": "postgresql", "uri": server.uri, **database}
    return Location.model_validate({"query": query, "database": stated})


def test_the_rows_of_a_query(postgres: PostgresServer, tmp_path: Path) -> None:
    (tmp_path / "password").write_text(f"{PASSWORD}\n")
    location = _location(
        postgres, "select * from sales where pieces > 10;", password={"file": "password"}
    )
    with connect() as engine, open_relation(engine, location, COLUMNS, tmp_path) as relation:
        assert relation.files.texts == {"price"}
        assert relation.types == {
            "sale_id": "BIGINT", "SOLD AT": "TIMESTAMP WITH TIME ZONE", "shop": "VARCHAR",
            "local_time": "TIMESTAMP", "price": "VARCHAR", "pieces": "INTEGER", "weight": "DOUBLE",
            "gift": "BOOLEAN", "note": "VARCHAR", "extra": "",
        }  # fmt: skip
        rows = engine.execute(
            f'select count(*), sum(price::decimal(12, 2))::varchar, min(epoch_us("SOLD AT"))'
            f" from ({relation.rows(COLUMNS)})"
        ).fetchall()
    expected = sum(range(11, 5001)) * 101
    first = 1_599_955_200_000_001 + 11 * 60_000_000
    assert rows == [(4990, f"{expected // 100}.{expected % 100:02d}", first)]


@pytest.mark.parametrize("named", ["uri", "password"])
def test_a_secret_of_the_environment(
    named: str, postgres: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoded = "s3cret%2Fwith%3Aodd%40characters%3F"
    value = postgres.uri.replace("reader@", f"reader:{encoded}@") if named == "uri" else PASSWORD
    monkeypatch.setenv("SHOP_SECRET", value)
    location = _location(postgres, "select sale_id from sales", **{named: {"env": "SHOP_SECRET"}})
    with connect() as engine, open_relation(engine, location, ["sale_id"], tmp_path) as relation:
        assert engine.row(f"select count(*) from ({relation.rows(['sale_id'])})") == (5000,)


@pytest.mark.parametrize(
    ("query", "password"),
    [
        ("select * from sales", "another/secret"),
        ("select * from nothing", PASSWORD),
        ("delete from sales", PASSWORD),
        ("select 1 / (pieces - 100) as n from sales", PASSWORD),
    ],
    ids=["wrong password", "no such table", "no select", "fails while it is read"],
)
def test_an_error_says_what_is_wrong_without_the_secret(
    query: str, password: str, postgres: PostgresServer, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv("SHOP_SECRET", password)
    location = _location(postgres, query, password={"env": "SHOP_SECRET"})
    with (
        refused("source_unreadable") as problems,
        connect() as engine,
        open_relation(engine, location, ["sale_id", "n"], tmp_path),
    ):
        pass
    assert password not in str(problems[0])
    assert "another%2Fsecret" not in str(problems[0])
    assert problems[0].path == "postgresql query"
    assert problems[0].message
