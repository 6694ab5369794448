"""Store and predictor down, slow, back again: stated errors, steady readiness, true gauges."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from proviso.local import triton, valkey
from proviso.local.processes import Process, Stack
from proviso.local.transformer import Transformer
from tests.local.pod_calls import grpc_inputs, metric, until
from tests.local.pod_stack import (
    RISK,
    VELOCITY,
    PodStack,
    make_release,
    predict_v1,
    predict_v2,
    records,
    release_id,
    rows,
    v2_body,
)
from tests.local.tcp_switch import Switch

GOOD = rows(("c1", "m1"))


@dataclass(frozen=True)
class Foreign:
    """A running predictor of another release: its id and its gRPC port."""

    id: str
    port: int


@contextmanager
def frozen(process: Process) -> Iterator[None]:
    """A process group that exists and does nothing."""
    os.killpg(process.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.killpg(process.pid, signal.SIGCONT)


def asks(stack: PodStack, pod: Transformer) -> list[Callable[[], tuple[str, str]]]:
    """A right request in each of the three protocols, for its (code, reason)."""

    def http(answer: httpx.Response) -> tuple[str, str]:
        assert "Retry-After" in answer.headers
        return str(answer.status_code), answer.json().get("reason", "")

    def grpc() -> tuple[str, str]:
        rpc = stack.rpc("raw", pod.grpc_address, model="risk", inputs=grpc_inputs())
        return rpc["code"], rpc["trailing"].get("x-reason", "")

    return [
        lambda: http(predict_v1(pod, GOOD)),
        lambda: http(predict_v2(pod, v2_body(GOOD))),
        grpc,
    ]


def refused(stack: PodStack, pod: Transformer) -> list[tuple[str, str]]:
    """(code, reason) of the three protocols for a right request."""
    return [ask() for ask in asks(stack, pod)]


def answers(pod: Transformer) -> bool:
    return predict_v1(pod, GOOD).status_code == 200


@pytest.mark.parametrize("dependency", ["store", "predictor"])
def test_a_slow_dependency_ends_at_the_deadline_and_recovers(
    pod_stack: PodStack, dependency: str
) -> None:
    pod = pod_stack.pods["replay"]
    process = pod_stack.valkey.process if dependency == "store" else pod_stack.triton.process
    before, found = len(records(pod)), list[tuple[str, str]]()
    for ask in asks(pod_stack, pod):
        # One at a time: who is silent for longer has no connection, which is another reason.
        with frozen(process):
            found.append(ask())
            assert pod.ready()
            assert metric(pod, f'proviso_dependency_up{{dependency="{dependency}"}}') == 0
            assert len(records(pod)) == before
        until(lambda: answers(pod))
        before = len(records(pod))
    assert found == [
        ("504", "deadline"), ("504", "deadline"), ("StatusCode.DEADLINE_EXCEEDED", "deadline"),
    ]  # fmt: skip
    assert metric(pod, f'proviso_dependency_up{{dependency="{dependency}"}}') == 1
    # Answers that came too late must not be taken for those of later requests.
    pairs = [("c1", "m1"), ("old", "m1"), ("new", "m1")] * 5
    status = [predict_v1(pod, rows(p)).json()["predictions"][0]["status"] for p in pairs]
    seen = [s["features"][f"{VELOCITY}:count"] for s in status]
    assert seen == ["OK", "STALE", "MISSING_KEY"] * 5


def test_a_store_that_is_down_is_503_and_comes_back(pod_stack: PodStack, tmp_path: Path) -> None:
    store = valkey.configure(tmp_path / "valkey")
    arguments = ["--store", store.url, "--store-password-file", store.password_file]
    with pod_stack.pod("no-store", arguments=arguments) as pod:
        assert pod.ready()
        found = refused(pod_stack, pod)
        assert [code for code, _ in found] == ["503", "503", "StatusCode.UNAVAILABLE"]
        assert {reason for _, reason in found} == {"store"}
        store.process.start()
        try:
            until(lambda: answers(pod) or predict_v1(pod, GOOD).status_code == 200)
            rejected = predict_v1(pod, GOOD).json()["predictions"][0]
            assert rejected["status"]["features"][f"{RISK}:share"] == "MISSING_KEY"
        finally:
            store.process.stop()
        until(lambda: predict_v1(pod, GOOD).status_code == 503)
        assert pod.ready()


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Foreign]:
    """A predictor of another release, whose answers differ."""
    directory = tmp_path_factory.mktemp("foreign")
    release = make_release(directory / "release", bias=5.0)
    with Stack() as running:
        predictor = triton.configure(release, directory / "triton.log")
        running.start(predictor.process, predictor.ready)
        yield Foreign(release_id(release), predictor.grpc_port)


def test_a_predictor_down_or_of_another_release_is_503_and_says_why(
    pod_stack: PodStack, foreign: Foreign
) -> None:
    own, switch = pod_stack.triton.grpc_port, Switch(None)
    with closing(switch), pod_stack.pod("switched", predictor=switch.address) as pod:
        assert {reason for _, reason in refused(pod_stack, pod)} == {"predictor"}
        assert pod.ready()
        switch.to(own)
        until(lambda: answers(pod))
        switch.to(None)
        assert {reason for _, reason in refused(pod_stack, pod)} == {"predictor"}
        assert metric(pod, 'proviso_dependency_up{dependency="predictor"}') == 0
        switch.to(foreign.port)
        until(lambda: predict_v1(pod, GOOD).json().get("reason") == "identity")
        assert refused(pod_stack, pod) == [
            ("503", "identity"), ("503", "identity"), ("StatusCode.UNAVAILABLE", "identity"),
        ]  # fmt: skip
        wanted = f"found predictor of {foreign.id}, wanted predictor of"
        assert wanted in predict_v1(pod, GOOD).json()["error"]
        assert pod.ready()
        switch.to(own)
        until(lambda: answers(pod))


def test_no_answer_ever_comes_from_another_releases_predictor(
    pod_stack: PodStack, foreign: Foreign
) -> None:
    """The race between check and call: predictors change places under load, many times."""
    own, switch = pod_stack.triton.grpc_port, Switch(pod_stack.triton.grpc_port)
    right = predict_v1(pod_stack.pods["replay"], GOOD).json()["predictions"][0]["probability"]
    with closing(switch), pod_stack.pod("raced", predictor=switch.address) as pod:
        until(lambda: answers(pod))
        done, seen = threading.Event(), list[Any]()

        def ask() -> None:
            with httpx.Client(timeout=60) as client:
                while not done.is_set():
                    url = f"{pod.url}/v1/models/risk:predict"
                    answer = client.post(url, json={"instances": GOOD}).json()
                    found = answer.get("predictions", [{"probability": answer.get("reason")}])
                    seen.append(found[0]["probability"])

        clients = [threading.Thread(target=ask) for _ in range(4)]
        for client in clients:
            client.start()
        for flip in range(60):
            switch.to(foreign.port if flip % 2 else own)
            time.sleep(0.02 + 0.003 * (flip % 11))
        switch.to(own)
        until(lambda: seen[-1] == right, 60)
        done.set()
        for client in clients:
            client.join()
        assert {found for found in seen if isinstance(found, float)} == {right}
        assert "identity" in seen
        assert set(seen) <= {right, "identity", "predictor", "deadline"}
