"""Freshness as a decision: ages, lags and bounds, and who is asked."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from feature_runtime.core.moments import DAY, HOUR, MINUTE, SECOND
from proviso.checks.evidence import Evidence
from proviso.checks.freshness import (
    BATCH,
    METRIC,
    Freshness,
    FreshnessTarget,
    Served,
    bound_of,
    evidence_of,
    judge,
    spread,
)
from proviso.contracts.bounds import Bound
from proviso.contracts.contract import Contract, FeatureView
from proviso.contracts.loading import load_contract
from proviso.online.store import Watermark

CONTRACTS = Path(__file__).parents[3] / "contracts"
T = 1_780_272_000 * SECOND


@pytest.fixture(scope="module")
def contract() -> Contract:
    return load_contract(CONTRACTS)


@pytest.fixture(scope="module")
def hourly(contract: Contract) -> FeatureView:
    """Objective PT1H30M."""
    return contract.view_by_name["customer_velocity_1h"]


@pytest.fixture(scope="module")
def live(contract: Contract) -> FeatureView:
    """Published on event, objective PT5M."""
    return contract.view_by_name["customer_activity_live"]


def question(bound: float = 0.01) -> FreshnessTarget:
    return FreshnessTarget(T, 500, 7, None, MINUTE, Bound.at_most(bound))


def served(*ages: int, **unserved: int) -> Served:
    return Served(np.array(ages, dtype=np.int64), **unserved)


def judged(view: FeatureView, found: Served, complete: int = T, bound: float = 0.01) -> Freshness:
    return judge(view, found, Watermark(complete, T - MINUTE), question(bound))


def test_the_objective_itself_is_still_fresh(hourly: FeatureView) -> None:
    slo = hourly.freshness_slo
    assert judged(hourly, served(slo)).breach_rate == 0
    assert judged(hourly, served(slo + 1)).breach_rate == 1


@pytest.mark.parametrize(("late", "fresh"), [(1, True), (2, False)])
def test_the_quality_gate_bounds_the_share(hourly: FeatureView, late: int, fresh: bool) -> None:
    ages = [HOUR] * (100 - late) + [hourly.freshness_slo + 1] * late
    found = judged(hourly, served(*ages))
    assert found.breach_rate == late / 100
    assert (not found.reasons) == fresh


def test_who_is_served_nothing_is_served_nothing_fresh(hourly: FeatureView) -> None:
    found = judged(hourly, served(HOUR, HOUR, missing=1, unreadable=1))
    assert found.breach_rate == 0.5
    assert found.as_dict()["entities"] == 4
    assert "50.00% of 4 entities" in found.reasons[0]


def test_a_watermark_does_not_make_rows_fresh(hourly: FeatureView) -> None:
    assert judged(hourly, served(DAY), complete=T + HOUR).reasons
    assert not judged(hourly, served(HOUR), complete=T - DAY).reasons


def test_old_rows_do_not_make_a_streaming_view_late(live: FeatureView) -> None:
    assert not judged(live, served(3 * HOUR)).reasons
    late = judged(live, served(0), complete=T - live.freshness_slo - 1)
    assert late.breach_rate == 1
    assert "a watermark PT5M1S behind, wanted at most PT5M" in late.reasons[0]


def test_a_streaming_view_without_a_young_row_is_pointed_out(live: FeatureView) -> None:
    assert judged(live, served(2 * DAY, HOUR, stale=1)).warnings == ()
    [warning] = judged(live, served(2 * DAY, stale=1)).warnings
    assert "no row of the last P1D" in warning
    [warning] = judged(live, served(HOUR, missing=2)).warnings
    assert "2 of 3 live entities without a row" in warning


def test_without_a_watermark_or_anybody_there_is_nothing_to_pass(hourly: FeatureView) -> None:
    assert judge(hourly, served(HOUR), None, question()).reasons
    [reason] = judged(hourly, served(), bound=1).reasons
    assert "no live entity" in reason


def test_nobody_to_ask_is_no_freshness_of_a_streaming_view(live: FeatureView) -> None:
    found = judged(live, served(), bound=1)
    assert "no live entity" in found.reasons[0]
    assert not evidence_of("release", [], question()).passed
    assert evidence_of("release", [], question()).figures[METRIC] == 1.0


@pytest.mark.parametrize(("missing", "unreadable"), [(100, 0), (2, 0), (0, 2)])
def test_live_entities_without_a_row_are_a_breach_of_a_streaming_view(
    live: FeatureView, missing: int, unreadable: int
) -> None:
    """The history says who is live; the watermark is fresh all the same."""
    target = replace(question(), history=CONTRACTS)
    some = served(*[HOUR] * (100 - missing - unreadable), missing=missing, unreadable=unreadable)
    found = judge(live, some, Watermark(T, T - MINUTE), target)
    assert found.breach_rate == (missing + unreadable) / 100
    assert "live entities without a row" in found.reasons[0]
    one = judge(live, served(*[HOUR] * 99, missing=1), Watermark(T, T - MINUTE), target)
    assert one.reasons == ()


def test_figures_are_seconds_and_values_that_occur(hourly: FeatureView) -> None:
    figures = judged(hourly, served(*(n * MINUTE for n in range(1, 101)))).as_dict()
    assert [figures[f"age_{q}_s"] for q in ("median", "p95", "max")] == [51 * 60, 96 * 60, 6000]
    assert judged(hourly, served()).as_dict()["age_median_s"] is None


def evidence(*found: Freshness) -> Evidence:
    return evidence_of("release", found, question())


def test_the_figure_is_that_of_the_worst_view(hourly: FeatureView, live: FeatureView) -> None:
    good, bad = judged(hourly, served(HOUR)), judged(live, served(0), complete=T - DAY)
    assert evidence(good).passed
    both = evidence(good, bad)
    assert both.figures[METRIC] == 1
    assert both.reasons == bad.reasons
    assert both.as_of == T


def test_the_bound_is_the_contracts_strictest(contract: Contract) -> None:
    assert bound_of(contract) == Bound.at_most(0.01)
    gate = next(g for g in contract.quality_gates if g.metric == METRIC)
    stricter = gate.model_copy(update={"name": "stricter", "max": 0.001})
    assert bound_of(
        contract.model_copy(update={"quality_gates": [gate, stricter]})
    ) == Bound.at_most(0.001)
    assert bound_of(contract.model_copy(update={"quality_gates": []})) == Bound.at_most(0)


def test_a_sample_depends_on_the_seed_and_not_on_how_keys_come() -> None:
    keys = [f"fs:{{customer:{n}}}:v:s".encode() for n in range(3 * BATCH)]
    shuffled = [*keys, *keys[:BATCH]]
    random.Random(1).shuffle(shuffled)
    first = spread(keys, 100, 7)
    assert spread(shuffled, 100, 7) == first
    assert len(set(first)) == 100
    assert spread(keys, 100, 8) != first
    assert sorted(spread(keys, 10**5, 7)) == sorted(keys)


def test_a_sample_is_spread_over_all_keys() -> None:
    """Of ten thousand keys a sample of a thousand has between 50 and 150 of each tenth."""
    keys = [f"fs:{{customer:{n:05d}}}:v:s".encode() for n in range(10_000)]
    positions = {key: n // 1_000 for n, key in enumerate(keys)}
    tenths = np.bincount([positions[key] for key in spread(keys, 1_000, 3)], minlength=10)
    assert tenths.sum() == 1_000
    assert tenths.min() > 50
    assert tenths.max() < 150
