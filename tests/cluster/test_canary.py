"""Each committed step by plain kubectl: the shares that it states, one pair an answer, one URL."""

from __future__ import annotations

import pytest

from tests.cluster import truth
from tests.cluster.load import Load, batch, failed, releases
from tests.cluster.place import CONTEXT as KUBE_CONTEXT
from tests.cluster.place import Place, attempt, eventually

pytestmark = pytest.mark.cluster
REQUESTS = 1_600
"""Half over REST, half over gRPC: 800 tell 5 % from 10 %, 25 % from 35 %, 50 % from 60 %."""
WHOLE = 400
"""Where all have to be of one release."""


STEPS = (
    ("02-canary-5", 5),
    ("03-canary-25", 25),
    ("04-canary-50", 50),
    ("05-canary-100", 100),
    ("06-promote", 100),
)


@pytest.mark.parametrize(("step", "percent"), STEPS)
def test_a_step_gives_the_candidate_its_share(at_rest: Place, step: str, percent: int) -> None:
    at_rest.step(step)
    eventually(f"the candidate at {percent} %", lambda: seen(at_rest, step))
    count = WHOLE if percent == 100 else REQUESTS
    sent = batch(at_rest.gateway, at_rest.asked, count, f"share-{step}")
    assert not failed(sent), failed(sent)[:3]
    for protocol in ("rest", "grpc"):
        own = [one for one in sent if one.answer.protocol == protocol]
        by_release = releases(own)
        assert set(by_release) <= {at_rest.stable.id, at_rest.candidate.id}
        hits = by_release[at_rest.candidate.id]
        assert truth.share_is_plausible(hits, len(own), percent), (protocol, by_release)


def seen(place: Place, tag: str) -> bool:
    """Whether the candidate answers, and nothing of the step before it is left."""
    sent = batch(place.gateway, place.asked, 60, f"seen-{tag}")
    return place.candidate.id in releases(sent)


def test_transformer_and_model_of_an_answer_are_one_release_while_pods_roll(
    at_rest: Place, tag: str
) -> None:
    at_rest.step("04-canary-50")
    with Load(at_rest.gateway, at_rest.asked, tag) as load:
        for component in ("transformer", "predictor"):
            at_rest.roll(component, at_rest.stable, at_rest.candidate)
    assert not failed(load.sent), failed(load.sent)[:3]
    assert set(releases(load.sent)) == {at_rest.stable.id, at_rest.candidate.id}
    records = at_rest.records(tag)
    assert len(records) >= len(load.sent)
    assert not truth.mixed(records, (at_rest.stable, at_rest.candidate))


def test_a_candidate_without_ready_pods_gets_no_weight(at_rest: Place) -> None:
    with at_rest.unready(at_rest.candidate):
        path = at_rest.rollout("02-canary-5")
        done = attempt("kubectl", "--context", KUBE_CONTEXT, "apply", "-f", path)
        assert done.returncode != 0
        assert "has no ready pod" in done.stderr
        sent = batch(at_rest.gateway, at_rest.asked, 200, "refused")
    assert set(releases(sent)) == {at_rest.stable.id}
