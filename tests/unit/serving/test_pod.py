"""What `Pod` holds for every request, with ports that need no process."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import orjson
import pytest
from numpy.typing import NDArray

from feature_runtime.core.release import parse_release, read_release
from feature_runtime.serving.codecs.v1 import V1Codec
from feature_runtime.serving.codecs.values import HttpMessage, HttpReply
from feature_runtime.serving.errors import ServingError
from feature_runtime.serving.metrics import Metrics
from feature_runtime.serving.pod import Pod
from feature_runtime.serving.record import Recorder
from feature_runtime.serving.scoring import Ports, Scorer, replay_clock
from feature_runtime.serving.sinks import FileSink
from tests.local.pod_stack import make_release, rows


class NoRows:
    """A store without any key."""

    async def read(self, keys: Sequence[bytes]) -> Sequence[bytes | None]:
        return [None] * len(keys)

    async def check(self) -> None: ...

    async def close(self) -> None: ...


class Even:
    """A predictor that knows nothing."""

    async def infer(self, vector: NDArray[np.float32]) -> NDArray[np.float64]:
        return np.full(len(vector), 0.5)

    async def check(self) -> None: ...

    async def close(self) -> None: ...


@pytest.fixture
def pod(tmp_path: Path) -> Pod:
    directory = make_release(tmp_path / "release")
    release = parse_release(read_release(directory / "release.yml"))
    ports = Ports(replay_clock, NoRows(), Even(), FileSink(tmp_path / "record.jsonl"))
    metrics = Metrics(release)
    scorer = Scorer(release, ports, Recorder(release, None, "pod"), metrics)
    return Pod(release, scorer, ports, metrics, fault=None, max_in_flight=1)


def counted(pod: Pod, code: str, reason: str) -> float | None:
    labels = {"release": pod.release.id, "arm": "serve", "traffic": "live", "protocol": "v1"}
    return pod.metrics.registry.get_sample_value(
        "proviso_requests_total", {**labels, "code": code, "reason": reason}
    )


class Instances:
    """A source: V1 instances that arrive at once, later, or not at all."""

    given = "r"

    def __init__(self, after: asyncio.Event | None = None, *, broken: bool = False) -> None:
        self._after = after
        self._broken = broken

    async def read(self) -> HttpMessage:
        if self._broken:
            raise ZeroDivisionError
        if self._after is not None:
            await self._after.wait()
        return HttpMessage(orjson.dumps({"instances": rows(("c", "m"))}), "r")


def infer(pod: Pod, source: Instances) -> HttpReply:
    return asyncio.run(pod.infer(V1Codec(pod.inputs, "live"), source, "live"))


def decisions(reply: HttpReply) -> list[str]:
    return [row["decision"] for row in orjson.loads(reply.body)["predictions"]]


def test_a_fault_of_ours_is_counted_and_frees_its_place(pod: Pod) -> None:
    for _ in range(3):
        with pytest.raises(ServingError) as refused:
            infer(pod, Instances(broken=True))
        error = refused.value
        assert (error.status.http, error.code, error.request_id) == (500, "internal_error", "r")
    assert counted(pod, "500", "internal") == 3
    assert decisions(infer(pod, Instances())) == ["MANUAL"]
    assert counted(pod, "200", "ok") == 1


def test_more_than_the_bound_is_shed(pod: Pod) -> None:
    codec = V1Codec(pod.inputs, "live")

    async def both() -> None:
        waiting = asyncio.Event()
        first = asyncio.create_task(pod.infer(codec, Instances(waiting), "live"))
        await asyncio.sleep(0)
        with pytest.raises(ServingError) as refused:
            await pod.infer(codec, Instances(), "live")
        error = refused.value
        assert (error.code, error.found) == ("too_many_requests", "1 requests in flight")
        waiting.set()
        assert decisions(await first) == ["MANUAL"]

    asyncio.run(both())
    assert counted(pod, "429", "shed") == 1


def test_a_message_that_never_ends_is_a_timeout_of_the_request(pod: Pod) -> None:
    pod._deadline = 10_000  # noqa: SLF001  # microseconds

    async def wait() -> None:
        await pod.infer(V1Codec(pod.inputs, "live"), Instances(asyncio.Event()), "live")

    with pytest.raises(ServingError) as refused:
        asyncio.run(wait())
    error = refused.value
    assert (error.status.http, error.code) == (408, "request_timeout")
    assert (error.body("r")["found"], error.request_id) == (error.message, "r")
    assert counted(pod, "408", "slow_request") == 1


def test_a_call_that_is_given_up_has_a_status_of_its_own(pod: Pod) -> None:
    async def give_up() -> None:
        calls = [
            asyncio.create_task(
                pod.infer(V1Codec(pod.inputs, "live"), Instances(asyncio.Event()), "live")
            )
            for _ in range(2)
        ]
        await asyncio.sleep(0)
        calls[0].cancel()
        results = await asyncio.gather(calls[0], return_exceptions=True)
        assert isinstance(results[0], asyncio.CancelledError)
        with pytest.raises(ServingError):
            await calls[1]  # shed: its place was taken when it came

    asyncio.run(give_up())
    assert counted(pod, "499", "cancelled") == 1
    assert decisions(infer(pod, Instances())) == ["MANUAL"], "its place is free again"


def test_readiness_needs_the_warm_up_and_no_dependency(pod: Pod) -> None:
    assert not pod.ready
    pod.warm_up()
    assert pod.ready
