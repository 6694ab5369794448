"""Mirrored traffic: known as shadow by where it lands, and never part of a client's answer."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cluster.load import batch, failed, releases
from tests.cluster.place import Place, eventually

pytestmark = pytest.mark.cluster
COUNT = 400


def test_mirrored_requests_are_recorded_as_shadow(at_rest: Place, tmp_path: Path) -> None:
    at_rest.step("01-shadow")
    sent = batch(at_rest.gateway, at_rest.asked, COUNT, tmp_path.name)
    assert not failed(sent)
    assert set(releases(sent)) == {at_rest.stable.id}
    asked = {one.question.request_id for one in sent}
    shadow = eventually("a shadow record of each", lambda: shadows(at_rest, asked), 30)
    assert {record["release"] for record in shadow} == {at_rest.candidate.id}
    served = [r for r in at_rest.records() if r["arm"] == "serve" and r["request_id"] in asked]
    assert {record["release"] for record in served} == {at_rest.stable.id}
    assert at_rest.counted(at_rest.candidate, "shadow") >= COUNT
    assert at_rest.counted(at_rest.candidate, "serve") == 0


def shadows(place: Place, asked: set[str]) -> list[dict[str, object]] | None:
    found = [r for r in place.records() if r["arm"] == "shadow" and r["request_id"] in asked]
    return found if len(found) == len(asked) else None


def test_a_header_does_not_make_a_request_a_shadow(at_rest: Place) -> None:
    at_rest.step("01-shadow")
    before = at_rest.counted(at_rest.stable, "shadow")
    batch(at_rest.gateway, at_rest.asked, 20, "shadow-header")
    assert at_rest.counted(at_rest.stable, "shadow") == before


@pytest.mark.parametrize("how", ["down", "broken", "slow"])
def test_a_sick_candidate_never_changes_an_answer(at_rest: Place, how: str) -> None:
    at_rest.step("01-shadow")
    with at_rest.sick(at_rest.candidate, how):
        sent = batch(at_rest.gateway, at_rest.asked, COUNT, f"sick-{how}", concurrency=8)
    assert not failed(sent), failed(sent)[:3]
    assert set(releases(sent)) == {at_rest.stable.id}
    slowest = max(one.answer.seconds for one in sent)
    assert slowest < 5, f"a client waited {slowest} s for a shadow"
