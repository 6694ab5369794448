"""Several predictors behind one name, as servers of this process: who is asked, who never is."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import numpy as np
import pytest
from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb

from feature_runtime.core.identity import ID_PARAMETER
from feature_runtime.core.release import Release, parse_release, read_release
from feature_runtime.serving import triton_config
from feature_runtime.serving.addresses import AddressError, Name, parse_predictor
from feature_runtime.serving.errors import ServingError
from feature_runtime.serving.predictor import PredictorPool
from tests.local.pod_stack import make_release

SECOND = 1_000_000
ONE = np.zeros((1, 6), dtype=np.float32)
AGED = (("grpc.max_connection_age_ms", 60), ("grpc.max_connection_age_grace_ms", 1_000))


@dataclass
class Fake:
    """A predictor that says which release it is of, and answers with its own score."""

    release: str
    score: float
    target: str = ""
    calls: int = 0
    stopping: bool = False
    slow: float = 0.0
    first_waits_for: asyncio.Event | None = None
    checks: int = 0
    checks_wait_for: asyncio.Event | None = None
    server: Any = field(default=None, repr=False)

    async def infer(self, request: Any, context: Any) -> Any:
        self.calls += 1
        if self.stopping:
            await context.abort(grpc.StatusCode.NOT_FOUND, "no available versions")
        if self.first_waits_for is not None and self.calls == 1:
            await self.first_waits_for.wait()
        await asyncio.sleep(self.slow)
        rows = int(request.inputs[0].shape[0])
        response = pb.ModelInferResponse(model_name=request.model_name)
        response.outputs.add(name="probabilities", datatype="FP32", shape=[rows, 2])
        scores = np.array([[1 - self.score, self.score]] * rows, dtype="<f4")
        response.raw_output_contents.append(scores.tobytes())
        return response

    async def config(self, _: bytes, context: Any) -> bytes:
        if self.stopping:
            await context.abort(grpc.StatusCode.NOT_FOUND, "no available versions")
        self.checks, found = self.checks + 1, self.release
        if self.checks_wait_for is not None:
            await self.checks_wait_for.wait()
        return config_of(found)

    async def start(self, target: str = "127.0.0.1:0", options: Any = ()) -> Fake:
        self.server = grpc.aio.server(options=(*options, ("grpc.so_reuseport", 0)))
        methods = {
            "ModelInfer": grpc.unary_unary_rpc_method_handler(
                self.infer, pb.ModelInferRequest.FromString, pb.ModelInferResponse.SerializeToString
            ),
            "ModelConfig": grpc.unary_unary_rpc_method_handler(self.config),
        }
        service = triton_config.METHOD.split("/")[1]
        self.server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler(service, methods),)
        )
        port = self.server.add_insecure_port(target)
        self.target = target if target.startswith("unix") else f"ipv4:127.0.0.1:{port}"
        await self.server.start()
        return self

    async def stop(self) -> None:
        await self.server.stop(None)


def config_of(release: str) -> bytes:
    """A ModelConfigResponse: field 1 config, in it 14 parameters, key 1, value 2, string 1."""

    def message(number: int, content: bytes) -> bytes:
        return bytes([number << 3 | 2, len(content)]) + content

    value = message(2, message(1, release.encode()))
    return message(1, message(14, message(1, ID_PARAMETER.encode()) + value))


class Names:
    """A name behind which the test puts predictors; without any it does not resolve."""

    def __init__(self, *fakes: Fake) -> None:
        self.fakes = fakes
        self.looks = 0

    async def look_up(self) -> frozenset[str]:
        self.looks += 1
        if not self.fakes:
            raise OSError("no such name")
        return frozenset(fake.target for fake in self.fakes)


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Release:
    directory = make_release(tmp_path_factory.mktemp("pool") / "release")
    return parse_release(read_release(directory / "release.yml"))


@asynccontextmanager
async def running(*fakes: Fake, options: Any = ()) -> AsyncIterator[None]:
    async with AsyncExitStack() as stack:
        for fake in fakes:
            await fake.start(options=options)
            stack.push_async_callback(fake.stop)
        yield


@asynccontextmanager
async def pool(
    place: str | Names, release: Release, timeout: int = SECOND
) -> AsyncIterator[PredictorPool]:
    made = PredictorPool(place, release, timeout)
    try:
        yield made
    finally:
        await made.close()


async def scores(predictor: PredictorPool, count: int) -> list[float]:
    found = [await predictor.infer(ONE) for _ in range(count)]
    return [round(float(one[0]), 3) for one in found]


async def until(condition: Callable[[], Awaitable[bool]], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not await condition():
        assert time.monotonic() < end, "it did not come"
        await asyncio.sleep(0.02)


def at_least(wanted: int, count: Callable[[], int]) -> Callable[[], Awaitable[bool]]:
    async def enough() -> bool:
        return count() >= wanted

    return enough


def test_what_names_a_predictor() -> None:
    assert parse_predictor("127.0.0.1:8001") == "ipv4:127.0.0.1:8001"
    assert parse_predictor("[::1]:8001") == "ipv6:[::1]:8001"
    assert parse_predictor("unix:///run/triton/grpc:8001") == "unix:///run/triton/grpc:8001"
    assert parse_predictor("a-triton.b.svc:8001") == Name("a-triton.b.svc", 8001)
    for wrong in ("", "triton", ":8001", "triton:", "triton:0", "triton:65536", "unix:///"):
        with pytest.raises(AddressError, match="wanted host:port or unix:///path"):
            parse_predictor(wrong)


def test_a_name_is_looked_up_in_grpcs_form() -> None:
    found = asyncio.run(Name("localhost", 8001).look_up())
    assert found <= {"ipv4:127.0.0.1:8001", "ipv6:[::1]:8001"}
    assert found
    with pytest.raises(OSError, match=r"."):
        asyncio.run(Name("no-such-host.invalid", 8001).look_up())


def test_the_usable_ones_are_asked_in_turn(release: Release) -> None:
    async def asked() -> None:
        fakes = [Fake(release.id, score) for score in (0.1, 0.2, 0.3)]
        async with running(*fakes), pool(Names(*fakes), release) as predictor:
            await until(all_known(predictor, {0.1, 0.2, 0.3}))
            for fake in fakes:
                fake.calls = 0
            await scores(predictor, 30)
            assert [fake.calls for fake in fakes] == [10, 10, 10]

    asyncio.run(asked())


def all_known(predictor: PredictorPool, wanted: set[float]) -> Callable[[], Awaitable[bool]]:
    async def known() -> bool:
        return set(await scores(predictor, 2 * len(wanted))) == wanted

    return known


def test_a_foreign_predictor_beside_the_right_one_is_never_asked(release: Release) -> None:
    async def asked() -> None:
        right, foreign = Fake(release.id, 0.1), Fake("r-of-another", 0.9)
        async with running(right, foreign), pool(Names(right, foreign), release) as predictor:
            assert set(await scores(predictor, 200)) == {0.1}
            await predictor.check()
            assert foreign.calls == 0
            right.release, foreign.release = foreign.release, right.release
            await predictor.check()
            await until(all_known(predictor, {0.9}))
            assert set(await scores(predictor, 200)) == {0.9}

    asyncio.run(asked())


def test_a_check_that_is_older_than_the_question_answers_nothing(release: Release) -> None:
    async def asked() -> None:
        only = Fake("r-of-another", 0.1)
        async with running(only), pool(Names(only), release) as predictor:
            assert await outcome(predictor) == "identity"
            only.checks_wait_for, before = asyncio.Event(), only.checks
            await until(at_least(before + 1, lambda: only.checks))
            only.release = release.id
            question = asyncio.create_task(predictor.check())
            await asyncio.sleep(0)
            only.checks_wait_for.set()
            await question
            assert await outcome(predictor) == "0.1"

    asyncio.run(asked())


def test_only_foreign_ones_are_a_refusal_that_names_them(release: Release) -> None:
    async def asked() -> None:
        foreign, gone = Fake("r-of-another", 0.9), Fake(release.id, 0.1, "ipv4:127.0.0.1:1")
        async with running(foreign), pool(Names(foreign, gone), release) as predictor:
            for _ in range(3):
                with pytest.raises(ServingError) as refused:
                    await predictor.infer(ONE)
                assert refused.value.code == "predictor_release_mismatch"
            with pytest.raises(ServingError) as refused:
                await predictor.check()
            assert refused.value.found == "predictor of r-of-another"

    asyncio.run(asked())


@pytest.mark.parametrize("how", ["stopping", "stopped"])
def test_a_call_to_a_predictor_that_stops_goes_elsewhere(release: Release, how: str) -> None:
    async def asked() -> None:
        fakes = [Fake(release.id, 0.1), Fake(release.id, 0.2)]
        names = Names(*fakes)
        async with running(*fakes), pool(names, release) as predictor:
            await until(all_known(predictor, {0.1, 0.2}))
            load = asyncio.create_task(scores(predictor, 300))
            await asyncio.sleep(0.02)
            # Its address stays known for a while, as in a DNS cache.
            if how == "stopping":
                fakes[0].stopping = True
            else:
                await fakes[0].stop()
            assert set(await load) <= {0.1, 0.2}
            before = fakes[0].calls
            assert set(await scores(predictor, 100)) == {0.2}
            assert fakes[0].calls == before
            await predictor.check()

    asyncio.run(asked())


def test_one_that_comes_back_is_asked_again(release: Release) -> None:
    async def asked() -> None:
        fakes = [Fake(release.id, 0.1), Fake(release.id, 0.2)]
        async with running(*fakes), pool(Names(*fakes), release) as predictor:
            await until(all_known(predictor, {0.1, 0.2}))
            fakes[0].stopping = True
            await until(all_known(predictor, {0.2}))
            fakes[0].stopping = False
            await until(all_known(predictor, {0.1, 0.2}))

    asyncio.run(asked())


def test_addresses_follow_the_name_and_end_with_their_calls(release: Release) -> None:
    async def asked() -> None:
        go, new = asyncio.Event(), Fake(release.id, 0.2)
        old = Fake(release.id, 0.1, first_waits_for=go)
        names = Names(old)
        async with running(old, new), pool(names, release, 10 * SECOND) as predictor:
            under_way = asyncio.create_task(predictor.infer(ONE))
            await until(at_least(1, lambda: old.calls))
            names.fakes = (new,)
            await until(all_known(predictor, {0.2}))
            assert not under_way.done()
            go.set()
            assert float((await under_way)[0]) == pytest.approx(0.1)
            names.fakes = ()
            looks = names.looks
            await until(at_least(looks + 2, lambda: names.looks))
            assert set(await scores(predictor, 20)) == {0.2}

    asyncio.run(asked())


def test_a_name_that_never_resolved_is_a_refusal_at_once(release: Release) -> None:
    async def asked() -> None:
        names, late = Names(), Fake(release.id, 0.1)
        async with running(late), pool(names, release) as predictor:
            with pytest.raises(ServingError) as refused:
                await predictor.infer(ONE)
            assert refused.value.code == "predictor_name_unresolved"
            names.fakes = (late,)
            await until(at_least(names.looks + 1, lambda: names.looks))
            assert await scores(predictor, 3) == [0.1] * 3

    asyncio.run(asked())


@pytest.mark.parametrize("count", [1, 2])
def test_connections_that_age_fail_no_call(release: Release, count: int) -> None:
    """GOAWAY every few tens of milliseconds: calls under way are made again, on a new check."""

    async def asked() -> None:
        fakes = [Fake(release.id, 0.1, slow=0.002) for _ in range(count)]
        async with running(*fakes, options=AGED), pool(Names(*fakes), release) as predictor:
            end = time.monotonic() + 2
            clients = [client(predictor, end) for _ in range(4)]
            seen = [one for found in await asyncio.gather(*clients) for one in found]
            assert set(seen) == {0.1}
            assert len(seen) > 100

    asyncio.run(asked())


async def client(predictor: PredictorPool, end: float) -> list[float]:
    seen = []
    while time.monotonic() < end:
        seen += await scores(predictor, 1)
    return seen


def test_a_silent_predictor_ends_at_the_deadline_and_is_left_out(release: Release) -> None:
    async def asked() -> None:
        silent, steady = Fake(release.id, 0.1), Fake(release.id, 0.2)
        names = Names(silent, steady)
        async with running(silent, steady), pool(names, release, SECOND // 5) as predictor:
            await until(all_known(predictor, {0.1, 0.2}))
            silent.slow = 5.0
            outcomes = [await outcome(predictor) for _ in range(4)]
            assert set(outcomes) == {"deadline", "0.2"}

    asyncio.run(asked())


async def outcome(predictor: PredictorPool) -> str:
    try:
        return str((await scores(predictor, 1))[0])
    except ServingError as refusal:
        return refusal.reason


def test_a_unix_socket_is_an_address(release: Release, tmp_path: Path) -> None:
    async def asked() -> None:
        fake = Fake(release.id, 0.1)
        await fake.start(f"unix://{tmp_path}/grpc:8001")
        async with pool(parse_fixed(fake.target), release) as predictor:
            assert await scores(predictor, 3) == [0.1] * 3
        await fake.stop()

    asyncio.run(asked())


def parse_fixed(text: str) -> str:
    place = parse_predictor(text)
    assert isinstance(place, str)
    return place


def test_calls_that_nobody_waits_for_do_not_pile_up(release: Release) -> None:
    """A predictor that answers its check at once and a request too late is not asked for ever."""

    async def asked() -> None:
        late = Fake(release.id, 0.1)
        async with running(late), pool(Names(late), release, SECOND // 5) as predictor:
            assert await outcome(predictor) == "0.1"
            late.slow, before = 3.0, late.calls
            outcomes = await asyncio.gather(*(outcome(predictor) for _ in range(1_500)))
            assert set(outcomes) == {"deadline", "predictor"}
            assert outcomes.count("deadline") == 1_024
            assert await outcome(predictor) in {"predictor", "deadline"}
            assert late.calls - before <= 1_024
            late.slow = 0.0
            await until(answers(predictor))

    asyncio.run(asked())


def answers(predictor: PredictorPool) -> Callable[[], Awaitable[bool]]:
    async def answered() -> bool:
        return await outcome(predictor) == "0.1"

    return answered
