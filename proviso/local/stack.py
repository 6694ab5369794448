"""The embedded stack: store, predictor and transformer on free ports of the loopback."""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from proviso.local import state, transformer, triton, valkey
from proviso.local.processes import Process, Stack
from proviso.local.transformer import Transformer
from proviso.local.triton import Triton
from proviso.local.valkey import Valkey
from proviso.release.directory import Release

READY_SECONDS = 120.0


@dataclass(frozen=True)
class Embedded:
    """A running stack of one release."""

    release: Release
    store: Valkey
    predictor: Triton
    endpoint: Transformer

    @property
    def processes(self) -> tuple[tuple[Process, dict[str, int]], ...]:
        """The processes in the order in which they were started, each with its ports."""
        predictor, endpoint = self.predictor, self.endpoint
        return (
            (self.store.process, {"store": self.store.port}),
            (predictor.process, {"grpc": predictor.grpc_port, "http": predictor.http_port}),
            (endpoint.process, {"http": endpoint.http_port, "grpc": endpoint.grpc_port}),
        )

    def keep(self, directory: Path) -> None:
        """Writes the state file that `proviso local status` and `down` read."""
        running = tuple(state.Running.of(process, ports) for process, ports in self.processes)
        settings = {
            "release": self.release.id,
            "endpoint": self.endpoint.url,
            "grpc": self.endpoint.grpc_address,
            "store": self.store.url,
            "store_password_file": str(self.store.password_file),
            "record": str(self.endpoint.record),
        }
        state.write(directory, state.State(running, settings))


def start(
    stack: Stack, release: Release, directory: Path, *, replay_clock: bool, leashed: bool
) -> Embedded:
    """Starts all three and waits until they are ready. Raises ProcessError naming a log.

    leashed: they end with this process, whatever becomes of it.
    """
    store = valkey.configure(directory / "valkey", leashed=leashed)
    stack.start(store.process, store.ready)
    predictor = triton.configure(
        release.directory, directory / "predictor" / "predictor.log", leashed=leashed
    )
    stack.start(predictor.process, predictor.ready, READY_SECONDS)
    endpoint = start_endpoint(
        stack, release, directory / "transformer", store, predictor, replay_clock, leashed
    )
    return Embedded(release, store, predictor, endpoint)


def start_endpoint(
    stack: Stack,
    release: Release,
    directory: Path,
    store: Valkey,
    predictor: Triton,
    replay_clock: bool,
    leashed: bool,
) -> Transformer:
    """One more transformer in front of the same store and predictor."""
    arguments = (
        ("--hash-key-file", _hash_key(directory)) if release.service.hash_entity_keys else ()
    )
    endpoint = transformer.configure(
        release.directory,
        directory,
        arguments=arguments,
        store=store.url,
        password_file=store.password_file,
        predictor=predictor.grpc_address,
        replay_clock=replay_clock,
        leashed=leashed,
    )
    stack.start(endpoint.process, endpoint.ready, READY_SECONDS)
    return endpoint


def _hash_key(directory: Path) -> Path:
    """A random key for hashing entity keys in records; only this user can read the file."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / "hash-key"
    path.unlink(missing_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="ascii") as file:
        file.write(secrets.token_hex(32))
    return path
