"""What the columns of a table are taken to be, from made-up tables of many shapes."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from proviso.contracts.locations import Location
from proviso.survey.facts import ColumnFacts, Kind, TableFacts, Value
from proviso.survey.roles import Roles, is_money, is_truth, roles_of, unusable_moments

ROWS = 100
HOUR = 3_600_000_000
START = 1_704_067_200_000_000
HOURS = [START + i * HOUR for i in range(ROWS)]
LATE = [i % 3 == 0 for i in range(ROWS)]


def column(name: str, kind: Kind, values: Sequence[Value], scale: int = 0) -> ColumnFacts:
    present = [value for value in values if value is not None]
    numbers = [value for value in present if not isinstance(value, str)]
    distinct = len(set(present))
    unique = distinct == len(values) and kind in ("integer", "text")
    low, high = (min(numbers), max(numbers)) if numbers else (None, None)
    nulls = len(values) - len(present)
    sample = tuple(values)
    return ColumnFacts(name, kind, kind.upper(), nulls, distinct, unique, sample, low, high, scale)


def table(*columns: ColumnFacts) -> TableFacts:
    return TableFacts("rows", Location(path="rows.parquet"), ROWS, columns)


def roles(*columns: ColumnFacts, label: str | None = None) -> Roles:
    return roles_of(table(*columns), label)


AT = column("at", "timestamp", HOURS)
ID = column("payment_id", "text", [f"p{i}" for i in range(ROWS)])
IS_LATE = column("is_late", "boolean", LATE)


def moments(*named: tuple[str, int]) -> list[ColumnFacts]:
    return [column(name, "timestamp", [at + shift for at in HOURS]) for name, shift in named]


@pytest.mark.parametrize(
    ("named", "moment", "arrival"),
    [
        ([("when", 0)], "when", None),
        ([("pickup_datetime", 0), ("dropoff_datetime", HOUR)], "pickup_datetime", None),
        ([("dropoff", HOUR), ("pickup", 0)], "pickup", None),
        ([("event_time", HOUR), ("other", 0)], "event_time", None),
        ([("observed_at", 0), ("reported_at", HOUR)], "observed_at", "reported_at"),
        ([("loaded", 0)], "loaded", None),
        ([("at", HOUR), ("created", 0)], "created", None),
    ],
)
def test_the_moment_of_a_row(
    named: list[tuple[str, int]], moment: str, arrival: str | None
) -> None:
    found = roles(*moments(*named))
    assert found.moment
    assert found.moment.column == moment
    assert set(found.moment.others) == {name for name, _ in named} - {moment}
    assert (found.arrival.column if found.arrival else None) == arrival


def test_without_a_timestamp_the_table_says_what_comes_close() -> None:
    seconds = column("created_time", "integer", [1_704_067_200 + i for i in range(ROWS)])
    day = column("day", "date", HOURS)
    gaps = column("closed", "timestamp", [None, *HOURS[1:]])
    amount = column("amount", "integer", [1_704_067_200] * ROWS)
    found = table(seconds, day, gaps, amount)
    assert roles_of(found).moment is None
    assert unusable_moments(found) == [
        "created_time looks like a Unix time in a number",
        "day is a date without a time of day",
        "closed is null in 1 rows",
    ]


def test_an_id_is_unique_and_best_called_so() -> None:
    number = column("row", "integer", list(range(ROWS)))
    found = roles(number, ID)
    assert found.id
    assert (found.id.column, found.id.others) == ("payment_id", ("row",))
    assert roles(column("user_id", "integer", [i % 50 for i in range(ROWS)])).id is None


@pytest.mark.parametrize(
    ("kind", "values", "truth"),
    [
        ("boolean", LATE, True),
        ("boolean", [True] * ROWS, False),
        ("integer", [int(late) for late in LATE], True),
        ("float", [1.0, 0.0, None] * 33 + [0.0], True),
        ("integer", [0, 1, 2] * 33 + [0], False),
        ("float", [0.0, 0.5, 1.0] * 33 + [0.0], False),
        ("text", ["0", "1"] * 50, False),
    ],
)
def test_a_label_is_true_or_false(kind: Kind, values: list[Value], truth: bool) -> None:
    assert is_truth(column("x", kind, values)) is truth


def test_the_label_is_called_so_or_comes_last() -> None:
    one, two = (column(name, "boolean", LATE) for name in ("promo", "member"))
    last = roles(AT, one, two).label
    assert last
    assert (last.column, last.others) == ("member", ("promo",))
    named = roles(AT, IS_LATE, one).label
    assert named
    assert (named.column, named.others) == ("is_late", ("promo",))
    stated = roles(AT, IS_LATE, one, label="promo").label
    assert stated
    assert stated.column == "promo"
    assert roles(AT).label is None


def test_what_is_null_with_a_later_moment_is_known_at_it() -> None:
    landed = [None if i % 10 == 0 else at + HOUR for i, at in enumerate(HOURS)]
    gone = [None if i % 10 == 0 else i % 7 for i in range(ROWS)]
    other = [None if i % 10 == 1 else i % 7 for i in range(ROWS)]
    late = [None if i % 10 == 0 else bool(i % 3 == 0) for i in range(ROWS)]
    found = roles(
        AT,
        column("landed_at", "timestamp", landed),
        column("delay", "integer", gone),
        column("load", "integer", other),
        column("late", "boolean", late),
    )
    assert found.known_at("delay") == found.known_at("late") == "landed_at"
    assert found.known_at("load") is None


def test_a_moment_of_the_label_is_called_so() -> None:
    [known] = moments(("label_ts", HOUR))
    assert roles(AT, IS_LATE, known).known_at("is_late") == "label_ts"
    assert roles(AT, IS_LATE).known_at("is_late") is None


def test_a_moment_before_the_event_makes_nothing_late() -> None:
    born = [None if late else at - HOUR for late, at in zip(LATE, HOURS, strict=True)]
    score = [None if late else 3 for late in LATE]
    known = roles(AT, column("born", "timestamp", born), column("score", "integer", score))
    assert known.late == ()


def test_keys_repeat_and_lack_no_value() -> None:
    word = column("city_name", "text", ["a", "b"] * 50)
    key = column("user_id", "integer", [i % 20 for i in range(ROWS)])
    gaps = column("shop_id", "integer", [None, *(i % 20 for i in range(ROWS - 1))])
    amount = column("amount", "integer", [i % 30 for i in range(ROWS)])
    once = column("code", "text", [f"c{i}" for i in range(ROWS)])
    found = roles(AT, word, key, gaps, amount, once)
    assert {guess.column for guess in found.keys} == {"user_id", "city_name"}


def test_columns_that_a_contract_cannot_use_are_left_out_with_the_reason() -> None:
    found = roles(
        AT,
        column("nothing", "empty", [None] * ROWS),
        column("year", "integer", [2024] * ROWS),
        column("day", "date", HOURS),
        column("tags", "other", [None] * ROWS),
        column("rate", "decimal", [0.1 * i for i in range(ROWS)], scale=9),
    )
    assert {one.column for one in found.left_out} == {"nothing", "year", "day", "tags", "rate"}


def test_a_column_that_tells_the_label_is_named() -> None:
    delay = column("delay", "integer", [40 if late else 3 for late in LATE])
    status = column("status", "text", ["LATE" if late else "OK" for late in LATE])
    other = column("weight", "integer", [i % 5 for i in range(ROWS)])
    assert roles(AT, delay, status, other, IS_LATE).telling == ("delay", "status")


def test_what_grows_with_time_is_named() -> None:
    counter = column("odometer", "integer", [1000 + 3 * i for i in range(ROWS)])
    weekly = column("weekday", "integer", [i % 7 for i in range(ROWS)])
    assert roles(AT, ID, counter, weekly).growing == ("odometer",)


@pytest.mark.parametrize(
    ("name", "kind", "values", "scale", "money"),
    [
        ("whatever", "decimal", [1.25], 2, True),
        ("rate", "decimal", [1.25], 9, False),
        ("fare_amount", "float", [7.5, 12.25, None], 0, True),
        ("fare_amount", "float", [7.125], 0, False),
        ("weight", "float", [7.5], 0, False),
        ("total", "integer", [7], 0, False),
    ],
)
def test_money_is_decimal_or_called_so(
    name: str, kind: Kind, values: list[Value], scale: int, money: bool
) -> None:
    assert is_money(column(name, kind, values, scale)) is money
