"""A replay's sample holds every hard case, deterministically."""

from __future__ import annotations

import numpy as np

from feature_runtime.core.availability import Status
from feature_runtime.core.moments import DAY, HOUR, MINUTE
from proviso.contracts.contract import FeatureView
from proviso.replay.sampling import (
    FLOORS,
    Landmarks,
    choose_left_out,
    created_moments,
    memberships,
    runs_between,
    stratify,
)


def view(schedule: str = "PT1H", ttl: str = "PT2H", name: str = "hourly") -> FeatureView:
    return FeatureView.model_validate(
        {
            "name": name,
            "description": "d",
            "owner": "o",
            "entities": ["thing"],
            "event_timestamp": "event_ts",
            "created_timestamp": "created_ts",
            "source_delay": "PT10M",
            "temporal_join_lookback": "P7D",
            "online_ttl": ttl,
            "freshness_slo": "PT1H30M",
            "publication": {"schedule": schedule, "duration": "PT5M"},
            "population": "P365D",
            "online_store": {"type": "valkey", "key_pattern": "k"},
            "lineage": {"sources": ["s"], "job": "j"},
            "deprecation": {"status": "active"},
            "aggregates": [{"name": "n", "function": "count", "window": "PT1H"}],
            "features": [
                {
                    "name": "n",
                    "dtype": "int64",
                    "description": "d",
                    "default": {"policy": "reject"},
                    "tolerance": {"absolute": 0.0, "relative": 0.0},
                }
            ],
        }
    )


def every(step: int, start: int, end: int) -> np.ndarray:
    return np.arange(start, end, step, dtype=np.int64)


def test_runs_are_aligned_to_the_epoch_and_half_open() -> None:
    assert list(runs_between(view(), HOUR // 2, 3 * HOUR)) == [HOUR, 2 * HOUR]


def test_the_smallest_sufficient_gap_is_left_out() -> None:
    at = every(MINUTE // 4, 0, 7 * DAY)
    daily = view("P1D", "PT26H", "daily")
    gap = choose_left_out([daily, view()], at, 0, 7 * DAY)
    assert gap is not None
    assert gap.view == "hourly"
    assert gap.transactions >= 2 * FLOORS["stale"]


def test_a_gap_counts_exactly_the_moments_that_go_stale() -> None:
    gap = choose_left_out([view()], every(MINUTE, 0, DAY), 0, DAY)
    assert gap is not None
    count = len(gap.runs)
    # From TTL past the last run that was published to the moment the next one is readable.
    stale = (count + 1) * HOUR + 15 * MINUTE - 2 * HOUR
    assert gap.transactions == stale // MINUTE - 1


def test_no_view_with_a_schedule_means_no_gap() -> None:
    assert choose_left_out([], every(MINUTE, 0, DAY), 0, DAY) is None


def test_created_moments_leave_out_what_is_left_out() -> None:
    moments = created_moments([view()], 0, 3 * HOUR, frozenset({("hourly", HOUR)}))
    assert HOUR + 15 * MINUTE not in moments
    assert 2 * HOUR + 15 * MINUTE in moments


def test_rows_fall_on_either_side_of_a_created_moment() -> None:
    created = np.array([HOUR], dtype=np.int64)
    at = np.array([HOUR - MINUTE, HOUR - 1, HOUR, HOUR + MINUTE, HOUR + MINUTE + 1])
    status = np.zeros((5, 1), dtype=np.int8)
    found = memberships(at, status, Landmarks(created, HOUR + MINUTE))
    assert found["before_created"].tolist() == [True, True, False, False, False]
    assert found["after_last_run"].tolist() == [False, False, False, True, True]
    assert found["after_created"].tolist() == [False, False, True, True, False]


def test_a_sample_meets_every_floor_that_the_data_can_meet_and_repeats() -> None:
    at = every(MINUTE, 0, 7 * DAY)
    status = np.zeros((len(at), 2), dtype=np.int8)
    status[::100, 0] = Status.MISSING_KEY
    status[5::100, 1] = Status.STALE
    created = np.array([k * HOUR + 15 * MINUTE for k in range(7 * 24)], dtype=np.int64)
    first = stratify(at, status, Landmarks(created, 6 * DAY), 1000, seed=1)
    again = stratify(at, status, Landmarks(created, 6 * DAY), 1000, seed=1)
    assert first.short == {}
    assert len(first.positions) == first.strata["all"] == 1000
    assert (np.diff(at[first.positions]) > 0).all()
    assert (first.positions == again.positions).all()


def test_a_sample_says_what_it_lacks() -> None:
    at = every(MINUTE, 0, DAY)
    status = np.zeros((len(at), 1), dtype=np.int8)
    created = np.array([HOUR], dtype=np.int64)
    found = stratify(at, status, Landmarks(created, DAY), 200, seed=1)
    assert set(found.short) == set(FLOORS)
    assert found.short["missing_key"] == 0
