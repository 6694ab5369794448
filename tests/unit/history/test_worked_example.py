"""The example of docs/time.md, computed."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from feature_runtime.core.availability import Row, availability
from feature_runtime.core.moments import DAY, HOUR, MINUTE
from proviso.contracts.loading import load_contract
from proviso.history.duckdb.features import compute_history
from proviso.history.files import MOMENT, history_file
from tests.history_data import ZERO

CONTRACT = load_contract(Path(__file__).parents[3] / "contracts")
VIEW = CONTRACT.view_by_name["customer_velocity_1h"]
TEN = ZERO + 10 * HOUR


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> list[Row]:
    """The rows of runs 11:00 and 12:00: number of payments and their amount."""
    work = tmp_path_factory.mktemp("example")
    paid = [TEN + 20 * MINUTE, TEN + 55 * MINUTE, TEN + 90 * MINUTE]
    columns = {
        "transaction_id": ["a", "b", "c"],
        "event_ts": pa.array(paid, MOMENT),
        "arrival_ts": pa.array([paid[0], paid[1] + 17 * MINUTE, paid[2]], MOMENT),
        "customer_id": ["C1"] * 3,
        "merchant_id": ["M1"] * 3,
        "amount": [40.0, 25.0, 10.0],
        "is_fraud": pa.array([None] * 3, pa.int8()),
    }
    pq.write_table(pa.table(columns), work / "transactions.parquet")
    end = TEN + 3 * HOUR
    compute_history(CONTRACT, work / "transactions.parquet", work, TEN, end, [VIEW.name])
    table = pq.read_table(history_file(work, VIEW))
    names = ("event_ts", "created_ts", "txn_count_1h", "total_amount_1h")
    read = [
        table[name].cast(pa.int64()).to_pylist() if i < 2 else table[name].to_pylist()
        for i, name in enumerate(names)
    ]
    return [Row(event, created, (n, sum_)) for event, created, n, sum_ in zip(*read, strict=True)]


def test_what_the_runs_publish(rows: list[Row]) -> None:
    eleven, twelve = TEN + HOUR, TEN + 2 * HOUR
    assert rows == [
        Row(eleven, eleven + 15 * MINUTE, (1, 40.0)),
        Row(twelve, twelve + 15 * MINUTE, (1, 10.0)),
    ]


@pytest.mark.parametrize(
    ("asked", "winner", "status"),
    [
        (TEN + 75 * MINUTE - 1, None, "MISSING_KEY"),
        (TEN + 75 * MINUTE, 40.0, "OK"),
        (TEN + 135 * MINUTE - 1, 40.0, "OK"),
        (TEN + 135 * MINUTE, 10.0, "OK"),
        (TEN + 4 * HOUR, 10.0, "OK"),
        (TEN + 4 * HOUR + 1, 10.0, "STALE"),
        (TEN + 2 * HOUR + 7 * DAY, 10.0, "STALE"),
        (TEN + 2 * HOUR + 7 * DAY + 1, None, "MISSING_KEY"),
    ],
)
def test_what_a_question_gets(
    rows: list[Row], asked: int, winner: float | None, status: str
) -> None:
    row, found = availability(VIEW.times, rows, asked)
    assert (None if row is None else row.values[1], found.name) == (winner, status)
