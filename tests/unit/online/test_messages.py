"""A stream's messages follow the rule of a file's rows, and are sorted out as they are."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Literal

import pytest

from feature_runtime.core.keys import EntityId, valid_id
from feature_runtime.core.moments import HOUR
from proviso.history.duckdb.arriving import Arriving
from proviso.history.duckdb.engine import Engine, connect
from proviso.online.stream.messages import (
    ReceivedTransaction,
    fields_of,
    received,
    sorted_out,
)
from proviso.online.stream.valkey import Message
from tests.history_data import contract
from tests.late_data import late_contract

GOOD = {
    "sale_id": "1",
    "sold_at": "1970-01-01T00:00:00Z",
    "heard_at": "1970-01-01T00:00:00Z",
    "buyer_id": "7",
    "shop_id": "8",
    "price": "1.25",
    "pieces": "2",
    "weight": "0.5",
    "is_gift": "true",
}
INTEGERS = {
    "0": 0,
    "-5": -5,
    "+7": 7,
    "007": 7,
    "5.0": 5,
    str(2**63 - 1): 2**63 - 1,
    str(-(2**63)): -(2**63),
}


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with connect() as opened:
        yield opened


def parsed(
    engine: Engine, dtype: Literal["string", "int64"], buyer: str, **more: str
) -> ReceivedTransaction:
    texts = GOOD | {"buyer_id": buyer} | more
    fields = {name.encode(): value.encode() for name, value in texts.items() if value != "absent"}
    message, owner = Message("1-0", 0, fields), contract(dtype)
    [row] = Arriving(engine, owner, []).judged([fields_of(message)])
    return received(owner, message, row, 0, HOUR)


@pytest.mark.parametrize("buyer", ["x", "x" * 256, "é" * 128, " ", "{}|"])
def test_a_string_id_of_the_rule_is_taken_as_it_is(engine: Engine, buyer: str) -> None:
    found: EntityId = parsed(engine, "string", buyer).keys["buyer_id"]
    assert found == buyer
    assert valid_id(found)


@pytest.mark.parametrize("buyer", ["", "absent", "x" * 257, "é" * 129])
def test_another_string_is_refused(engine: Engine, buyer: str) -> None:
    with pytest.raises(ValueError, match="buyer_id"):
        parsed(engine, "string", buyer)


@pytest.mark.parametrize("text", INTEGERS)
def test_an_integer_id_is_read_as_a_file_states_it(engine: Engine, text: str) -> None:
    assert parsed(engine, "int64", text).keys["buyer_id"] == INTEGERS[text]


@pytest.mark.parametrize("text", ["1_000", " 5", "٣", "0x10", str(2**63), str(-(2**63) - 1)])
def test_what_only_python_takes_for_an_integer_is_refused(engine: Engine, text: str) -> None:
    with pytest.raises(ValueError, match="64 bits"):
        parsed(engine, "int64", text)


@pytest.mark.parametrize(
    ("column", "text", "code"),
    [
        ("weight", "3.5e38", "source_value_out_of_range"),
        ("weight", "-inf", "source_text_invalid"),
        ("pieces", str(2**53), "source_value_out_of_range"),
        ("price", "0.001", "source_value_too_fine"),
        ("price", "", "source_value_null"),
        ("is_gift", "absent", "source_value_null"),
        ("sold_at", "1969-12-31T23:59:59Z", "source_moment_out_of_range"),
    ],
)
def test_a_value_that_a_file_may_not_state_is_refused(
    engine: Engine, column: str, text: str, code: str
) -> None:
    with pytest.raises(ValueError, match=rf"{column}: found .*\[{code}\]"):
        parsed(engine, "string", "x", **{column: text})


def test_all_that_is_wrong_with_a_row_is_said(engine: Engine) -> None:
    with pytest.raises(ValueError, match=r"price.*too_fine\]; weight.*text_invalid\]"):
        parsed(engine, "string", "x", price="0.001", weight="much")


def test_what_is_to_come_is_refused(engine: Engine) -> None:
    with pytest.raises(ValueError, match="sold_at: found 1970-01-01T02:00:00Z"):
        parsed(engine, "string", "x", sold_at="1970-01-01T02:00:00Z")


def test_what_is_too_large_or_no_text_is_refused() -> None:
    with pytest.raises(ValueError, match="70001 bytes"):
        fields_of(Message("1-0", 0, {b"x": b"x" * 70_000}))
    with pytest.raises(ValueError, match="decode"):
        fields_of(Message("1-0", 0, {b"x": b"\xff"}))


def test_a_copy_is_no_contradiction(engine: Engine) -> None:
    first = parsed(engine, "string", "x")
    later = parsed(engine, "string", "x", heard_at="1970-01-01T00:10:00Z")
    other = parsed(engine, "string", "x", price="2.50")
    labelled = parsed(engine, "string", "x", was_returned="1")
    found = sorted_out([first, later, other, labelled], {})
    assert (found.new, found.copies, found.contradicting) == ([first], 1, [other, labelled])
    found = sorted_out([later, other], {first.id: first.said})
    assert (found.new, found.copies, found.contradicting) == ([], 1, [other])


def test_late_values_and_nulls_of_a_message_are_those_of_a_file(engine: Engine) -> None:
    late = {"minutes": "7", "landed_at": "2020-01-01T00:00:00Z", "rated_at": "", "refund": "2.50"}
    message, arriving = GOOD | late, Arriving(engine, late_contract(), [])
    [found, refused] = arriving.judged([message, message | {"rating": "x" * 1025}])
    assert not found.reasons
    wanted = {"minutes": 7, "landed_at": 1_577_836_800_000_000, "refund": Decimal("2.50")}
    wanted |= {"rating": None, "rated_at": None, "returned_at": None, "seen_at": None}
    assert {name: found.cells[name] for name in wanted} == wanted
    assert "[source_text_too_long]" in refused.reasons[0]
