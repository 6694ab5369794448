"""Steps over keys equal what is counted key by key."""

from __future__ import annotations

import random
import sys
from collections import Counter
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proviso.history import steps
from proviso.history.steps import Spans, Steps

EVENT = st.tuples(st.integers(0, 3), st.integers(0, 20), st.integers(0, 20), st.integers(-4, 4))
FAR = 10**9


def spread(events: list[tuple[int, int, int, int]], apart: int) -> tuple[Spans, Any, Any]:
    """Spans whose entities are apart, their entities and values."""
    entity, enters, leaves, value = (np.array(c, np.int64) for c in zip(*events, strict=True))
    return Spans(entity * apart + enters, entity * apart + leaves), entity, value


def counted(spans: Spans, key: int) -> list[int]:
    return [i for i in range(len(spans)) if spans.enters[i] <= key < spans.leaves[i]]


def compare(found: Steps, spans: Spans, expected: Any) -> None:
    assert list(found.keys) == sorted(set(found.keys))
    places = {int(k) + beside for k in (*spans.enters, *spans.leaves) for beside in (-1, 0, 1)}
    keys = np.array(sorted(places), np.int64)
    values, known = found.at(keys)
    for key, value, here in zip(keys, values, known, strict=True):
        wanted = expected(counted(spans, key))
        assert (value if here else None) == wanted or (not here and wanted == 0), key


@pytest.mark.parametrize("apart", [21, FAR])
@settings(max_examples=150)
@given(events=st.lists(EVENT, min_size=1, max_size=25))
def test_steps_are_what_is_counted_key_by_key(
    apart: int, events: list[tuple[int, int, int, int]]
) -> None:
    check(steps, events, apart)


def check(module: Any, events: list[tuple[int, int, int, int]], apart: int) -> None:
    """Every step function of the module against what is counted."""
    spans, entity, value = spread(events, apart)
    ranks = np.random.default_rng(len(events)).permutation(len(spans))
    codes = value - value.min()
    groups = module.numbered_groups(entity, codes)

    def best(of: Any) -> Any:
        return lambda here: max((of[i] for i in here), default=None)

    def frequent(here: list[int]) -> Any:
        times = Counter(int(codes[i]) for i in here)
        return min(times, key=lambda code: (-times[code], code), default=None)

    compare(module.greatest(spans, value), spans, best(value))
    compare(module.greatest(spans, value / 3), spans, best(value / 3))
    compare(module.greatest(spans, ranks), spans, best(ranks))
    compare(module.most_frequent(spans, groups, codes), spans, frequent)
    compare(module.distinct(spans, groups), spans, lambda here: len({codes[i] for i in here}))


@pytest.mark.parametrize("count", [0, 1, 70_000])
def test_a_single_entity_may_have_many_events(count: int) -> None:
    """Every span of a long, overlapping row is counted once, whatever its length."""
    enters = np.arange(count, dtype=np.int64)
    spans = Spans(enters, enters + 5_000)
    found = steps.greatest(spans, -enters)
    assert len(found.keys) == (count + 1 if count else 0)
    values, known = found.at(enters)
    assert list(values[known]) == list(-np.maximum(enters - 4_999, 0)[known])


MUTANTS = {
    "a fall is no step": ("best[1:] != best[:-1]", "best[1:] > best[:-1]"),
    "the second block is the first": ("places.leaves[mine] - width", "places.enters[mine]"),
    "the second half is left out": ("best[: size - half], out", "halves[half:], out"),
    "of equally many the greatest": ("base - 1 - of_group[numbers[going_on]]", "base - 1"),
    "every event is distinct": ("(counts > 0).astype(np.int64) - (before > 0)", "counts - before"),
    "an event never leaves": ("np.where(order < len(spans), 1, -1)", "np.where(order < 0, 1, 1)"),
    "a step is late": ('side="right"', 'side="left"'),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_a_broken_step_function_is_noticed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    right, wrong = MUTANTS[name]
    source = Path(steps.__file__).read_text("utf-8")
    assert source.count(right) == 1
    broken = ModuleType("broken_steps")
    monkeypatch.setitem(sys.modules, broken.__name__, broken)
    exec(compile(source.replace(right, wrong), "broken_steps", "exec"), broken.__dict__)
    rng = random.Random(3)
    cases = [[_event(rng) for _ in range(rng.randrange(1, 20))] for _ in range(60)]
    with pytest.raises((AssertionError, IndexError, ValueError)):
        _check_all(broken, cases)


def _check_all(module: Any, cases: list[list[tuple[int, int, int, int]]]) -> None:
    for events in cases:
        check(module, events, 21)


def _event(rng: random.Random) -> tuple[int, int, int, int]:
    return rng.randrange(4), rng.randrange(21), rng.randrange(21), rng.randrange(-4, 5)
