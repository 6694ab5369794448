"""Pods restart under load: no request fails; while the store is away its reason is stated."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.cluster import truth
from tests.cluster.load import Load, failed
from tests.cluster.place import NAMESPACE, Place, eventually, ready

pytestmark = pytest.mark.cluster
BACK_SECONDS = 15.0
"""From the store's readiness, whose own time is Kubernetes', to the last request without it."""


@pytest.mark.parametrize("component", ["transformer", "predictor"])
def test_a_rolling_restart_fails_no_request(at_rest: Place, component: str) -> None:
    with Load(at_rest.gateway, at_rest.asked, f"roll-{component}", rate=40) as load:
        at_rest.roll(component, at_rest.stable)
    assert len(load.sent) > 50
    assert not failed(load.sent), failed(load.sent)[:3]


def test_a_restart_of_the_store_gives_no_wrong_answer(at_rest: Place, tmp_path: Path) -> None:
    old = at_rest.get("pod", "store-0")["metadata"]["uid"]
    with Load(at_rest.gateway, at_rest.asked, tmp_path.name) as load:
        time.sleep(1)
        began = time.monotonic()
        at_rest.kubectl("-n", NAMESPACE, "delete", "pod", "store-0", "--wait=false")
        eventually("another store pod is ready", lambda: replaced(at_rest, old))
        back = time.monotonic()
        eventually("answers again", lambda: load.sent[-1].answer.answered)
        time.sleep(5)
    history = at_rest.copy("data") / "history"
    refused = failed(load.sent)
    served = [one for one in load.sent if one.answer.answered]
    cases = truth.offline(at_rest.contract, at_rest.stable, history, served, tmp_path)
    assert not truth.wrong(served, cases)
    last = max((one.ended for one in refused), default=began)
    print(
        f"{len(refused)} of {len(load.sent)} refused, for {last - began:.1f} s;"
        f" the store was away for {back - began:.1f} s"
    )
    assert last - back < BACK_SECONDS
    assert all("store" in (one.answer.error or "") for one in refused), refused[:3]


def replaced(place: Place, old: str) -> bool:
    found = [p for p in place.items("pods", "app=store") if p["metadata"]["uid"] != old]
    return bool(found) and all(ready(pod) for pod in found)
