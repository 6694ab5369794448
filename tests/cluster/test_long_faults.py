"""A process is killed, a node stands still: how long that is noticed, and no answer is wrong."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from proviso.rollout.deployed import deployed_release
from tests.cluster import truth
from tests.cluster.load import Load, Sent
from tests.cluster.long_faults import (
    Pod,
    api_answers,
    contradictions,
    kill,
    measured,
    outage,
    paused,
    restarts,
    scored_twice,
    tag_of,
)
from tests.cluster.place import Place, eventually, ready

pytestmark = [pytest.mark.cluster, pytest.mark.long]
AFTER_SECONDS = 5.0
"""What was under way at a kill, and what still went there until everybody knew."""
PAUSE_SECONDS = 20
BACK_SECONDS = 30.0


@pytest.mark.parametrize("component", ["transformer", "predictor"])
def test_a_killed_process_costs_what_it_was_working_on(
    at_rest: Place, component: str, tmp_path: Path
) -> None:
    """One of two, by kill -9. What it was scoring may fail; nothing fails afterwards."""
    deployed_name, tag = deployed_release(at_rest.stable).name, tag_of(f"kill-{component}")
    victim = at_rest.pods(deployed_name, component)[0]
    with Load(at_rest.gateway, at_rest.asked, tag, rate=50) as load:
        time.sleep(3)
        at = kill(victim, "kserve-container")
        back = eventually(
            "it is back", lambda: came_back(at_rest, deployed_name, component, victim)
        )
        time.sleep(AFTER_SECONDS)
    history = at_rest.copy("data") / "history"
    met = outage(load.sent, at)
    measured(f"kill -9 of one of two {component}s at 50/s: {met}; ready again in {back - at:.1f} s")
    assert not wrong_answers(at_rest, load.sent, history, tmp_path)
    assert met.ended < AFTER_SECONDS
    assert len(met.refused) < 0.01 * met.asked
    records = at_rest.records(tag)
    measured(f"... scored twice: {scored_twice(records)} of {met.asked}")
    assert not contradictions(records)


def came_back(place: Place, deployed_name: str, component: str, before: Pod) -> float | None:
    """When the pod was seen ready with a restart more."""
    name = before["metadata"]["name"]
    [pod] = [p for p in place.pods(deployed_name, component) if p["metadata"]["name"] == name]
    return time.monotonic() if restarts(pod) > restarts(before) and ready(pod) else None


def test_a_node_that_stands_still_answers_nothing_wrong(at_rest: Place, tmp_path: Path) -> None:
    tag = tag_of("paused")
    with Load(at_rest.gateway, at_rest.asked, tag, rate=12) as load:
        time.sleep(3)
        with paused() as stopped:
            time.sleep(PAUSE_SECONDS)
        resumed = time.monotonic()
        eventually("it answers", lambda: answered_since(load, resumed), BACK_SECONDS)
        eventually("the API server answers", api_answers, 60)
        time.sleep(AFTER_SECONDS)
    history = at_rest.copy("data") / "history"
    during = [one for one in load.sent if stopped < one.began < resumed]
    after = [one for one in load.sent if one.began >= resumed]
    assert all(not one.answer.answered or one.ended > resumed for one in during)
    met, first = outage(after, resumed), answered_since(load, resumed)
    assert first is not None
    waited = sum(one.answer.answered for one in during)
    measured(
        f"node paused for {resumed - stopped:.1f} s: {len(during) - waited} of {len(during)}"
        f" requests of the pause failed, {waited} waited; first answer to a later one"
        f" {first - resumed:.2f} s after it went on; since then {met}"
    )
    assert not wrong_answers(at_rest, load.sent, history, tmp_path)
    assert met.ended < BACK_SECONDS
    assert not contradictions(at_rest.records(tag))


def answered_since(load: Load, moment: float) -> float | None:
    """When the first request that began after a moment was answered."""
    ends = [s.ended for s in load.sent if s.began >= moment and s.answer.answered]
    return min(ends, default=None)


def wrong_answers(place: Place, sent: list[Sent], history: Path, work: Path) -> list[str]:
    """Answers that are not their offline rows; requests without an answer are left out."""
    served = [one for one in sent if one.answer.answered]
    assert len(served) > len(sent) // 4
    return truth.wrong(
        served, truth.offline(place.contract, place.stable, history, served, work / "offline")
    )
