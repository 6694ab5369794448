"""Types and values of a source file that other programs write, and what they mean."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proviso.history.duckdb.columns import SourceColumn
from proviso.history.duckdb.engine import Engine, connect
from proviso.history.duckdb.transactions import by_arrival, load_transactions
from proviso.history.files import MOMENT
from tests.history_data import ZERO, contract
from tests.problems import refused


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with connect() as opened:
        yield opened


def _sales(**change: Any) -> pa.Table:
    columns = {
        "sale_id": pa.array([1, 2]),
        "sold_at": pa.array([ZERO, ZERO + 1], MOMENT),
        "buyer_id": pa.array(["b", "c"]),
        "shop_id": pa.array(["s", "s"]),
        "price": pa.array([10.5, 2.25]),
        "pieces": pa.array([1, 2]),
        "weight": pa.array([1.5, 2.5]),
        "is_gift": pa.array([True, False]),
        "was_returned": pa.array([1, 0]),
    }
    return pa.table({**columns, **change})


def _loaded(engine: Engine, table: pa.Table, path: Path, dtype: str = "string") -> list[Any]:
    pq.write_table(table, path / "sales.parquet")
    load_transactions(engine, contract(dtype), path / "sales.parquet")
    columns = "sale_id, buyer_id, shop_id, price, pieces, weight, is_gift, was_returned"
    return engine.execute(f"select {columns} from _events_sales order by _event").fetchall()


UUIDS = [uuid.UUID(int=7), uuid.UUID(int=2**127)]
WIDE = [Decimal(7), Decimal(10**37)]


@pytest.mark.parametrize(
    ("ids", "wanted"),
    [
        (pa.array([1, 2**64 - 1], pa.uint64()), [1, 2**64 - 1]),
        (pa.array([1, 2], pa.int8()), [1, 2]),
        (pa.array([Decimal(7), Decimal(8)], pa.decimal128(18, 0)), [7, 8]),
        (pa.array(WIDE, pa.decimal128(38, 0)), ["7", str(10**37)]),
        (pa.array([one.bytes for one in UUIDS], pa.uuid()), [str(one) for one in UUIDS]),
        (pa.array(["a", "b"], pa.large_string()), ["a", "b"]),
        (pa.array(["a", "b"], pa.string_view()), ["a", "b"]),
        (pa.array(["a", "b"]).dictionary_encode(), ["a", "b"]),
    ],
)
def test_ids_of_any_type_are_integers_or_strings(
    engine: Engine, tmp_path: Path, ids: pa.Array, wanted: list[Any]
) -> None:
    assert [row[0] for row in _loaded(engine, _sales(sale_id=ids), tmp_path)] == wanted


@pytest.mark.parametrize(
    ("dtype", "keys", "wanted"),
    [
        ("string", pa.array([one.bytes for one in UUIDS], pa.uuid()), [str(o) for o in UUIDS]),
        ("string", pa.array(["a" * 256, "%{}"]).dictionary_encode(), ["a" * 256, "%{}"]),
        ("int64", pa.array([1, 2**63 - 1], pa.uint64()), [1, 2**63 - 1]),
        ("int64", pa.array(WIDE[:1] * 2, pa.decimal128(38, 0)), [7, 7]),
        ("int64", pa.array([-(2**63), 5]), [-(2**63), 5]),
        ("int64", pa.array([3, 4], pa.int16()).dictionary_encode(), [3, 4]),
    ],
)
def test_keys_of_any_type_are_those_of_the_contract(
    engine: Engine, tmp_path: Path, dtype: str, keys: pa.Array, wanted: list[Any]
) -> None:
    other = pa.array([1, 2]) if dtype == "int64" else pa.array(["s", "s"])
    rows = _loaded(engine, _sales(buyer_id=keys, shop_id=other), tmp_path, dtype)
    assert [row[1] for row in rows] == wanted


@pytest.mark.parametrize(
    "keys",
    [pa.array([1, 2**63], pa.uint64()), pa.array(WIDE, pa.decimal128(38, 0))],
)
def test_a_key_beyond_64_bits_is_refused(engine: Engine, tmp_path: Path, keys: pa.Array) -> None:
    with refused("source_key_invalid") as problems:
        _loaded(engine, _sales(buyer_id=keys, shop_id=pa.array([1, 2])), tmp_path, "int64")
    assert problems[0].path.endswith(": buyer_id")


@pytest.mark.parametrize("digits", [53, 24])
@given(data=st.data())
@settings(max_examples=60)
def test_money_is_exact_up_to_the_resolution_of_its_type(
    engine: Engine, digits: int, data: st.DataObject
) -> None:
    """The nearest double, or float32, of an amount in minor units gives these minor units."""
    name = {53: "DOUBLE", 24: "FLOAT"}[digits]
    scale = data.draw(st.integers(0, 6))
    largest = 2 ** ((2**digits // 10**scale).bit_length() - 1) * 10**scale - 1
    near = st.sampled_from([largest, largest - 1, 10**10 + 1, 10**11 + 29]).map(
        lambda minor: min(minor, largest)
    )
    minors = data.draw(st.lists(near | st.integers(-largest, largest), min_size=1, max_size=9))
    kind = {53: np.float64, 24: np.float32}[digits]
    stored = np.array([minor / 10**scale for minor in minors], kind).tolist()
    column = SourceColumn("price", "money", name, scale)
    rows = engine.execute(
        f"select {column.value}, {' or '.join(c.condition for c in column.checks)}"
        f" from (select unnest(?)::{name} as price)",
        [stored],
    ).fetchall()
    assert rows == [(minor, False) for minor in minors]


@given(minor=st.integers(2**34, 2**52 - 2), steps=st.integers(-3, 3))
@settings(max_examples=60)
def test_a_double_a_few_steps_beside_an_amount_means_it_where_amounts_are_far_apart(
    engine: Engine, minor: int, steps: int
) -> None:
    value: Any = minor / 100
    for _ in range(abs(steps)):
        value = np.nextafter(value, np.inf if steps > 0 else -np.inf)
    column = SourceColumn("price", "money", "DOUBLE", 2)
    found = engine.row(f"select {column.value} from (select ?::double as price)", [float(value)])
    nearest = [near for near in range(minor - 9, minor + 10) if near / 100 == value]
    wanted = minor if minor < 2**46 else next(iter(nearest), None)
    assert found == (wanted,)


@given(minor=st.integers(1, 2**45), thousandths=st.integers(1, 9))
@settings(max_examples=60)
def test_a_third_decimal_is_finer_than_a_minor_unit_at_every_size(
    engine: Engine, minor: int, thousandths: int
) -> None:
    value = (minor * 10 + thousandths) / 1000
    column = SourceColumn("price", "money", "DOUBLE", 2)
    assert engine.row(f"select {column.value} from (select ?::double as price)", [value]) == (None,)


def test_noise_of_sums_is_no_fineness(engine: Engine, tmp_path: Path) -> None:
    rows = _loaded(engine, _sales(price=pa.array([0.1 + 0.2, 1066.8000000000002])), tmp_path)
    assert [row[3] for row in rows] == [30, 106_680]


def test_a_file_of_pandas_with_an_index_and_categories_is_read(
    engine: Engine, tmp_path: Path
) -> None:
    frame = _sales().to_pandas()
    frame["buyer_id"] = frame["buyer_id"].astype("category")
    frame["pieces"] = frame["pieces"].astype("Int32")
    frame["sold_at"] = frame["sold_at"].astype("datetime64[ns, UTC]")
    frame["was_returned"] = [1.0, np.nan]
    frame.index = ["x", "y"]
    frame["_event"] = frame["_arrival"] = frame["Customer Id"] = [5, 6]
    frame.to_parquet(tmp_path / "sales.parquet")
    load_transactions(engine, contract(), tmp_path / "sales.parquet")
    rows = engine.execute("select _event, buyer_id, was_returned from _events_sales order by 1")
    assert rows.fetchall() == [(ZERO, "b", True), (ZERO + 1, "c", None)]


def test_a_file_of_duckdb_is_read(engine: Engine, tmp_path: Path) -> None:
    path = tmp_path / "sales.parquet"
    duckdb.sql(
        "copy (select uuid() as sale_id, timestamp_ms '2020-09-13 00:00:00' as sold_at,"
        " 'b'::enum('a', 'b') as buyer_id, 's' as shop_id, 10.5::decimal(9, 4) as price,"
        " 1::utinyint as pieces, 2 as weight, true as is_gift, 0::decimal(3, 1) as was_returned)"
        f" to '{path}'"
    )
    load_transactions(engine, contract(), path)
    assert engine.row("select buyer_id, price, was_returned from _events_sales") == (
        "b",
        1050,
        False,
    )


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("sold_at", pa.array([1, 2**62], pa.timestamp("ms"))),
        ("heard_at", pa.array([1, -(2**62)], pa.timestamp("ms", tz="UTC"))),
        (
            "shop_id",
            pa.Array.from_buffers(
                pa.string(),
                2,
                [None, pa.array([0, 1, 2], pa.int32()).buffers()[1], pa.py_buffer(b"a\xff")],
            ),
        ),
    ],
)
def test_a_column_that_the_engine_cannot_read_is_named(
    engine: Engine, tmp_path: Path, column: str, values: pa.Array
) -> None:
    with refused("source_column_unreadable") as problems:
        _loaded(engine, _sales(**{column: values}), tmp_path)
    assert problems[0].path.endswith(f": {column}")
    assert "select" not in str(problems[0]).lower()
    assert "LINE 1" not in str(problems[0])


def test_a_stream_gets_money_as_the_decimal_that_it_means(tmp_path: Path) -> None:
    prices = pa.array([19.99, 0.1 + 0.2], pa.float32())
    pq.write_table(_sales(price=prices), tmp_path / "sales.parquet")
    [rows] = list(by_arrival(contract(), tmp_path / "sales.parquet", 10))
    assert [str(row["price"]) for row in rows] == ["19.99", "0.30"]
