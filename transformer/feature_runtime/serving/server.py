"""Assembly: a pod behind kserve's model server, from start to graceful stop.

kserve 0.21 with one worker runs on asyncio's own event loop, sets its exception handler on a
loop that it then does not use, and stops gRPC only after HTTP. `PodServer.run` does these steps
itself, with kserve's servers. What is overridden of kserve's is listed in kserve_overrides.py.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn
from kserve import Model, ModelServer
from kserve.protocol.dataplane import DataPlane
from starlette.applications import Starlette

from feature_runtime.core.project_functions import Library
from feature_runtime.core.release import Release
from feature_runtime.core.traffic import Traffic
from feature_runtime.serving.addresses import Name
from feature_runtime.serving.description import Description
from feature_runtime.serving.http_protocol import BoundedHeadProtocol
from feature_runtime.serving.logs import bound_logging
from feature_runtime.serving.metrics import Metrics
from feature_runtime.serving.pod import Pod
from feature_runtime.serving.predictor import PredictorPool
from feature_runtime.serving.record import Recorder
from feature_runtime.serving.request import Served
from feature_runtime.serving.rest import Rest
from feature_runtime.serving.rpc import RpcServer, Servicer
from feature_runtime.serving.scoring import Ports, Scorer, live_clock, replay_clock
from feature_runtime.serving.sinks import SINKS, SinkSettings
from feature_runtime.serving.store import RedisStore, StoreWatch
from feature_runtime.serving.store_url import StoreUrl

_GRACE = 10
_KEEP_ALIVE = 65  # seconds, kserve's


@dataclass(frozen=True)
class Listener:
    """A pair of ports, and what their requests are."""

    traffic: Traffic
    http_port: int
    grpc_port: int


@dataclass(frozen=True)
class Settings:
    """What the command line says. fault: why this pod is not its release, None when it is.

    library: the project's own functions, from the release's directory. pod: its name, which is the
    host name in Kubernetes.
    """

    release: Release
    fault: str | None
    library: Library
    model_name: str
    store: StoreUrl
    store_password_file: Path | None
    predictor: str | Name
    record_sink: str
    record: SinkSettings
    hash_key: bytes | None
    replay_clock: bool
    host: str
    listener: Listener
    shadow: Listener | None
    max_in_flight: int
    pod: str


class ServedModel(Model):  # type: ignore[misc]
    """The model in kserve's registry."""

    def __init__(self, name: str, pod: Pod) -> None:
        super().__init__(name)
        self._pod = pod

    async def healthy(self) -> bool:
        """Own identity and warm-up alone: a lost dependency must not empty the Service."""
        return self._pod.ready


class PodDataPlane(DataPlane):  # type: ignore[misc]
    """kserve's health calls, answered by the pod; its own says ready always."""

    def __init__(self, registry: Any, pod: Pod) -> None:
        super().__init__(registry)
        self._pod = pod

    async def ready(self) -> bool:
        """Whether the pod takes requests."""
        return self._pod.ready


class SignalFreeServer(uvicorn.Server):
    """Leaves the signals to PodServer, which stops all servers together."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class PodServer(ModelServer):  # type: ignore[misc]
    """kserve's model server around one pod, and beside it the shadow's two servers."""

    def __init__(self, pod: Pod, settings: Settings) -> None:
        main, shadow = settings.listener, settings.shadow
        super().__init__(http_port=main.http_port, grpc_port=main.grpc_port)
        self.dataplane = PodDataPlane(self.registered_models, pod)
        self.register_model(ServedModel(settings.model_name, pod))
        self._pod = pod
        self._settings = settings
        served = Served(settings.model_name, pod.release.version)
        self._description = Description(served, pod.inputs)
        app = Rest(pod, self._description, main.traffic).app()
        self._http = [self._http_server(app, main)]
        self._rpc = [self._rpc_server(main)]
        if shadow is not None:
            app = Rest(pod, self._description, shadow.traffic).shadow_app()
            self._http.append(self._http_server(app, shadow))
            self._rpc.append(self._rpc_server(shadow))
        # No line per request: the record says more.
        logging.getLogger("uvicorn.access").handlers.clear()
        bound_logging(hide_values=pod.release.service.hash_entity_keys)

    def _http_server(self, app: Starlette, listener: Listener) -> SignalFreeServer:
        config = uvicorn.Config(
            app,
            host=self._settings.host,
            port=listener.http_port,
            http=BoundedHeadProtocol,
            ws="none",
            log_config=None,
            timeout_graceful_shutdown=_GRACE,
            timeout_keep_alive=_KEEP_ALIVE,
        )
        return SignalFreeServer(config)

    def _rpc_server(self, listener: Listener) -> RpcServer:
        servicer = Servicer(self._pod, self._description, listener.traffic, self.dataplane)
        address = f"{self._settings.host}:{listener.grpc_port}"
        limit = self._pod.release.service.limits.max_body_bytes
        return RpcServer(servicer, self._pod, address, limit)

    async def run(self) -> None:
        """Serves until SIGTERM or SIGINT; then answers what it has accepted and leaves."""
        loop = asyncio.get_running_loop()
        stopping = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stopping.set)
        self._pod.warm_up()
        for rpc in self._rpc:
            await rpc.start()
        http = [loop.create_task(server.serve()) for server in self._http]
        probes = loop.create_task(self._pod.watch_dependencies())
        # What is alive now stays alive: the collector need not look at it again, and its pauses
        # were the tail of the latency. One object in a hundred is garbage, and a collection would
        # take a tenth of the start: they stay too.
        gc.freeze()
        gc.enable()
        await asyncio.wait(
            {*http, loop.create_task(stopping.wait())}, return_when=asyncio.FIRST_COMPLETED
        )
        self._pod.ready = False
        for server in self._http:
            server.should_exit = True
        await asyncio.gather(*http, *(rpc.stop(_GRACE) for rpc in self._rpc))
        probes.cancel()
        await asyncio.gather(probes, return_exceptions=True)
        await self._pod.close()


async def serve(settings: Settings) -> None:
    """A pod from its settings, until it is told to stop."""
    release = settings.release
    limits = release.service.limits
    metrics = Metrics(release)
    watch = StoreWatch(settings.store.address, metrics.store_fault, metrics.store_replaced)
    ports = Ports(
        clock=replay_clock if settings.replay_clock else live_clock(limits.max_client_skew),
        store=RedisStore(settings.store, settings.store_password_file, limits.deadline, watch),
        predictor=PredictorPool(settings.predictor, release, limits.deadline),
        sink=SINKS[settings.record_sink](settings.record),
    )
    recorder = Recorder(release, settings.hash_key, settings.pod)
    scorer = Scorer(release, ports, recorder, metrics, settings.library)
    pod = Pod(
        release, scorer, ports, metrics,
        fault=settings.fault, max_in_flight=settings.max_in_flight,
    )  # fmt: skip
    await PodServer(pod, settings).run()
