"""What a source file must be, and how its rows come out."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from proviso.contracts.base import InputError, Problem
from proviso.history.duckdb.engine import Engine, connect
from proviso.history.duckdb.transactions import load_transactions
from proviso.history.values import TransactionSummary
from tests.history_data import LABEL_DELAY, ZERO, contract
from tests.problems import refused

MOMENT = dt.datetime.fromtimestamp(ZERO / 1e6, tz=dt.UTC)


@pytest.fixture
def engine() -> Iterator[Engine]:
    with connect() as opened:
        yield opened


def _columns(rows: int = 2) -> dict[str, Any]:
    return {
        "sale_id": pa.array(range(rows), pa.int64()),
        "sold_at": pa.array([MOMENT] * rows, pa.timestamp("us", tz="UTC")),
        "buyer_id": pa.array(["b"] * rows),
        "shop_id": pa.array(["s"] * rows),
        "price": pa.array([10.5] * rows),
        "pieces": pa.array([1] * rows, pa.int8()),
        "weight": pa.array([1.5] * rows, pa.float32()),
        "is_gift": pa.array([True] * rows),
        "was_returned": pa.array([1] * rows, pa.int8()),
    }


def _load(engine: Engine, path: Path, columns: dict[str, Any], **span: int) -> TransactionSummary:
    pq.write_table(pa.table(columns), path / "sales.parquet", version="2.6")
    return load_transactions(engine, contract(), path / "sales.parquet", **span)


def _problems(engine: Engine, path: Path, columns: dict[str, Any]) -> list[Problem]:
    with pytest.raises(InputError) as refused:
        _load(engine, path, columns)
    return refused.value.problems


def _changed(change: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in (_columns() | change).items() if v is not None}


def test_a_file_without_arrival_and_label_moments_gets_the_contracts(
    engine: Engine, tmp_path: Path
) -> None:
    loaded = _load(engine, tmp_path, _columns())
    row = engine.row("select _event, _arrival, _label_known, was_returned from events")
    assert row == (ZERO, ZERO, ZERO + LABEL_DELAY, True)
    assert (loaded.rows, loaded.labelled, loaded.first_event, loaded.last_moment) == (
        2,
        2,
        ZERO,
        ZERO,
    )


def test_a_null_arrival_or_label_moment_falls_back_row_by_row(
    engine: Engine, tmp_path: Path
) -> None:
    kind = pa.timestamp("us", tz="UTC")
    later = MOMENT + dt.timedelta(hours=1)
    _load(
        engine,
        tmp_path,
        _columns()
        | {"heard_at": pa.array([None, later], kind), "returned_at": pa.array([later, None], kind)},
    )
    hour = 3_600_000_000
    rows = engine.execute("select _arrival, _label_known from events order by sale_id").fetchall()
    assert rows == [(ZERO, ZERO + hour), (ZERO + hour, ZERO + LABEL_DELAY)]


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("zone", [None, "UTC", "Europe/Berlin"])
def test_timestamps_of_any_unit_and_zone_are_the_same_moment(
    engine: Engine, tmp_path: Path, unit: str, zone: str | None
) -> None:
    per_second = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[unit]
    ticks = pa.array([ZERO // 1_000_000 * per_second] * 2, pa.int64())
    _load(engine, tmp_path, _columns() | {"sold_at": ticks.cast(pa.timestamp(unit, tz=zone))})
    assert engine.row("select distinct _event from events") == (ZERO,)


def test_nanoseconds_never_round_into_the_future(engine: Engine, tmp_path: Path) -> None:
    ticks = pa.array([ZERO * 1000 + 999] * 2, pa.int64()).cast(pa.timestamp("ns"))
    _load(engine, tmp_path, _columns() | {"sold_at": ticks})
    assert engine.row("select distinct _event from events") == (ZERO,)


@pytest.mark.parametrize(
    "prices",
    [
        pa.array([1066.8000000000002, 0.29]),
        pa.array([Decimal("1066.80"), Decimal("0.29")], pa.decimal128(12, 2)),
        pa.array([Decimal("1066.8000"), Decimal("0.2900")], pa.decimal128(38, 4)),
    ],
)
def test_money_becomes_exact_minor_units(engine: Engine, tmp_path: Path, prices: Any) -> None:
    _load(engine, tmp_path, _columns() | {"price": prices})
    rows = engine.execute("select price from events order by sale_id").fetchall()
    assert rows == [(106_680,), (29,)]


def test_whole_numbers_are_major_units(engine: Engine, tmp_path: Path) -> None:
    _load(engine, tmp_path, _columns() | {"price": pa.array([3, -4], pa.int32())})
    assert engine.execute("select price from events order by sale_id").fetchall() == [
        (300,),
        (-400,),
    ]


@pytest.mark.parametrize(
    "labels",
    [
        pa.array([1, None], pa.int8()),
        pa.array([True, None]),
        pa.array([1.0, None]),
        pa.array([1.0, float("nan")]),
    ],
)
def test_a_label_that_is_not_there_is_null_not_false(
    engine: Engine, tmp_path: Path, labels: Any
) -> None:
    _load(engine, tmp_path, _columns() | {"was_returned": labels})
    rows = engine.execute(
        "select was_returned, _label_known from events order by sale_id"
    ).fetchall()
    assert rows == [(True, ZERO + LABEL_DELAY), (None, None)]


def test_only_the_asked_span_is_loaded_and_judged(engine: Engine, tmp_path: Path) -> None:
    moments = [MOMENT, MOMENT + dt.timedelta(seconds=1)]
    columns = _columns() | {"sold_at": pa.array(moments, pa.timestamp("us", tz="UTC"))}
    assert _load(engine, tmp_path, columns, start=ZERO, end=ZERO + 1_000_000).rows == 1
    assert _load(engine, tmp_path, columns, start=ZERO + 1).rows == 1
    assert _load(engine, tmp_path, columns, start=ZERO + 10**9).first_event is None


@pytest.mark.parametrize(
    ("change", "code", "column", "found", "wanted"),
    [
        (
            {"price": None, "shop_id": None},
            "source_column_missing",
            "columns",
            "sale_id, sold_at, buyer_id, pieces, weight, is_gift, was_returned",
            "also shop_id, price",
        ),
        (
            {"buyer_id": pa.array([1, 2])},
            "source_type_mismatch",
            "buyer_id",
            "BIGINT",
            "strings",
        ),
        (
            {"sold_at": pa.array(["now", "then"])},
            "source_type_mismatch",
            "sold_at",
            "VARCHAR",
            "a timestamp (no zone is UTC)",
        ),
        (
            {"was_returned": pa.array(["y", "n"])},
            "source_type_mismatch",
            "was_returned",
            "VARCHAR",
            "0, 1, a boolean or null",
        ),
        (
            {"is_gift": pa.array([0, 1])},
            "source_type_mismatch",
            "is_gift",
            "BIGINT",
            "a boolean",
        ),
        (
            {"sale_id": pa.array([5, 5])},
            "source_id_repeated",
            "sale_id",
            "1 ids in more than one row (such as 5)",
            "each id once",
        ),
        (
            {"sale_id": pa.array([None, 5])},
            "source_id_null",
            "sale_id",
            "null in 1 rows (such as sale_id None)",
            "an id in every row",
        ),
        (
            {"shop_id": pa.array(["s", None])},
            "source_key_null",
            "shop_id",
            "null in 1 rows (such as sale_id 1)",
            "a key in every row",
        ),
        (
            {"was_returned": pa.array([0, 2])},
            "source_label_invalid",
            "was_returned",
            "another value in 1 rows (such as sale_id 1)",
            "0, 1 or null",
        ),
        (
            {"sold_at": pa.array([-1, 1], pa.timestamp("s"))},
            "source_moment_out_of_range",
            "moments",
            "a year before 1970 or after 2255 in 1 rows (such as sale_id 0)",
            "a year between",
        ),
        (
            {"sold_at": pa.array([None, 1], pa.timestamp("s"))},
            "source_event_null",
            "sold_at",
            "null in 1 rows (such as sale_id 0)",
            "a moment in every row",
        ),
    ],
)
def test_a_defect_is_named_with_its_count(
    engine: Engine,
    tmp_path: Path,
    change: dict[str, Any],
    code: str,
    column: str,
    found: str,
    wanted: str,
) -> None:
    [problem] = _problems(engine, tmp_path, _changed(change))
    assert problem.code == code
    assert problem.path.endswith(f"/sales.parquet: {column}")
    assert (problem.found, problem.wanted) == (found, wanted)


@pytest.mark.parametrize(
    ("change", "rows"),
    [
        ({"price": pa.array([1.0, None])}, 1),
        ({"price": pa.array([1.0, float("nan")])}, 1),
        ({"price": pa.array([float("inf"), 1.0])}, 1),
        ({"price": pa.array([0.001, 1.005])}, 2),
        ({"price": pa.array([Decimal("0.001")] * 2)}, 2),
        ({"price": pa.array([1e300, 1e15])}, 2),
        ({"weight": pa.array([1.0, float("nan")])}, 1),
    ],
)
def test_a_value_that_no_sum_can_hold_is_refused(
    engine: Engine, tmp_path: Path, change: dict[str, Any], rows: int
) -> None:
    [problem] = _problems(engine, tmp_path, _changed(change))
    assert problem.code == "source_value_invalid"
    assert problem.found.startswith(f"null, NaN, infinity or too many decimals in {rows} rows")


def test_every_defect_is_named_at_once(engine: Engine, tmp_path: Path) -> None:
    columns = _columns() | {"price": pa.array(["a", "b"]), "is_gift": pa.array([1, 1])}
    columns.pop("shop_id")
    assert len(_problems(engine, tmp_path, columns)) == 3


def test_what_is_no_parquet_file_is_refused(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "x.parquet").write_text("hello")
    with refused("parquet_unreadable"):
        load_transactions(engine, contract(), tmp_path / "x.parquet")
    with refused("file_not_found"):
        load_transactions(engine, contract(), tmp_path / "y.parquet")
