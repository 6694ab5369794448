"""A PostgreSQL server of Debian's packages for tests; skips, with the reason, where there is none.

The server refuses to run as root: there it is the user `postgres` of the package.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from proviso.local.processes import free_ports

PASSWORD = "s3cret/with:odd@characters?"


@dataclass(frozen=True)
class PostgresServer:
    """A server whose user `reader` has `PASSWORD`."""

    port: int

    @property
    def uri(self) -> str:
        return f"postgresql://reader@127.0.0.1:{self.port}/postgres"


def _program(name: str) -> str:
    installed = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    program = str(installed[-1]) if installed else shutil.which(name)
    if program is None:
        pytest.skip(f"no {name}: install the Debian package postgresql")
    return program


@contextmanager
def running_postgres() -> Iterator[PostgresServer]:
    """A server with an empty database in a folder of its own, which goes with it."""
    initdb, program = _program("initdb"), _program("postgres")
    user = "postgres" if os.geteuid() == 0 else None
    folder = Path(tempfile.mkdtemp(prefix="proviso-postgres-"))
    try:
        (folder / "password").write_text(PASSWORD)
        if user is not None:
            for path in (folder, folder / "password"):
                shutil.chown(path, user)
        asked = ("-U", "reader", f"--pwfile={folder}/password", "-A", "scram-sha-256", "-N")
        subprocess.run(
            [initdb, "-D", folder / "data", *asked],
            user=user, check=True, capture_output=True, cwd=folder,
        )  # fmt: skip
        with _serving(program, folder, user) as port:
            yield PostgresServer(port)
    finally:
        shutil.rmtree(folder)


@contextmanager
def _serving(program: str, folder: Path, user: str | None) -> Iterator[int]:
    port = free_ports(1)[0]
    options = ("-D", folder / "data", "-k", folder, "-h", "127.0.0.1", "-p", str(port), "-F")
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [program, *options], user=user, stdout=log, stderr=log, cwd=folder
        )
    try:
        ready = _program("pg_isready")
        for _ in range(300):
            asked = [ready, "-h", "127.0.0.1", "-p", str(port), "-t", "1"]
            if subprocess.run(asked, check=False, capture_output=True).returncode == 0:
                break
            if process.poll() is not None:
                raise RuntimeError((folder / "log").read_text())
        yield port
    finally:
        process.terminate()
        process.wait(timeout=60)
