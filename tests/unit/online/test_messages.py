"""Ids of a stream's messages follow the rule of requests and files (`core.keys.valid_id`)."""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

import pytest

from feature_runtime.core.keys import EntityId, valid_id
from feature_runtime.core.moments import HOUR
from proviso.online.stream.messages import ReceivedTransaction, parse_transaction
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
INTEGERS = {"0": 0, "-5": -5, "+7": 7, "007": 7, str(2**63 - 1): 2**63 - 1, str(-(2**63)): -(2**63)}


def parsed(dtype: Literal["string", "int64"], buyer: str, **more: str) -> ReceivedTransaction:
    texts = GOOD | {"buyer_id": buyer} | more
    fields = {name.encode(): value.encode() for name, value in texts.items()}
    return parse_transaction(contract(dtype), Message("1-0", 0, fields), 0, HOUR)


@pytest.mark.parametrize("buyer", ["x", "x" * 256, "é" * 128, " ", "{}|"])
def test_a_string_id_of_the_rule_is_taken_as_it_is(buyer: str) -> None:
    found: EntityId = parsed("string", buyer).keys["buyer_id"]
    assert found == buyer
    assert valid_id(found)


@pytest.mark.parametrize("buyer", ["", "x" * 257, "é" * 129])
def test_another_string_is_refused(buyer: str) -> None:
    with pytest.raises(ValueError, match="buyer_id"):
        parsed("string", buyer)


@pytest.mark.parametrize("text", INTEGERS)
def test_an_integer_id_is_read_as_a_file_states_it(text: str) -> None:
    assert parsed("int64", text).keys["buyer_id"] == INTEGERS[text]


@pytest.mark.parametrize("text", ["1_000", " 5", "٣", "5.0", "0x10", str(2**63), str(-(2**63) - 1)])
def test_what_only_python_takes_for_an_integer_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="64 bits"):
        parsed("int64", text)


@pytest.mark.parametrize(
    ("column", "text"),
    [("weight", "3.5e38"), ("weight", "-inf"), ("pieces", str(2**53)), ("price", "0.001")],
)
def test_a_number_that_a_file_may_not_state_is_refused(column: str, text: str) -> None:
    with pytest.raises(ValueError, match=column):
        parsed("string", "x", **{column: text})


def test_late_values_and_nulls_of_a_message_are_those_of_a_file() -> None:
    late = {"minutes": "7", "landed_at": "2020-01-01T00:00:00Z", "rated_at": "", "refund": "2.50"}
    fields = {name.encode(): value.encode() for name, value in (GOOD | late).items()}
    found = parse_transaction(late_contract(), Message("1-0", 0, fields), 0, HOUR)
    moment = 1_577_836_800_000_000
    assert {name: found.columns[name] for name in ("minutes", "landed_at", "rating")} == {
        "minutes": 7,
        "landed_at": moment,
        "rating": None,
    }
    assert found.columns["refund"] == Decimal("2.50")
    assert found.known == {"rated_at": None, "returned_at": None, "seen_at": None}
    refused = fields | {b"rating": b"x" * 1025}
    with pytest.raises(ValueError, match="rating"):
        parse_transaction(late_contract(), Message("1-0", 0, refused), 0, HOUR)
