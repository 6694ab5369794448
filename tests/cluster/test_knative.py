"""Canary and rollback in mode knative, for real: shares, pairs, KServe's traps (docs/knative.md).

The tests build on one another's cluster, not on one another's state: each begins with the stable
release alone. What each saw is printed; `pytest -s` shows it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from proviso.clients import endpoint as clients
from proviso.release.directory import Release
from tests.cluster import truth
from tests.cluster.load import Load, Sent, batch, failed
from tests.cluster.place import eventually
from tests.cluster.revised import Revised, alone, by_version, deployed

pytestmark = [pytest.mark.cluster, pytest.mark.long, pytest.mark.timeout(1800)]
REQUESTS = 1_200
ROLLBACK_SECONDS = 10.0
STEPS = (("01-canary-5", 5), ("02-canary-25", 25), ("03-canary-50", 50), ("04-canary-100", 100))


@pytest.fixture(scope="module")
def revised(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Revised]:
    """2.5.0 without traffic over 2.4.0, on the cluster of mode knative; the other one rests."""
    with alone():
        yield deployed(tmp_path_factory.mktemp("revised"))


@pytest.fixture(scope="module")
def third(revised: Revised) -> Release:
    return revised.third()


@pytest.fixture
def at_rest(revised: Revised) -> Iterator[Revised]:
    """The stable release alone has the traffic, before and after."""
    revised.back()
    yield revised
    revised.back()


@pytest.mark.parametrize(("step", "percent"), STEPS)
def test_a_step_gives_the_candidate_its_share(at_rest: Revised, step: str, percent: int) -> None:
    at_rest.step(step)
    rest = {"_2_4_0": 100 - percent} if percent < 100 else {}
    at_rest.await_shares(_2_5_0=percent, **rest)
    eventually("the candidate answers", lambda: "2.5.0" in seen(at_rest, step), 60)
    sent = batch(at_rest.gateway, at_rest.asked, REQUESTS, f"kn-{step}", concurrency=8)
    answers = by_version(sent, at_rest.stable, at_rest.candidate)
    print(f"\n{step}: {answers} of {REQUESTS}")
    assert not failed(sent), failed(sent)[:3]
    assert truth.share_is_plausible(answers.get("2.5.0", 0), REQUESTS, percent), answers
    records = at_rest.records(f"kn-{step}-")
    assert len(records) == REQUESTS
    assert not truth.mixed(records, (at_rest.stable, at_rest.candidate))


def seen(place: Revised, tag: str, count: int = 60) -> dict[str, int]:
    """Which releases answer now."""
    sent = batch(place.gateway, place.asked, count, f"seen-{tag}-{time.monotonic_ns()}")
    return by_version(sent, place.stable, place.candidate)


def test_a_candidate_without_a_share_keeps_its_pod(at_rest: Revised) -> None:
    """... so that its first share meets a warm one."""
    time.sleep(90)
    pods = at_rest.pods(at_rest.candidate)
    print(f"\nat 0% after 90 s: {len(pods)} pods")
    assert pods


@pytest.mark.parametrize("before", ["03-canary-50", "04-canary-100"])
def test_rollback_in_one_apply_under_load(at_rest: Revised, before: str) -> None:
    at_rest.step(before)
    eventually("the candidate answers", lambda: "2.5.0" in seen(at_rest, before), 60)
    with Load(at_rest.gateway, at_rest.asked, f"kn-rollback-{before}", rate=30) as load:
        time.sleep(3)
        applied = at_rest.step("rollback")
        time.sleep(2 * ROLLBACK_SECONDS)
    bad = [one.ended for one in load.sent if one.answer.release == at_rest.candidate.id]
    print(
        f"\nfrom {before}: last answer of the candidate {max(bad) - applied:.2f} s after the apply"
    )
    assert not failed(load.sent), failed(load.sent)[:3]
    assert max(bad) < applied + ROLLBACK_SECONDS
    assert at_rest.shares() == {"2.4.0": 100}


def test_after_a_rollback_a_step_without_its_release_wakes_the_rolled_back_one(
    at_rest: Revised, third: Release
) -> None:
    """KServe's issue 2130: until the new revision is ready, its share goes to the newest that is.
    Applying the release first, at 0%, keeps it shut.
    """
    at_rest.step("02-canary-25")
    at_rest.await_shares(_2_5_0=25, _2_4_0=75)
    at_rest.step("rollback")
    at_rest.await_shares(_2_4_0=100)
    wrong = answers_while_it_starts(at_rest, third, lambda: at_rest.step("02-canary-25", third))
    print(f"\nstep first: {wrong}")
    assert wrong.get("2.5.0", 0) > 0


def test_after_a_rollback_the_release_first_gives_the_rolled_back_one_nothing(
    at_rest: Revised, third: Release
) -> None:
    at_rest.step("02-canary-25")
    at_rest.await_shares(_2_5_0=25, _2_4_0=75)
    at_rest.step("rollback")
    at_rest.await_shares(_2_4_0=100)
    right = answers_while_it_starts(at_rest, third, lambda: at_rest.bring(third))
    print(f"\nrelease first: {right}")
    assert set(right) == {"2.4.0"}
    at_rest.step("02-canary-25", third)
    at_rest.await_shares(_2_6_0=25, _2_4_0=75)
    assert set(by_version(answers(at_rest), at_rest.stable, third)) == {"2.4.0", "2.6.0"}


def answers(place: Revised) -> list[Sent]:
    return batch(place.gateway, place.asked, 200, f"after-{time.monotonic_ns()}")


def answers_while_it_starts(
    place: Revised, third: Release, act: Callable[[], object]
) -> dict[str, int]:
    """Which releases answered from before a release was applied until it was ready."""
    with Load(place.gateway, place.asked, f"kn-{time.monotonic_ns()}", rate=20) as load:
        act()
        place.await_ready(third)
        time.sleep(2)
    assert not failed(load.sent), failed(load.sent)[:3]
    return by_version(load.sent, place.stable, place.candidate, third)


def test_a_new_candidate_over_a_promoted_release_takes_nothing_from_it(
    at_rest: Revised, third: Release
) -> None:
    at_rest.step("05-promote")
    at_rest.await_shares(_2_5_0=100)
    answers = answers_while_it_starts(at_rest, third, lambda: at_rest.bring(third))
    print(f"\nover a promoted release: {answers}")
    assert set(answers) == {"2.5.0"}


def test_the_first_request_after_scaling_to_zero_is_answered_rightly(
    at_rest: Revised, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(clients, "TIMEOUT_SECONDS", 60.0)
    at_rest.kubectl("apply", "-k", at_rest.without_idle_pods(at_rest.stable))
    at_rest.await_ready(at_rest.stable)
    began = time.monotonic()
    eventually("no pod", lambda: not at_rest.pods(at_rest.stable), 300)
    idle = time.monotonic() - began
    sent = batch(at_rest.gateway, at_rest.asked, 20, tmp_path.name, concurrency=1)
    cold, warm = sent[0].answer, sorted(one.answer.seconds for one in sent[1:])
    print(f"\nno pod after {idle:.0f} s; first answer after {cold.seconds:.1f} s: {cold}")
    print(f"the next: median {warm[len(warm) // 2] * 1e3:.1f} ms")
    assert not failed(sent), failed(sent)[:3]
    cases = truth.offline(
        at_rest.contract, at_rest.stable, at_rest.copy() / "history", sent, tmp_path
    )
    assert not truth.wrong(sent, cases)
