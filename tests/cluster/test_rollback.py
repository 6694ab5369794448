"""One apply takes the candidate back: no request fails, and its last answer comes soon."""

from __future__ import annotations

import time

import pytest

from tests.cluster.load import Load, failed
from tests.cluster.place import Place, eventually

pytestmark = pytest.mark.cluster
QUIET_SECONDS = 5.0


def test_rollback_in_one_apply_under_load(at_rest: Place) -> None:
    at_rest.step("04-canary-50")
    with Load(at_rest.gateway, at_rest.asked, "rollback") as load:
        eventually("both releases answer", lambda: both(at_rest, load))
        time.sleep(2)
        applied = at_rest.apply(at_rest.rollout("rollback"))
        eventually("the candidate answers no more", lambda: quiet(at_rest, load, applied))
    assert not failed(load.sent), failed(load.sent)[:3]
    bad = [one.began for one in load.sent if one.answer.release == at_rest.candidate.id]
    print(f"last answer of the candidate {max(bad) - applied:.2f} s after the apply")


def quiet(place: Place, load: Load, applied: float) -> bool:
    """Whether the stable release alone has answered for a while since the rollback was applied."""
    since = max(applied, time.monotonic() - QUIET_SECONDS)
    if since == applied:
        return False
    recent = [one for one in list(load.sent) if one.began > since]
    return bool(recent) and {one.answer.release for one in recent} == {place.stable.id}


def both(place: Place, load: Load) -> bool:
    return {one.answer.release for one in load.sent} >= {place.stable.id, place.candidate.id}


def test_without_a_stable_release_the_rollback_takes_the_route_away(at_rest: Place) -> None:
    at_rest.apply(at_rest.rollout("rollback", at_rest.stable))
    reply = eventually("the route is closed", at_rest.refusal)
    assert reply.status_code == 503
    assert reply.json()["reason"] == "withdrawn"
