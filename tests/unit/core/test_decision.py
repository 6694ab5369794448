"""One decision rule: at the threshold, without a score, rejected."""

from __future__ import annotations

import math

import pytest

from feature_runtime.core.decision import decide
from feature_runtime.core.service import Decision

PLAN = Decision(0.5, "REVIEW", "APPROVE", "MANUAL", 200)


@pytest.mark.parametrize(
    ("probability", "rejected", "word"),
    [
        (0.5, False, "REVIEW"),
        (math.nextafter(0.5, 0), False, "APPROVE"),
        (0.9, True, "MANUAL"),
        (math.nan, True, "MANUAL"),
        (math.nan, False, "MANUAL"),
    ],
)
def test_the_word_for_a_row(probability: float, rejected: bool, word: str) -> None:
    assert decide(PLAN, probability, rejected=rejected) == word
