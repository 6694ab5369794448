"""Names that a contract accepts, from whatever a file calls its columns."""

from __future__ import annotations

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from proviso.contracts.base import Name
from proviso.contracts.validation import columns as written
from proviso.survey.names import OURS, RESERVED, contract_names


@pytest.mark.parametrize(
    ("physical", "name"),
    [
        ("TAIL NUM", "tail_num"),
        ("arrDelay", "arr_delay"),
        ("Größe (cm)", "groe_cm"),
        ("2nd stop", "n2nd_stop"),
        ("__x__", "x"),
        ("%%", "column_1"),
        ("日付", "column_1"),
        ("order", "order_value"),
        ("event_ts", "event_ts_value"),
        ("a" * 80, "a" * 40),
    ],
)
def test_a_name_is_small_letters_digits_and_underscores(physical: str, name: str) -> None:
    assert contract_names([physical]) == {physical: name}


def test_names_that_become_one_get_numbers() -> None:
    assert list(contract_names(["Price", "PRICE", "price", "price_2"]).values()) == [
        "price",
        "price_2",
        "price_3",
        "price_2_2",
    ]


@given(st.lists(st.text(max_size=80), unique=True, max_size=20))
def test_any_names_become_names_of_a_contract(physical: list[str]) -> None:
    names = list(contract_names(physical).values())
    assert len(set(names)) == len(names)
    assert not set(names) & (OURS | RESERVED)
    for name in names:
        TypeAdapter(Name).validate_python(name)


def test_words_that_the_engine_reserves_are_no_names() -> None:
    query = "select keyword_name from duckdb_keywords() where keyword_category = 'reserved'"
    with duckdb.connect() as connection:
        reserved = {str(word) for (word,) in connection.execute(query).fetchall()}
    assert reserved <= RESERVED


def test_columns_that_we_write_are_no_names() -> None:
    lists = [value for name, value in vars(written).items() if name.isupper()]
    ours = {column for one in lists if isinstance(one, tuple) for column in one}
    assert ours
    assert ours <= OURS
