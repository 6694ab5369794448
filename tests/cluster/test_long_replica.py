"""The store's primary dies under load: its replica takes over within seconds, with every answer."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cluster import truth
from tests.cluster.jobs import append_now
from tests.cluster.load import Load
from tests.cluster.long_faults import Pod, kill, measured, outage, tag_of
from tests.cluster.long_replica import Pair, replicated
from tests.cluster.place import CONTEXT, NAMESPACE, Place, eventually, run

pytestmark = [pytest.mark.cluster, pytest.mark.long]
BACK_SECONDS = 3.0
"""For how long requests are sent in vain: from the first that fails to the last."""
AGAIN_SECONDS = 13.0
"""Sentinel moves the same primary again only after twice its failover-timeout."""


@pytest.fixture(scope="module")
def pair(place: Place) -> Iterator[Pair]:
    began = time.monotonic()
    with replicated(place) as found:
        measured(f"replica and Sentinels up in {time.monotonic() - began:.0f} s")
        yield found
    place.back()


def killed(primary: Pod) -> float:
    return kill(primary, "store")


def deleted(primary: Pod) -> float:
    at = time.monotonic()
    name = primary["metadata"]["name"]
    run("kubectl", "--context", CONTEXT, "-n", NAMESPACE, "delete", "pod", name, "--wait=false")
    return at


@pytest.mark.parametrize("again", range(2))
@pytest.mark.parametrize("how", [killed, deleted], ids=lambda how: how.__name__)
def test_the_replica_takes_over(
    pair: Pair, how: Callable[[Pod], float], again: int, tmp_path: Path
) -> None:
    place, tag = pair.place, tag_of(f"primary-{how.__name__}-{again}")
    pair.await_whole()
    time.sleep(AGAIN_SECONDS)
    primary = pair.primary()
    with Load(place.gateway, place.asked, tag, rate=40) as load:
        time.sleep(3)
        at = how(primary)
        eventually("the other is primary", lambda: is_other(pair.primary(), primary), 30)
        eventually("answers", lambda: load.sent[-1].answer.answered, 30)
        time.sleep(8)
    history = place.copy("data") / "history"
    met = outage(load.sent, at)
    measured(f"primary {how.__name__} at 40/s: {met}")
    served = [one for one in load.sent if one.answer.answered]
    cases = truth.offline(place.contract, place.stable, history, served, tmp_path)
    assert not truth.wrong(served, cases)
    assert all("store" in (one.answer.error or "") for one in met.refused), met.refused[:3]
    assert met.seconds < BACK_SECONDS


def is_other(pod: Pod, before: Pod) -> bool:
    return bool(pod["metadata"]["name"] != before["metadata"]["name"])


def test_jobs_write_to_the_new_primary(pair: Pair) -> None:
    """The replica is no copy that serves only: a run of `append` ends well, and is read."""
    append_now(pair.place)
