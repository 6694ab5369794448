"""Whatever the data, a replay's sample is what it says, and a gap's count is the count."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from feature_runtime.core.availability import Status
from feature_runtime.core.moments import DAY, HOUR, MINUTE
from proviso.contracts.contract import FeatureView
from proviso.replay.sampling import (
    FLOORS,
    Landmarks,
    beside,
    choose_left_out,
    memberships,
    stratify,
)
from tests.history_data import contract

HOURLY = contract().view_by_name["buyer_hourly"]
MOMENTS = st.lists(st.integers(0, 2 * DAY), min_size=1, max_size=400).map(
    lambda found: np.array(sorted(found), dtype=np.int64)
)


@st.composite
def populations(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, Landmarks]:
    """Scoring moments [n], statuses [n, 2] and landmarks."""
    at = draw(MOMENTS)
    codes = st.lists(st.sampled_from(list(Status)), min_size=2 * len(at), max_size=2 * len(at))
    status = np.array(draw(codes), dtype=np.int8).reshape(len(at), 2)
    created = np.arange(15 * MINUTE, 2 * DAY, draw(st.sampled_from([HOUR, 6 * HOUR])))
    return at, status, Landmarks(created, draw(st.integers(0, 2 * DAY)))


@settings(max_examples=60)
@given(populations(), st.integers(150, 500), st.integers(0, 9))
def test_a_sample_is_as_large_as_asked_and_counts_itself(
    population: tuple[np.ndarray, np.ndarray, Landmarks], size: int, seed: int
) -> None:
    at, status, landmarks = population
    found = stratify(at, status, landmarks, size, seed)
    assert len(set(found.positions.tolist())) == len(found.positions)
    assert (np.diff(at[found.positions]) >= 0).all()
    least = sum(2 * floor for floor in FLOORS.values())
    assert min(size, len(at)) <= len(found.positions) <= max(size, min(least, len(at)))
    everyone = memberships(at, status, landmarks)
    chosen = memberships(at[found.positions], status[found.positions], landmarks)
    for name, floor in FLOORS.items():
        assert found.strata[name] == chosen[name].sum()
        assert found.strata[name] >= min(floor, everyone[name].sum())
    assert found.strata["all"] == len(found.positions)
    assert set(found.short) == {n for n, floor in FLOORS.items() if found.strata[n] < floor}


@given(MOMENTS)
def test_a_gap_counts_what_goes_stale(at: np.ndarray) -> None:
    gap = choose_left_out([HOURLY], at, 0, 2 * DAY)
    if gap is None:
        return
    left = set(gap.runs)
    runs = [run for run in range(-DAY, 3 * DAY, HOUR) if run not in left]
    stale = sum(_is_stale(HOURLY, runs, int(t)) for t in at)
    assert gap.transactions == stale
    assert sorted(left) == list(range(min(left), max(left) + 1, HOUR))


def _is_stale(view: FeatureView, runs: list[int], t: int) -> bool:
    readable = [run for run in runs if run + view.delay_to_readable <= t]
    return t - max(readable) > view.online_ttl


@given(
    st.lists(st.integers(HOUR, 9 * DAY), max_size=30, unique=True),
    st.integers(0, 200),
    st.integers(0, 200),
)
def test_moments_beside_a_landmark_belong_to_its_strata(
    moments: list[int], before: int, after: int
) -> None:
    created = np.array(sorted(moments), dtype=np.int64)
    found = beside(created, before, after)
    if len(created) == 0:
        assert len(found) == 0
        return
    assert len(found) == before + after
    members = memberships(found, np.zeros((len(found), 1), np.int8), Landmarks(created, 10 * DAY))
    assert members["before_created"][:before].all()
    assert members["after_created"][before:].all()
