"""Vocabularies are learnt from the train days alone: the most frequent values, in order."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feature_runtime.core.encodings import MAX_VOCABULARY_BYTES, check_vocabulary
from feature_runtime.core.values import texts_of
from proviso.training.vocabulary import learn


def naive(values: list[Any], size: int) -> tuple[Any, ...]:
    """Takes the most frequent value, the smaller of two, again and again."""
    counts = Counter(value for value in values if value is not None)
    chosen: list[Any] = []
    while counts and len(chosen) < size:
        best = max(counts.values())
        value = min(value for value, count in counts.items() if count == best)
        chosen.append(value)
        del counts[value]
    return tuple(sorted(chosen))


@given(st.lists(st.none() | st.text(max_size=2), max_size=30), st.integers(1, 5))
def test_the_most_frequent_strings_are_learnt(values: list[Any], size: int) -> None:
    found = learn(texts_of(values), "string", size)
    assert found == naive(values, size)
    check_vocabulary("ordinal", found)


@given(st.lists(st.none() | st.integers(-3, 3), max_size=30), st.integers(1, 5))
def test_the_most_frequent_integers_are_learnt(values: list[Any], size: int) -> None:
    column = np.array([np.nan if v is None else v for v in values], dtype=np.float64)
    found = learn(column, "int64", size)
    assert found == naive(values, size)
    check_vocabulary("ordinal", found)


def test_truth_values_stay_such() -> None:
    found = learn(np.array([1.0, 0.0, np.nan, 1.0]), "bool", 5)
    assert found == (False, True)
    assert [type(value) for value in found] == [bool, bool]


@pytest.mark.parametrize("values", [[], [None, None]])
def test_nothing_is_learnt_from_nothing(values: list[Any]) -> None:
    assert learn(texts_of(values), "string", 5) == ()


def test_strings_stop_before_they_are_more_than_a_release_holds() -> None:
    values = [f"{i:0>1024}" for i in range(2_000)]
    found = learn(texts_of(values), "string", 2_000)
    assert len(found) == MAX_VOCABULARY_BYTES // 1024
    check_vocabulary("ordinal", found)
