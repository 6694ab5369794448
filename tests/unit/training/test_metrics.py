"""Metrics agree with the protocol written naively, and never read an unknown label as 0."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proviso.training.metrics import (
    Events,
    entity_precision_at_k,
    known_compromised,
    measure,
)


class Event(NamedTuple):
    label: float
    day: int
    entity: int
    score: float


EVENTS = st.lists(
    st.builds(
        Event,
        label=st.sampled_from([0.0, 1.0, float("nan")]),
        day=st.integers(0, 12),
        entity=st.integers(0, 6),
        score=st.integers(0, 40).map(lambda n: n / 40),
    ),
    min_size=1,
    max_size=80,
)


def arrays(events: list[Event]) -> tuple[Events, np.ndarray]:
    label, day, entity, score = (np.array(column) for column in zip(*events, strict=True))
    return Events(label, day.astype(np.int64), entity.astype(np.int64)), score


def naive_precision(events: list[Event], k: int) -> float | None:
    judged = [e for e in events if e.label == e.label]
    caught: set[int] = set()
    shares = []
    for day in sorted({e.day for e in judged}):
        best: dict[int, float] = {}
        compromised: set[int] = set()
        for event in judged:
            if event.day != day or event.entity in caught:
                continue
            best[event.entity] = max(best.get(event.entity, 0.0), event.score)
            if event.label == 1:
                compromised.add(event.entity)
        top = sorted(best, key=lambda entity: (-best[entity], entity))[:k]
        hits = set(top) & compromised
        caught |= hits
        shares.append(len(hits) / k)
    return sum(shares) / len(shares) if shares else None


def naive_known(past: list[Event], event: Event, first: int, last: int, lag: int) -> bool:
    return any(
        p.entity == event.entity
        and p.label == 1
        and (first <= p.day <= last or first <= p.day <= event.day - lag)
        for p in past
    )


@given(EVENTS, st.integers(1, 5))
def test_entity_precision_equals_the_naive_loop(events: list[Event], k: int) -> None:
    columns, score = arrays(events)
    found, wanted = entity_precision_at_k(columns, score, k), naive_precision(events, k)
    assert found == (None if wanted is None else pytest.approx(wanted))


@given(EVENTS, EVENTS, st.integers(0, 4), st.integers(0, 4), st.integers(1, 8))
def test_known_compromised_equals_the_naive_rule(
    past: list[Event], test: list[Event], first: int, length: int, lag: int
) -> None:
    found = known_compromised(arrays(past)[0], arrays(test)[0], (first, first + length), lag)
    wanted = [naive_known(past, event, first, first + length, lag) for event in test]
    assert found.tolist() == wanted


@given(EVENTS)
def test_an_unknown_label_changes_no_metric(events: list[Event]) -> None:
    known = [e for e in events if e.label == e.label]
    columns, score = arrays(events)
    found = measure(columns, score, 3)
    if not known:
        assert (found.auc, found.average_precision, found.entity_precision) == (None, None, None)
    else:
        assert found == measure(*arrays(known), 3)


def test_a_caught_entity_makes_room_on_later_days() -> None:
    events = [Event(1, 0, 1, 0.9), Event(1, 1, 1, 0.9), Event(1, 1, 2, 0.1)]
    columns, score = arrays(events)
    assert entity_precision_at_k(columns, score, 1) == 1.0


def test_one_class_allows_no_ranking_metric() -> None:
    columns, score = arrays([Event(0, 0, 1, 0.2), Event(0, 0, 2, 0.4)])
    found = measure(columns, score, 100)
    assert (found.auc, found.average_precision, found.entity_precision) == (None, None, 0.0)
    assert (found.rows, found.positives) == (2, 0)
