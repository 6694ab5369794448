"""Mirrored traffic: known as shadow by where it lands, and never part of a client's answer."""

from __future__ import annotations

import pytest

from tests.cluster.load import batch, failed, releases
from tests.cluster.place import Place, eventually

pytestmark = pytest.mark.cluster
COUNT = 200
SLOW_SECONDS = 10
"""How long the slow shadow takes (bad_server)."""


def test_mirrored_requests_are_recorded_as_shadow(at_rest: Place, tag: str) -> None:
    before = at_rest.counted(at_rest.candidate, "shadow")
    at_rest.step("01-shadow")
    sent = batch(at_rest.gateway, at_rest.asked, COUNT, tag)
    assert not failed(sent)
    assert set(releases(sent)) == {at_rest.stable.id}
    shadow = eventually("a shadow record of each", lambda: of_traffic(at_rest, tag, "shadow"))
    assert {record["release"] for record in shadow} == {at_rest.candidate.id}
    served = of_traffic(at_rest, tag, "live")
    assert served is not None
    assert {record["release"] for record in served} == {at_rest.stable.id}
    assert at_rest.counted(at_rest.candidate, "shadow") >= before + COUNT


def of_traffic(place: Place, tag: str, traffic: str) -> list[dict[str, object]] | None:
    """The records of one kind of traffic, once there is one of every request."""
    found = [record for record in place.records(f"{tag}-") if record["traffic"] == traffic]
    return found if len({record["request_id"] for record in found}) == COUNT else None


def test_a_header_does_not_make_a_request_a_shadow(at_rest: Place) -> None:
    before = at_rest.counted(at_rest.stable, "shadow")
    reply = at_rest.ask(
        headers={"x-traffic": "shadow", "traffic": "shadow", "x-envoy-shadow": "true"}
    )
    assert reply.status_code == 200
    assert at_rest.counted(at_rest.stable, "shadow") == before


@pytest.mark.parametrize("how", ["down", "broken", "slow"])
def test_a_sick_candidate_never_changes_an_answer(at_rest: Place, how: str) -> None:
    at_rest.step("01-shadow")
    with at_rest.sick(at_rest.candidate, how):
        sent = batch(at_rest.gateway, at_rest.asked, COUNT, f"sick-{how}")
    assert not failed(sent), failed(sent)[:3]
    assert set(releases(sent)) == {at_rest.stable.id}
    slowest = max(one.answer.seconds for one in sent)
    assert slowest < SLOW_SECONDS, f"a client waited {slowest} s for a shadow"
