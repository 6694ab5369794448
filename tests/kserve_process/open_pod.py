"""A pod's real servers in this process, over ports that a test can break."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import grpc.aio
import numpy as np
import orjson
from kserve.protocol.grpc import grpc_predict_v2_pb2_grpc as pb_grpc
from numpy.typing import NDArray

from feature_runtime.core.project_functions import NO_FUNCTIONS
from feature_runtime.core.release import parse_release, read_release
from feature_runtime.serving.metrics import Metrics
from feature_runtime.serving.pod import Pod
from feature_runtime.serving.record import Recorder
from feature_runtime.serving.scoring import Ports, Scorer, replay_clock
from feature_runtime.serving.server import Listener, PodServer, Settings
from feature_runtime.serving.sinks import FileSink, SinkSettings
from feature_runtime.serving.store_url import parse_store_url
from tests.local.pod_stack import RISK, VELOCITY, make_release

T = TypeVar("T")
DEFAULT = {"approved_by": "x", "reason": "A test.", "expires": None}


class BrokenStore:
    """A store without any key. fault: what reading raises."""

    fault: Exception | None = None

    async def read(self, keys: Sequence[bytes]) -> Sequence[bytes | None]:
        if self.fault is not None:
            raise self.fault
        return [None] * len(keys)

    async def check(self) -> None: ...

    async def close(self) -> None: ...


class BrokenPredictor:
    """Scores by the first column. fault: what a call raises; wait: what it waits for first."""

    fault: Exception | None = None
    wait: asyncio.Event | None = None

    async def infer(self, vector: NDArray[np.float32]) -> NDArray[np.float64]:
        if self.wait is not None:
            await self.wait.wait()
        if self.fault is not None:
            raise self.fault
        assert np.isfinite(vector[:, 0]).all()
        return np.full(len(vector), 0.5)

    async def check(self) -> None: ...

    async def close(self) -> None: ...


@dataclass(frozen=True)
class Answer:
    """An HTTP response."""

    code: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        found: dict[str, Any] = orjson.loads(self.body)
        return found


@dataclass
class OpenPod:
    """A running pod, and the loop that it runs in."""

    pod: Pod
    store: BrokenStore
    predictor: BrokenPredictor
    record: Path
    http_port: int
    grpc_port: int
    runner: asyncio.Runner

    def run(self, what: Coroutine[Any, Any, T]) -> T:
        """Runs a coroutine in the pod's loop; the pod works only meanwhile."""
        return self.runner.run(what)

    def counted(self, protocol: str, code: int, reason: str) -> float:
        """How many requests have ended so."""
        by = {"release": self.pod.release.id, "arm": "serve", "traffic": "live"}
        labels = {**by, "protocol": protocol, "code": str(code), "reason": reason}
        registry = self.pod.metrics.registry
        return registry.get_sample_value("proviso_requests_total", labels) or 0.0

    def total(self, code: str) -> float:
        """How many requests have ended with a status, whatever their protocol and reason."""
        return sum(
            sample.value
            for metric in self.pod.metrics.registry.collect()
            for sample in metric.samples
            if sample.name == "proviso_requests_total" and sample.labels["code"] == code
        )

    async def connect(self) -> Http:
        """A connection to the HTTP port."""
        return Http(*await asyncio.open_connection("127.0.0.1", self.http_port))

    def stub(self, channel: grpc.aio.Channel) -> pb_grpc.GRPCInferenceServiceStub:
        return pb_grpc.GRPCInferenceServiceStub(channel)

    def channel(self) -> grpc.aio.Channel:
        """A channel to the gRPC port."""
        return grpc.aio.insecure_channel(f"127.0.0.1:{self.grpc_port}")


class Http:
    """One connection: bytes out, responses in."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def send(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def answer(self, seconds: float = 10) -> Answer | None:
        """The next response; None when the connection ends before one is whole."""
        async with asyncio.timeout(seconds):
            try:
                head = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                status, *lines = head.rstrip().split("\r\n")
                pairs = (line.partition(": ") for line in lines)
                headers = {name.lower(): value for name, _, value in pairs}
                body = await self._reader.readexactly(int(headers["content-length"]))
            except (asyncio.IncompleteReadError, ConnectionError):
                return None
        return Answer(int(status.split()[1]), headers, body)

    async def ask(self, path: str, body: bytes, **headers: str) -> Answer | None:
        await self.send(request_bytes(path, body, **headers))
        return await self.answer()

    async def close(self) -> None:
        self._writer.close()
        await asyncio.gather(self._writer.wait_closed(), return_exceptions=True)


def request_bytes(path: str, body: bytes, **headers: str) -> bytes:
    """A POST request as it is sent; `_` in a header's name stands for `-`."""
    named = {"host": "pod", "content-length": str(len(body))}
    named |= {name.replace("_", "-"): value for name, value in headers.items()}
    head = [f"POST {path} HTTP/1.1", *(f"{name}: {value}" for name, value in named.items())]
    return "\r\n".join(head).encode("latin-1") + b"\r\n\r\n" + body


def _port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@contextmanager
def open_pod(directory: Path) -> Iterator[OpenPod]:
    """A pod without keys, so that every feature has its default. One a process: kserve's
    application is a global."""
    policy = {**DEFAULT, "kind": "default", "value": 1.0}
    release_file = make_release(directory / "release", views=_views(policy)) / "release.yml"
    release = parse_release(read_release(release_file))
    store, predictor, record = BrokenStore(), BrokenPredictor(), directory / "record.jsonl"
    ports = Ports(replay_clock, store, predictor, FileSink(record))
    metrics = Metrics(release)
    scorer = Scorer(release, ports, Recorder(release, None, "pod-1"), metrics)
    pod = Pod(release, scorer, ports, metrics, fault=None, max_in_flight=64)
    listener = Listener("live", _port(), _port())
    unused = parse_store_url("redis://unused")
    settings = Settings(
        release=release, fault=None, model_name="risk", store=unused, store_password_file=None,
        predictor="", record_sink="file", record=SinkSettings(str(record)), hash_key=None,
        library=NO_FUNCTIONS,
        replay_clock=True, host="127.0.0.1", listener=listener, shadow=None, max_in_flight=64,
        pod="pod-1",
    )  # fmt: skip
    with asyncio.Runner() as runner:
        server = runner.run(_started(PodServer(pod, settings), listener.http_port))
        yield OpenPod(pod, store, predictor, record, listener.http_port, listener.grpc_port, runner)
        os.kill(os.getpid(), signal.SIGTERM)
        runner.run(_ended(server))


def _views(policy: dict[str, Any]) -> list[dict[str, Any]]:
    times = {"source_delay": "PT10M", "temporal_join_lookback": "P7D", "online_ttl": "PT2H"}
    names = {VELOCITY: ("customer", ("count", "total")), RISK: ("merchant", ("share", "rank"))}
    return [
        {
            "name": view,
            "entities": [entity],
            "schema": f"{number:016x}",
            **times,
            "features": [{"name": n, "dtype": "float64", "policy": policy} for n in features],
        }
        for number, (view, (entity, features)) in enumerate(names.items())
    ]


async def _started(server: PodServer, port: int) -> asyncio.Task[None]:
    task = asyncio.get_running_loop().create_task(server.run())
    for _ in range(500):
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.02)
            continue
        writer.close()
        return task
    raise AssertionError("the pod did not start")


async def _ended(task: asyncio.Task[None]) -> None:
    await task
