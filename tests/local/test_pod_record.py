"""An answer without its record must not exist: SIGKILL under load, and a record that fails."""

from __future__ import annotations

import json
import os
import resource
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from proviso.local.transformer import Transformer
from tests.local.pod_calls import tensors
from tests.local.pod_stack import START, PodStack, Rpc, predict_v1, records, rows

AT_ONCE = 5


def flood_rest(pod: Transformer, prefix: str) -> list[str]:
    """Requests until the pod is gone; ids of those that were answered."""
    answered = []
    with httpx.Client(timeout=5) as client:
        for n in range(1_000_000):
            named = f"{prefix}-{n}"
            body = {"instances": rows(("c1", "m1"), ("c1", "nobody"))}
            try:
                answer = client.post(
                    f"{pod.url}/v1/models/risk:predict", json=body, headers={"x-request-id": named}
                )
            except httpx.TransportError:
                break
            assert answer.status_code == 200
            answered.append(named)
    return answered


def answered_until_killed(pod: Transformer, rpc: Rpc, after: int) -> list[str]:
    """Load on both protocols; SIGKILL once `after` records are there."""

    def kill() -> None:
        while not pod.record.exists() or pod.record.read_bytes().count(b"\n") < after:
            pass
        os.killpg(pod.process.pid, signal.SIGKILL)

    killer = threading.Thread(target=kill)
    with ThreadPoolExecutor(3) as clients:
        rest = [clients.submit(flood_rest, pod, f"rest{n}") for n in range(2)]
        asked = tensors(rows(("c1", "m1")))
        grpc = clients.submit(
            rpc, "flood", pod.grpc_address, model="risk", tensors=asked, prefix="rpc", threads=2
        )
        killer.start()
        answered = [one for done in rest for one in done.result()]
        answered += grpc.result()["answered"]
    killer.join()
    return answered


def recorded(pod: Transformer) -> set[str]:
    """Request ids of the whole lines; a kill may tear the last one, never an earlier one."""
    lines = pod.record.read_bytes().split(b"\n")
    return {json.loads(line)["request_id"] for line in lines[:-1]}


def kill_rounds(stack: PodStack, name: str, rounds: int) -> None:
    for first in range(0, rounds, AT_ONCE):
        count = min(AT_ONCE, rounds - first)
        pods = [stack.start(f"{name}-{first + n}") for n in range(count)]
        try:
            for number, pod in enumerate(pods):
                pod.process.wait_ready(pod.ready, START)
                answered = answered_until_killed(pod, stack.rpc, 60 + 37 * number)
                assert len(answered) > 20
                assert set(answered) <= recorded(pod)
        finally:
            for pod in pods:
                pod.process.stop()


def test_no_answer_is_without_its_record_after_sigkill(pod_stack: PodStack) -> None:
    kill_rounds(pod_stack, "killed", 5)


@pytest.mark.long
def test_no_answer_is_without_its_record_after_twenty_sigkills(pod_stack: PodStack) -> None:
    kill_rounds(pod_stack, "killed-long", 20)


def test_a_record_that_cannot_be_written_is_no_answer(pod_stack: PodStack) -> None:
    with pod_stack.pod("full") as pod:
        assert predict_v1(pod, rows(("c1", "m1")), x_request_id="before").status_code == 200
        size = pod.record.stat().st_size
        # The kernel refuses to let the file grow, as a full disk would.
        _, hard = resource.prlimit(pod.process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(pod.process.pid, resource.RLIMIT_FSIZE, (size + 100, hard))
        answer = predict_v1(pod, rows(("c1", "m1")), x_request_id="torn")
        assert (answer.status_code, answer.json()["reason"]) == (503, "record")
        assert predict_v1(pod, rows(("c1", "m1"))).status_code == 503
        assert pod.ready()
        resource.prlimit(pod.process.pid, resource.RLIMIT_FSIZE, (hard, hard))
        assert predict_v1(pod, rows(("c1", "m1")), x_request_id="after").status_code == 200
        whole = [line for line in pod.record.read_text().splitlines() if line.endswith("}")]
        found = [json.loads(line)["request_id"] for line in whole]
    assert found == ["before", "after"]


def test_a_record_file_that_cannot_be_opened_keeps_the_pod_from_starting(
    pod_stack: PodStack, tmp_path: Path
) -> None:
    pod = pod_stack.start("nowhere", arguments=["--record", tmp_path / "none" / "r.jsonl"])
    try:
        while pod.process.running:
            pass
        assert pod.process.returncode == 2
    finally:
        pod.process.stop()


def test_records_of_one_request_are_whole_and_in_order(pod_stack: PodStack) -> None:
    pod = pod_stack.pods["replay"]
    asked = rows(*((f"r{n}", "m1") for n in range(64)))

    def ask(named: str) -> int:
        return predict_v1(pod, asked, x_request_id=named).status_code

    names = [f"whole-{n}" for n in range(8)]
    with ThreadPoolExecutor(4) as clients:
        assert set(clients.map(ask, names)) == {200}
    found = records(pod)
    for named in names:
        mine = [(n, r["index"]) for n, r in enumerate(found) if r["request_id"] == named]
        assert [index for _, index in mine] == list(range(64))
        assert mine[-1][0] - mine[0][0] == 63
