"""What `Pod` holds for every request, with ports that need no process."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from feature_runtime.core.release import parse_release, read_release
from feature_runtime.serving.errors import ServingError
from feature_runtime.serving.metrics import Metrics
from feature_runtime.serving.outcome import Outcome
from feature_runtime.serving.pod import Pod
from feature_runtime.serving.record import FileSink, Recorder
from feature_runtime.serving.request import ScoringRequest
from feature_runtime.serving.scoring import Ports, Scorer, replay_clock
from tests.local.pod_stack import T, make_release


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
    scorer = Scorer(release, ports, Recorder(release, None), metrics)
    return Pod(release, scorer, ports, metrics, fault=None, max_in_flight=1)


def counted(pod: Pod, code: str, reason: str) -> float | None:
    labels = {"release": pod.release.id, "arm": "serve", "traffic": "live", "protocol": "v1"}
    return pod.metrics.registry.get_sample_value(
        "proviso_requests_total", {**labels, "code": code, "reason": reason}
    )


async def one() -> ScoringRequest:
    ids = {"customer": ["c"], "merchant": ["m"]}
    at = np.array([T], dtype=np.int64)
    return ScoringRequest("r", "live", ids, {"amount": np.ones(1)}, at)


def write(_: ScoringRequest, outcome: Outcome) -> list[str]:
    return list(outcome.decisions)


def test_a_fault_of_ours_is_counted_and_frees_its_place(pod: Pod) -> None:
    async def broken() -> ScoringRequest:
        raise ZeroDivisionError

    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            asyncio.run(pod.answer("v1", "live", broken, write))
    assert counted(pod, "500", "internal") == 3
    assert asyncio.run(pod.answer("v1", "live", one, write)) == ["MANUAL"]
    assert counted(pod, "200", "ok") == 1


def test_more_than_the_bound_is_shed(pod: Pod) -> None:
    async def both() -> None:
        waiting = asyncio.Event()

        async def slow() -> ScoringRequest:
            await waiting.wait()
            return await one()

        first = asyncio.create_task(pod.answer("v1", "live", slow, write))
        await asyncio.sleep(0)
        with pytest.raises(ServingError, match="found 1 requests in flight, wanted less than 1"):
            await pod.answer("v1", "live", one, write)
        waiting.set()
        assert await first == ["MANUAL"]

    asyncio.run(both())
    assert counted(pod, "429", "shed") == 1


def test_readiness_needs_the_warm_up_and_no_dependency(pod: Pod) -> None:
    assert not pod.ready
    pod.warm_up()
    assert pod.ready
