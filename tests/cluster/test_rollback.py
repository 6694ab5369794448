"""One apply takes the candidate back: no request fails, and its last answer comes soon."""

from __future__ import annotations

import time

import pytest

from tests.cluster.load import Load, failed
from tests.cluster.place import Place, eventually

pytestmark = pytest.mark.cluster
PROMISED_SECONDS = 2.0


def test_rollback_in_one_apply_under_load(at_rest: Place) -> None:
    at_rest.step("04-canary-50")
    with Load(at_rest.gateway, at_rest.asked, "rollback", rate=100) as load:
        eventually("both releases answer", lambda: both(at_rest, load))
        time.sleep(2)
        applied = at_rest.apply(at_rest.rollout("rollback"))
        time.sleep(3 * PROMISED_SECONDS)
    assert not failed(load.sent), failed(load.sent)[:3]
    bad = [one.began for one in load.sent if one.answer.release == at_rest.candidate.id]
    after = [one for one in load.sent if one.began > applied + PROMISED_SECONDS]
    print(f"last answer of the candidate {max(bad) - applied:.2f} s after the apply")
    assert after
    assert max(bad) < applied + PROMISED_SECONDS


def both(place: Place, load: Load) -> bool:
    return {one.answer.release for one in load.sent} >= {place.stable.id, place.candidate.id}


def test_without_a_stable_release_the_rollback_takes_the_route_away(at_rest: Place) -> None:
    at_rest.apply(at_rest.rollout("rollback", at_rest.stable))
    reply = eventually("the route is closed", at_rest.refusal)
    assert reply.status_code == 503
    assert reply.json()["reason"] == "withdrawn"
