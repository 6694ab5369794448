"""The embedded predictor: Triton on one release, started by scripts/serve-predictor.

Every stack uses that launcher; it checks the release's hashes before Triton starts.
"""

from __future__ import annotations

import http.client
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from proviso.contracts.base import InputError
from proviso.local.processes import LOOPBACK, Process, free_ports

LAUNCHER = Path(__file__).parents[2] / "scripts" / "serve-predictor"
_PROBE_TIMEOUT = 2.0  # seconds


@dataclass(frozen=True)
class Triton:
    """A configured predictor: start `process`, wait for `ready`."""

    process: Process
    model: str
    grpc_port: int
    http_port: int
    metrics_port: int

    @property
    def grpc_address(self) -> str:
        """host:port of the inference protocol."""
        return f"{LOOPBACK}:{self.grpc_port}"

    def ready(self) -> bool:
        """Whether the server and the release's model are ready."""
        return all(
            _answers(self.http_port, path)
            for path in ("/v2/health/ready", f"/v2/models/{self.model}/ready")
        )


def configure(
    release: Path, log: Path, *, arguments: Sequence[str] = (), leashed: bool = True
) -> Triton:
    """Chooses ports and builds the command; starts nothing.

    arguments: further ones for tritonserver. Raises InputError where nothing can be started.
    """
    if not LAUNCHER.is_file():
        wanted = "a checkout of the repository"
        raise InputError.of(LAUNCHER, "no such file", wanted, code="file_not_found")
    grpc_port, http_port, metrics_port = free_ports(3)
    command: list[str | Path] = [
        *(sys.executable, LAUNCHER, "--release", release, "--address", LOOPBACK),
        *("--grpc-port", str(grpc_port), "--http-port", str(http_port)),
        *("--metrics-port", str(metrics_port), "--", *arguments),
    ]
    process = Process("predictor", command, log, leashed=leashed)
    return Triton(process, _model(release), grpc_port, http_port, metrics_port)


def _model(release: Path) -> str:
    """The release's only subdirectory. The launcher checks everything else about it."""
    folders = [path.name for path in release.iterdir() if path.is_dir()] if release.is_dir() else []
    if len(folders) != 1:
        actual = f"subdirectories {sorted(folders)}" if release.is_dir() else "no such directory"
        wanted = "a release directory with one model"
        raise InputError.of(release, actual, wanted, code="not_a_release_directory")
    return folders[0]


def _answers(port: int, path: str) -> bool:
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=_PROBE_TIMEOUT)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
