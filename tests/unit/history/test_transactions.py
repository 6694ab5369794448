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
    return load_transactions(
        engine, contract(), path / "sales.parquet", span.get("start"), span.get("end")
    )


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
    columns = "_event, _arrival, _known_was_returned, was_returned"
    row = engine.row(f"select {columns} from _events_sales")
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
    rows = engine.execute(
        "select _arrival, _known_was_returned from _events_sales order by sale_id"
    ).fetchall()
    assert rows == [(ZERO, ZERO + hour), (ZERO + hour, ZERO + LABEL_DELAY)]


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("zone", [None, "UTC", "Europe/Berlin"])
def test_timestamps_of_any_unit_and_zone_are_the_same_moment(
    engine: Engine, tmp_path: Path, unit: str, zone: str | None
) -> None:
    per_second = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[unit]
    ticks = pa.array([ZERO // 1_000_000 * per_second] * 2, pa.int64())
    _load(engine, tmp_path, _columns() | {"sold_at": ticks.cast(pa.timestamp(unit, tz=zone))})
    assert engine.row("select distinct _event from _events_sales") == (ZERO,)


def test_nanoseconds_never_round_into_the_future(engine: Engine, tmp_path: Path) -> None:
    ticks = pa.array([ZERO * 1000 + 999] * 2, pa.int64()).cast(pa.timestamp("ns"))
    _load(engine, tmp_path, _columns() | {"sold_at": ticks})
    assert engine.row("select distinct _event from _events_sales") == (ZERO,)


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
    rows = engine.execute("select price from _events_sales order by sale_id").fetchall()
    assert rows == [(106_680,), (29,)]


def test_whole_numbers_are_major_units(engine: Engine, tmp_path: Path) -> None:
    _load(engine, tmp_path, _columns() | {"price": pa.array([3, -4], pa.int32())})
    assert engine.execute("select price from _events_sales order by sale_id").fetchall() == [
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
        "select was_returned, _known_was_returned from _events_sales order by sale_id"
    ).fetchall()
    assert rows == [(True, ZERO + LABEL_DELAY), (None, None)]


def test_only_the_asked_span_is_loaded_and_judged(engine: Engine, tmp_path: Path) -> None:
    moments = [MOMENT, MOMENT + dt.timedelta(seconds=1)]
    columns = _columns() | {"sold_at": pa.array(moments, pa.timestamp("us", tz="UTC"))}
    assert _load(engine, tmp_path, columns, start=ZERO, end=ZERO + 1_000_000).rows == 1
    assert _load(engine, tmp_path, columns, start=ZERO + 1).rows == 1
    assert _load(engine, tmp_path, columns, start=ZERO + 10**9).first_event is None


@pytest.mark.parametrize(
    ("change", "code", "column", "found"),
    [
        (
            {"price": None, "shop_id": None},
            "source_column_missing",
            "columns",
            "sale_id, sold_at, buyer_id, pieces, weight, is_gift, was_returned",
        ),
        ({"buyer_id": pa.array([1, 2])}, "source_type_mismatch", "buyer_id", "BIGINT"),
        ({"sold_at": pa.array(["now", "then"])}, "source_type_mismatch", "sold_at", "VARCHAR"),
        ({"was_returned": pa.array(["y", "n"])}, "source_type_mismatch", "was_returned", "VARCHAR"),
        ({"is_gift": pa.array([0, 1])}, "source_type_mismatch", "is_gift", "BIGINT"),
        ({"buyer_id": pa.array([b"a", b"b"])}, "source_type_mismatch", "buyer_id", "BLOB"),
        ({"sold_at": pa.array([MOMENT.date()] * 2)}, "source_type_mismatch", "sold_at", "DATE"),
        ({"price": pa.array([[1.0], [2.0]])}, "source_type_mismatch", "price", "DOUBLE[]"),
    ],
)
def test_a_column_of_another_type_is_named_with_its_type(
    engine: Engine, tmp_path: Path, change: dict[str, Any], code: str, column: str, found: str
) -> None:
    [problem] = _problems(engine, tmp_path, _changed(change))
    assert (problem.code, problem.found) == (code, found)
    assert problem.path.endswith(f"/sales.parquet: {column}")


SECONDS = pa.timestamp("s")
LONG = "\u00e4" * 129  # bytes count, not characters
BEYOND = 2**63 - 2  # DuckDB has this moment and fails for good where it would print it


@pytest.mark.parametrize(
    ("column", "values", "code", "rows", "first", "value"),
    [
        ("sale_id", pa.array([None, 5, None]), "source_id_null", 2, 1, ""),
        ("sale_id", pa.array(["", "a", "b" * 257]), "source_id_invalid", 2, 1, ""),
        ("shop_id", pa.array(["s", None, "t"]), "source_key_null", 1, 2, ""),
        ("shop_id", pa.array(["s", "", "t"]), "source_key_invalid", 1, 2, ""),
        (
            "shop_id",
            pa.array(["s", "t", "\u00e4" * 129]),
            "source_key_invalid",
            1,
            3,
            "\u00e4" * 60,
        ),
        ("was_returned", pa.array([0, 2, 3]), "source_label_invalid", 2, 2, "2"),
        ("was_returned", pa.array([0.0, 0.5, 1.0]), "source_label_invalid", 1, 2, "0.5"),
        ("sold_at", pa.array([None, 1, 2], SECONDS), "source_event_null", 1, 1, ""),
        ("sold_at", pa.array([-1, 1, 2], SECONDS), "source_moment_out_of_range", 1, 1, "-1000000"),
        (
            "sold_at",
            pa.array([1, BEYOND, 2], pa.timestamp("us")),
            "source_moment_out_of_range",
            1,
            2,
            f"{BEYOND}",
        ),
        (
            "heard_at",
            pa.array([1, None, 2**53], pa.timestamp("us", tz="UTC")),
            "source_moment_out_of_range",
            1,
            3,
            f"{2**53}",
        ),
        (
            "returned_at",
            pa.array([1, -5, 2], pa.timestamp("ms")),
            "source_moment_out_of_range",
            1,
            2,
            "-5000",
        ),
        ("price", pa.array([1.0, None, None]), "source_value_null", 2, 2, ""),
        ("price", pa.array([1.0, float("nan"), 1.0]), "source_value_not_finite", 1, 2, "nan"),
        ("price", pa.array([float("inf"), 1.0, 2.0]), "source_value_not_finite", 1, 1, "inf"),
        ("price", pa.array([0.001, 1.005, 1.5]), "source_value_too_fine", 2, 1, "0.001"),
        ("price", pa.array([Decimal("0.001")] * 3), "source_value_too_fine", 3, 1, ".001"),
        ("price", pa.array([1.0, 1e300, 1e15]), "source_value_out_of_range", 2, 2, "1e+300"),
        ("price", pa.array([1, 2**62, 2]), "source_value_out_of_range", 1, 2, f"{2**62}"),
        ("price", pa.array([1.0, 2.0, -1e19]), "source_value_out_of_range", 1, 3, "-1e+19"),
        (
            "price",
            pa.array([Decimal(1), Decimal(10**35), Decimal(2)], pa.decimal128(38, 2)),
            "source_value_out_of_range",
            1,
            2,
            f"{10**35}",
        ),
        (
            "price",
            pa.array([Decimal(1), Decimal(10**37), Decimal(2)], pa.decimal128(38, 0)),
            "source_value_out_of_range",
            1,
            2,
            f"{10**37}",
        ),
        (
            "price",
            pa.array([1.5, 19.99, 200000.01], pa.float32()),
            "source_value_out_of_range",
            1,
            3,
            "200000.02",
        ),
        ("weight", pa.array([1.0, float("nan"), 1.0]), "source_value_not_finite", 1, 2, "nan"),
        ("weight", pa.array([1.0, 2.0, -3.5e38]), "source_value_out_of_range", 1, 3, "-3.5e+38"),
        (
            "pieces",
            pa.array([1, 2**64 - 1, 1], pa.uint64()),
            "source_value_out_of_range",
            1,
            2,
            f"{2**64 - 1}",
        ),
        ("pieces", pa.array([-(2**63), 1, 1]), "source_value_out_of_range", 1, 1, f"{-(2**63)}"),
        ("is_gift", pa.array([True, None, None]), "source_value_null", 2, 2, ""),
    ],
)
def test_a_refused_value_is_named_with_column_count_and_first_row(
    engine: Engine,
    tmp_path: Path,
    column: str,
    values: Any,
    code: str,
    rows: int,
    first: int,
    value: str,
) -> None:
    [problem] = _problems(engine, tmp_path, _columns(3) | {column: values})
    assert problem.code == code
    assert problem.path.endswith(f"/sales.parquet: {column}")
    assert f" in {rows} rows (first in row {first}," in problem.found
    assert value in problem.found
    assert len(problem.found) < 250


@pytest.mark.parametrize(
    "column", ["sale_id", "sold_at", "buyer_id", "price", "pieces", "weight", "is_gift"]
)
def test_a_required_column_without_a_type_is_null_in_every_row(
    engine: Engine, tmp_path: Path, column: str
) -> None:
    [problem] = _problems(engine, tmp_path, _columns() | {column: pa.nulls(2)})
    assert problem.code.endswith("_null")
    assert problem.path.endswith(f"/sales.parquet: {column}")
    assert " in 2 rows (first in row 1," in problem.found


def test_optional_columns_without_a_type_are_absent(engine: Engine, tmp_path: Path) -> None:
    empty = {name: pa.nulls(2) for name in ("heard_at", "returned_at", "was_returned")}
    assert _load(engine, tmp_path, _columns() | empty).labelled == 0
    row = engine.row(
        "select distinct _event, _arrival, _known_was_returned, was_returned from _events_sales"
    )
    assert row == (ZERO, ZERO, None, None)


def test_ids_in_more_than_one_row_are_counted(engine: Engine, tmp_path: Path) -> None:
    [problem] = _problems(engine, tmp_path, _columns() | {"sale_id": pa.array([5, 5])})
    assert problem.code == "source_id_repeated"
    assert problem.path.endswith("/sales.parquet: sale_id")


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
