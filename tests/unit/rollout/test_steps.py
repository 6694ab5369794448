"""The steps of a rollout: order, shares, and how a step is stated on the cluster."""

from __future__ import annotations

import pytest

from proviso.contracts.loading import load_plan
from proviso.manifests.images import ROOT
from proviso.rollout.deployed import DeployedRelease
from proviso.rollout.steps import NONE, Pair, Step, rollback_step, rollout_steps, step_annotations

STABLE = DeployedRelease("late-delivery", "1.0.0", "r-aaaaaaaa", {})
CANDIDATE = DeployedRelease("late-delivery", "1.1.0", "r-bbbbbbbb", {})
PLAN = load_plan(ROOT / "contracts")


def test_shares_of_every_step_over_a_stable_make_a_hundred() -> None:
    steps = [*rollout_steps(PLAN, over_stable=True, mirrors=True), rollback_step(over_stable=True)]
    assert [step.candidate + step.stable for step in steps] == [100] * len(steps)
    assert not any(step.is_withdrawal for step in steps)


def test_a_router_that_mirrors_gets_a_shadow_step_first() -> None:
    steps = rollout_steps(PLAN, over_stable=True, mirrors=True)
    assert steps[0] == Step("shadow", 0, 100, PLAN.mirroring.percent)
    assert rollout_steps(PLAN, over_stable=True, mirrors=False) == steps[1:]


def test_a_first_release_has_one_step_and_its_rollback_withdraws_it() -> None:
    assert rollout_steps(PLAN, over_stable=False, mirrors=True) == [Step("promote", 100, 0)]
    assert rollback_step(over_stable=False).is_withdrawal


@pytest.mark.parametrize(
    ("step", "summary"),
    [
        (Step("canary-5", 5, 95), "candidate 5%, stable 95%"),
        (Step("shadow", 0, 100, 20), "candidate 0%, stable 100%, 20% mirrored"),
    ],
)
def test_a_summary_names_all_shares(step: Step, summary: str) -> None:
    assert step.summary == summary


def test_a_first_releases_annotations_state_that_there_is_no_stable() -> None:
    stated = step_annotations(Pair(CANDIDATE, None), Step("promote", 100, 0))
    assert stated["proviso.dev/stable"] == stated["proviso.dev/stable-unit"] == NONE
    assert Pair(CANDIDATE, STABLE).releases == [CANDIDATE, STABLE]
