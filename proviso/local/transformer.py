"""The embedded transformer: the pod's own program, `python -m feature_runtime`, on one release."""

from __future__ import annotations

import http.client
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from proviso.contracts.base import InputError
from proviso.local.processes import LOOPBACK, Process, free_ports

_PROBE_TIMEOUT = 2.0  # seconds


@dataclass(frozen=True)
class Transformer:
    """A configured transformer: start `process`, wait for `ready`, read `record`.

    shadow_ports: HTTP and gRPC ports whose requests count as mirrored, where it has them.
    """

    process: Process
    http_port: int
    grpc_port: int
    record: Path
    shadow_ports: tuple[int, int] | None = None

    @property
    def url(self) -> str:
        """Base of the REST protocols."""
        return f"http://{LOOPBACK}:{self.http_port}"

    @property
    def grpc_address(self) -> str:
        """host:port of the gRPC protocol."""
        return f"{LOOPBACK}:{self.grpc_port}"

    @property
    def shadow(self) -> Transformer:
        """The same process at its shadow ports."""
        if self.shadow_ports is None:
            message, why = "was started without shadow ports", "configure it with shadow=True"
            raise InputError.event("no_shadow_ports", message, self.process.name, why)
        http_port, grpc_port = self.shadow_ports
        return replace(self, http_port=http_port, grpc_port=grpc_port)

    def live(self) -> bool:
        """Whether the process answers; one with the wrong release is live and never ready."""
        return self._status("/v2/health/live") == http.client.OK

    def ready(self) -> bool:
        """Whether it takes requests."""
        return self._status("/v2/health/ready") == http.client.OK

    def _status(self, path: str) -> int | None:
        connection = http.client.HTTPConnection(LOOPBACK, self.http_port, timeout=_PROBE_TIMEOUT)
        try:
            connection.request("GET", path)
            return connection.getresponse().status
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()


def configure(
    release: Path,
    directory: Path,
    *,
    store: str,
    password_file: Path | None,
    predictor: str,
    shadow: bool = False,
    replay_clock: bool = False,
    arguments: Sequence[str | Path] = (),
    leashed: bool = True,
) -> Transformer:
    """Chooses ports and builds the command; starts nothing.

    release: a release directory. directory: gets the log and the prediction record. store: URL
    without its password. predictor: host:port of the gRPC protocol. shadow: with shadow ports.
    arguments: further ones for the program.
    """
    directory.mkdir(parents=True, exist_ok=True)
    http_port, grpc_port, shadow_http, shadow_grpc = free_ports(4)
    record = directory / "predictions.jsonl"
    command: list[str | Path] = [sys.executable, "-m", "feature_runtime"]
    command += ["--release", release / "release.yml", "--record", record]
    command += ["--store", store, "--predictor", predictor, "--host", LOOPBACK]
    command += ["--http_port", str(http_port), "--grpc_port", str(grpc_port)]
    if password_file is not None:
        command += ["--store-password-file", password_file]
    if shadow:
        command += ["--shadow-http-port", str(shadow_http)]
        command += ["--shadow-grpc-port", str(shadow_grpc)]
    if replay_clock:
        command.append("--replay-clock")
    log = directory / "transformer.log"
    process = Process("transformer", [*command, *arguments], log, leashed=leashed)
    shadow_ports = (shadow_http, shadow_grpc) if shadow else None
    return Transformer(process, http_port, grpc_port, record, shadow_ports)
