"""The fast join equals the rule asked row by row, on histories of any shape; nothing else does."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Sequence

import pytest
from hypothesis import given, settings

from feature_runtime.core.availability import Row, Status, ViewTimes, order, visible_from
from proviso.history.duckdb.join import build_dataset
from proviso.history.oracle import Rule
from tests.join_cases import (
    VIEWS,
    Answer,
    Build,
    Case,
    Found,
    build_loaded,
    cases,
    conflicts_in,
    fast,
    fixed_case,
    slow,
)


@settings(max_examples=40)
@given(case=cases())
def test_the_fast_join_equals_the_rule(case: Case) -> None:
    _equals_the_rule(case)


@pytest.mark.long
@settings(max_examples=1000)
@given(case=cases())
def test_the_fast_join_equals_the_rule_in_a_thousand_cases(case: Case) -> None:
    _equals_the_rule(case)


@settings(max_examples=15)
@given(case=cases())
def test_the_join_of_loaded_transactions_equals_the_rule(case: Case) -> None:
    _equals_the_rule(case, build_loaded)


def _equals_the_rule(case: Case, build: Build = build_dataset) -> None:
    found = fast(case, build=build)
    for name in VIEWS:
        assert found.answers[name] == slow(case, name), name
        assert found.conflicts[name] == conflicts_in(case, name), name


def _rule(
    visible: str = "<=", from_: str = "max", oldest: str = ">=", stale: str = ">", by: str = "both"
) -> Rule:
    """The availability rule with one of its comparisons turned."""
    compare: dict[str, Callable[[int, int], bool]] = {
        "<=": operator.le,
        "<": operator.lt,
        ">=": operator.ge,
        ">": operator.gt,
        "any": lambda _a, _b: True,
    }
    start: dict[str, Callable[[ViewTimes, Row], int]] = {
        "max": visible_from,
        "created": lambda _times, row: row.created_ts,
        "delay": lambda times, row: row.event_ts + times.source_delay,
        "event": lambda _times, row: max(order(row)),
    }
    key: dict[str, Callable[[Row], tuple[int, int]]] = {
        "both": order,
        "created": lambda row: (row.created_ts, row.event_ts),
        "oldest": lambda row: (row.event_ts, -row.created_ts),
        "least": lambda row: (-row.event_ts, row.created_ts),
    }

    def rule(times: ViewTimes, rows: Iterable[Row], t: int) -> Answer:
        usable = [
            row
            for row in rows
            if compare[visible](start[from_](times, row), t)
            and compare[oldest](row.event_ts, t - times.lookback)
        ]
        if not usable:
            return None, Status.MISSING_KEY
        winner = max(usable, key=key[by])
        old = compare[stale](t - winner.event_ts, times.ttl)
        return winner, Status.STALE if old else Status.OK

    return rule


@pytest.fixture(scope="module")
def fixed() -> tuple[Case, Found]:
    case = fixed_case()
    return case, fast(case)


def _differences(fixed: tuple[Case, Found], rule: Rule) -> Sequence[tuple[Answer, Answer]]:
    case, found = fixed
    said = {name: slow(case, name, rule) for name in VIEWS}
    pairs = (pair for name in VIEWS for pair in zip(found.answers[name], said[name], strict=True))
    return [(a, b) for a, b in pairs if a != b]


def test_the_unturned_rule_finds_no_difference(fixed: tuple[Case, Found]) -> None:
    assert _differences(fixed, _rule()) == []


@pytest.mark.parametrize(
    "turned",
    [
        {"visible": "<"},
        {"visible": ">"},
        {"visible": ">="},
        {"visible": "any"},
        {"from_": "created"},
        {"from_": "delay"},
        {"from_": "event"},
        {"oldest": ">"},
        {"oldest": "<"},
        {"oldest": "<="},
        {"oldest": "any"},
        {"stale": ">="},
        {"stale": "<"},
        {"stale": "<="},
        {"by": "created"},
        {"by": "oldest"},
        {"by": "least"},
    ],
    ids=str,
)
def test_every_turned_comparison_of_the_rule_is_noticed(
    fixed: tuple[Case, Found], turned: dict[str, str]
) -> None:
    assert _differences(fixed, _rule(**turned))
