"""One rule for files and streams: a row that is set aside in one is set aside in the other."""

from __future__ import annotations

import csv
import datetime as dt
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feature_runtime.core.moments import format_moment
from proviso.contracts.contract import Contract
from proviso.history.duckdb.arriving import Arriving
from proviso.history.duckdb.engine import Engine, connect
from proviso.history.duckdb.transactions import load_transactions
from proviso.history.files import MOMENT
from proviso.history.quarantine import ROW
from proviso.online.stream.messages import ReceivedTransaction, fields_of, received, sorted_out
from proviso.online.stream.producer import produce
from proviso.online.stream.valkey import Message
from tests.history_data import ZERO, allowing, contract

MINUTE, NEVER = 60_000_000, 2**60
OWNER = allowing(contract(), 0.9999)
PADDING = 30
"""Good rows, so that the bad ones of a test are never too many."""

Row = dict[str, Any]


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with connect() as opened:
        yield opened


def _moment(minutes: int) -> dt.datetime:
    return dt.datetime.fromtimestamp((ZERO + minutes * MINUTE) / 1e6, tz=dt.UTC)


def _good(number: int) -> Row:
    return {
        "sale_id": number,
        "sold_at": _moment(number),
        "heard_at": _moment(number + 1),
        "buyer_id": f"b{number % 3}",
        "shop_id": f"{number}",  # tells the rows apart, whatever is wrong with them
        "price": 10.25,
        "pieces": 1,
        "weight": 1.5,
        "is_gift": True,
        "was_returned": 1.0,
        "returned_at": None,
    }


TYPES = {
    "sale_id": pa.int64(),
    "sold_at": MOMENT,
    "heard_at": MOMENT,
    "buyer_id": pa.string(),
    "shop_id": pa.string(),
    "price": pa.float64(),
    "pieces": pa.int64(),
    "weight": pa.float64(),
    "is_gift": pa.bool_(),
    "was_returned": pa.float64(),
    "returned_at": MOMENT,
}
EARLY, LATE = (dt.datetime(year, 1, 1, tzinfo=dt.UTC) for year in (1969, 2300))
NUMBERS = [float("nan"), float("inf"), -float("inf"), 1e300, 1e15, 1.005, -0.0, 0.1 + 0.2, None]
CELLS: Mapping[str, Sequence[Any]] = {
    "sale_id": [None, 3, 7, -5],
    "sold_at": [None, EARLY, LATE, _moment(5)],
    "heard_at": [None, EARLY, LATE, _moment(500)],
    "buyer_id": [None, "", "x" * 256, "x" * 257, "é" * 129, " "],
    "price": NUMBERS,
    "weight": [*NUMBERS, 3.4028234e38, 3.5e38],
    "pieces": [None, 2**53, 2**53 - 1, -(2**53), -(2**63)],
    "is_gift": [None, False],
    "was_returned": [None, float("nan"), 0.0, 0.5, 2.0],
    "returned_at": [EARLY, LATE, _moment(9)],
}
TEXTS: Mapping[str, Sequence[str]] = {
    "sale_id": ["", "3", "7", " 3", "x" * 257],
    "sold_at": ["", "2026-01-31", "2026-01-31 10:00", "2026-02-30T10:00:00Z", "1969-01-01T00:00Z"],
    "heard_at": ["", "soon", "2300-01-01T00:00:00Z", "2026-01-31T10:00:00+01:00"],
    "buyer_id": ["", "x" * 257, " "],
    "price": ["", "1e3", "1.005", "1.250", "+1.", ".5", "nan", "1,5", "99999999999999999999"],
    "weight": ["", "1e3", "nan", "inf", "1e39", "1_0", " 1"],
    "pieces": ["", "1.0", "1.5", "9007199254740992", "٣", "1e3"],
    "is_gift": ["", "T", "0.0", "yes", "TRUE"],
    "was_returned": ["", "1.0", "2", "False"],
    "returned_at": ["", "later", "2026-01-31T10:00:00.123456789Z"],
}


def changed(values: Mapping[str, Sequence[Any]]) -> st.SearchStrategy[list[tuple[int, str, Any]]]:
    """Rows, columns and the values that they get."""
    one = st.sampled_from(sorted(values)).flatmap(
        lambda column: st.tuples(
            st.integers(0, 15), st.just(column), st.sampled_from(values[column])
        )
    )
    return st.lists(one, max_size=14)


class _Kept:
    """A producer whose messages stay here."""

    def __init__(self) -> None:
        self.messages: list[Mapping[str, str]] = []

    def append(self, messages: Sequence[Mapping[str, str]]) -> None:
        self.messages += messages


def _set_aside(engine: Engine, path: Path) -> list[int]:
    """The numbers of a file's rows that are set aside, from 0."""
    first = 2 if path.suffix == ".csv" else 1
    load_transactions(engine, OWNER, path)
    rows = engine.execute(f'select {ROW} from "_quarantine_sales" order by all').fetchall()
    return sorted(row - first for (row,) in rows)


def _of_stream(engine: Engine, owner: Contract, messages: Sequence[Mapping[str, str]]) -> list[int]:
    """The numbers, as their shops, of the messages that a follower sets aside."""
    arriving, due, aside = Arriving(engine, owner, []), list[ReceivedTransaction](), list[int]()
    made = [
        Message(f"{n}-0", NEVER, {name.encode(): text.encode() for name, text in fields.items()})
        for n, fields in enumerate(messages)
    ]
    for message, row in zip(made, arriving.judged([*map(fields_of, made)]), strict=True):
        try:
            due.append(received(owner, message, row, 0, NEVER))
        except ValueError:
            aside.append(int(message.id[:-2]))
    due.sort(key=lambda one: (one.arrival, int(one.message[:-2])))
    aside += [int(one.message[:-2]) for one in sorted_out(due, {}).contradicting]
    return sorted(int(messages[n]["shop_id"]) for n in aside)


@settings(max_examples=20)
@given(edits=changed(CELLS))
def test_what_a_typed_file_sets_aside_its_stream_sets_aside(
    engine: Engine, edits: list[tuple[int, str, Any]]
) -> None:
    rows = [_good(n) for n in range(16 + PADDING)]
    for n, column, value in edits:
        rows[n][column] = value
    for row in rows:  # a stream would state the moment of reception
        row["heard_at"] = row["heard_at"] or row["sold_at"]
    schema = pa.schema(list(TYPES.items()))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sales.parquet"
        pq.write_table(pa.Table.from_pylist(rows, schema), path)
        in_file, kept = _set_aside(engine, path), _Kept()
        produce(OWNER, path, kept, None)
    assert _of_stream(engine, OWNER, kept.messages) == in_file


@settings(max_examples=50)
@given(edits=changed(TEXTS))
def test_what_a_file_of_text_sets_aside_a_stream_sets_aside(
    engine: Engine, edits: list[tuple[int, str, str]]
) -> None:
    rows = [{name: _text(cell) for name, cell in _good(n).items()} for n in range(16 + PADDING)]
    for n, column, value in edits:
        rows[n][column] = value
    for row in rows:
        row["heard_at"] = row["heard_at"] or row["sold_at"]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sales.csv"
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(TYPES))
            writer.writeheader()
            writer.writerows(rows)
        in_file = _set_aside(engine, path)
    assert _of_stream(engine, OWNER, rows) == in_file


def _text(cell: Any) -> str:
    if isinstance(cell, dt.datetime):
        return format_moment(round(cell.timestamp() * 1e6))
    return "" if cell is None else str(cell)
