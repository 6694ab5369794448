"""Several real predictors: they stop, age and change places under load, and no call notices."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, closing, contextmanager
from pathlib import Path

import numpy as np
import pytest

from feature_runtime.core.release import Release, parse_release, read_release
from feature_runtime.serving.errors import ServingError
from feature_runtime.serving.predictor import PredictorPool
from proviso.local import triton
from proviso.local.processes import Stack
from proviso.local.triton import Triton
from tests.local.pod_stack import WEIGHTS, make_release
from tests.local.tcp_switch import Switch

SECOND = 1_000_000
ONE = np.zeros((1, len(WEIGHTS)), dtype=np.float32)
AGED = ("--grpc-max-connection-age=300", "--grpc-max-connection-age-grace=2000")


class Addresses:
    """A name behind which the test puts addresses (host:port)."""

    def __init__(self, *addresses: str) -> None:
        self._targets = frozenset(f"ipv4:{address}" for address in addresses)

    async def look_up(self) -> frozenset[str]:
        return self._targets


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The right release; its model says sigmoid(-1) to a vector of zeros."""
    return make_release(tmp_path_factory.mktemp("own") / "release")


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another one, whose model says sigmoid(5)."""
    return make_release(tmp_path_factory.mktemp("foreign") / "release", bias=5.0)


def release_of(directory: Path) -> Release:
    return parse_release(read_release(directory / "release.yml"))


@contextmanager
def serving(
    log: Path, *releases: Path, arguments: Sequence[str] = ()
) -> Iterator[tuple[Triton, ...]]:
    with Stack() as stack:
        found = [
            triton.configure(release, log / f"triton-{n}.log", arguments=arguments)
            for n, release in enumerate(releases)
        ]
        for one in found:
            stack.start(one.process, one.ready, 60)
        yield tuple(found)


@asynccontextmanager
async def pool(names: Addresses, release: Release) -> AsyncIterator[PredictorPool]:
    made = PredictorPool(names, release, SECOND)
    try:
        yield made
    finally:
        await made.close()


async def score(predictor: PredictorPool) -> float | str:
    """The probability, or the reason of its refusal."""
    try:
        return round(float((await predictor.infer(ONE))[0]), 4)
    except ServingError as refusal:
        return refusal.reason


async def asked_while(
    predictor: PredictorPool, what: Callable[[], Awaitable[None]]
) -> list[float | str]:
    """What eight clients were told while something happened."""
    done, seen = asyncio.Event(), list[float | str]()

    async def ask() -> None:
        while not done.is_set():
            seen.append(await score(predictor))
            await asyncio.sleep(0)  # a refusal needs no wait, and must not keep others from running

    clients = [asyncio.create_task(ask()) for _ in range(8)]
    await asyncio.sleep(0.3)
    await what()
    done.set()
    await asyncio.gather(*clients)
    return seen


RIGHT = round(float(1 / (1 + np.exp(1.0))), 4)


def test_a_predictor_that_stops_fails_no_call(own: Path, tmp_path: Path) -> None:
    with serving(tmp_path, own, own, arguments=("--exit-timeout-secs=5",)) as (first, second):

        async def stops() -> None:
            os.kill(first.process.pid, signal.SIGTERM)
            while first.process.running:
                await asyncio.sleep(0.05)
            await asyncio.sleep(1)

        async def asked() -> None:
            names = Addresses(first.grpc_address, second.grpc_address)
            async with pool(names, release_of(own)) as predictor:
                seen = await asked_while(predictor, stops)
                assert set(seen) == {RIGHT}
                assert len(seen) > 100

        asyncio.run(asked())


def test_connections_that_age_fail_no_call(own: Path, tmp_path: Path) -> None:
    with serving(tmp_path, own, arguments=AGED) as (only,):

        async def asked() -> None:
            async with pool(Addresses(only.grpc_address), release_of(own)) as predictor:
                seen = await asked_while(predictor, lambda: asyncio.sleep(3))
                assert set(seen) == {RIGHT}

        asyncio.run(asked())


def test_a_predictor_outlives_that_its_calls_are_given_up(own: Path, tmp_path: Path) -> None:
    """Triton crashes within seconds where such calls are cancelled (its issues 7472 and 8034)."""
    luck = random.Random(11)
    with serving(tmp_path, own) as (only,):

        async def impatient(predictor: PredictorPool) -> int:
            given_up = 0
            for _ in range(2_000):
                try:
                    async with asyncio.timeout(luck.uniform(0, 0.004)):
                        await score(predictor)
                except TimeoutError:
                    given_up += 1
            return given_up

        async def asked() -> None:
            async with pool(Addresses(only.grpc_address), release_of(own)) as predictor:
                assert await score(predictor) == RIGHT
                given_up = await asyncio.gather(*(impatient(predictor) for _ in range(16)))
                assert sum(given_up) > 1_000
                await answers_again(predictor)

        asyncio.run(asked())
        assert only.process.running
        assert not crashed(only)


async def answers_again(predictor: PredictorPool) -> None:
    end = time.monotonic() + 20
    while await score(predictor) != RIGHT:
        assert time.monotonic() < end
        await asyncio.sleep(0.05)


def crashed(server: Triton) -> bool:
    """Whether it took SIGSEGV; it may then hang instead of ending."""
    return b"Signal (11) received" in server.process.log.read_bytes()


def test_a_foreign_predictor_behind_the_same_name_never_answers(
    own: Path, foreign: Path, tmp_path: Path
) -> None:
    """Two addresses whose predictors change places sixty times, one of them of another release."""
    with ExitStack() as stack:
        right, wrong = stack.enter_context(serving(tmp_path, own, foreign))
        ports = (right.grpc_port, wrong.grpc_port)
        switches = [stack.enter_context(closing(Switch(port))) for port in ports]

        async def swaps() -> None:
            for flip in range(60):
                for switch, port in zip(switches, ports[:: -1 if flip % 2 else 1], strict=True):
                    await asyncio.to_thread(switch.to, port)
                await asyncio.sleep(0.02 + 0.003 * (flip % 11))

        async def asked() -> None:
            names = Addresses(*(switch.address for switch in switches))
            async with pool(names, release_of(own)) as predictor:
                assert await score(predictor) == RIGHT
                assert {await score(predictor) for _ in range(200)} == {RIGHT}
                seen = await asked_while(predictor, swaps)
                assert {one for one in seen if isinstance(one, float)} == {RIGHT}
                assert set(seen) <= {RIGHT, "identity", "predictor", "deadline"}
                await answers_again(predictor)

        asyncio.run(asked())
