"""A bound: how it is read, what it holds for, and how two compare."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proviso.contracts.bounds import Bound, Sign

SIGNS: tuple[Sign, ...] = ("<=", "<", ">=", ">")
BOUNDS = st.builds(Bound, st.sampled_from(SIGNS), st.integers(0, 4).map(float))
VALUES = [value / 2 for value in range(-2, 12)]


@pytest.mark.parametrize("text", ["<= 150", "< 0.05", ">= 0.7", "> 0"])
def test_a_bound_is_written_as_it_is_read(text: str) -> None:
    assert str(Bound.parse(text)) == text
    assert Bound.parse(text.replace(" ", "")) == Bound.parse(text)


@pytest.mark.parametrize("text", ["150", "= 150", "<= -1", "<=  1", "<= 1e3", "<= 1.", "low", ""])
def test_anything_else_is_no_bound(text: str) -> None:
    with pytest.raises(ValueError, match="wanted a bound such as <= 150"):
        Bound.parse(text)


def test_a_bound_in_words() -> None:
    words = [Bound(sign, 0.05).words for sign in SIGNS]
    assert words == ["at most 0.05", "below 0.05", "at least 0.05", "above 0.05"]


@given(BOUNDS)
def test_the_negation_holds_for_all_other_values(bound: Bound) -> None:
    assert all(bound.holds(value) != bound.negated().holds(value) for value in VALUES)
    assert bound.negated().negated() == bound
    assert not bound.holds(math.nan)


@given(BOUNDS, BOUNDS)
def test_two_bounds_of_opposite_sides_overlap_where_some_value_is_within_both(
    one: Bound, other: Bound
) -> None:
    both = any(one.holds(value) and other.holds(value) for value in VALUES)
    assert one.overlaps(other) == (both and one.side != other.side)


@given(BOUNDS, BOUNDS)
def test_a_looser_bound_of_the_same_side_lets_more_values_pass(one: Bound, other: Bound) -> None:
    if one.looser_than(other):
        assert one.side == other.side
        assert any(one.holds(value) and not other.holds(value) for value in VALUES)


@pytest.mark.parametrize("value", [None, 150, ["<= 150"]])
def test_a_file_states_a_bound_as_text(value: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        Bound.parse(value)
