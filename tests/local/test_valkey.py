"""The embedded store, with the real server: who may use it, and what it does when it is full."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import redis

from proviso.local import valkey
from proviso.local.processes import ProcessError, Stack


@pytest.fixture
def store(tmp_path: Path) -> Iterator[valkey.Valkey]:
    configured = valkey.configure(tmp_path / "store", max_memory=8 * 1024 * 1024)
    with Stack() as stack:
        stack.start(configured.process, configured.ready)
        yield configured


def connect(store: valkey.Valkey) -> redis.Redis:
    return redis.Redis.from_url(store.url, password=store.password_file.read_text().strip())


def fill(client: redis.Redis) -> None:
    for number in range(64):
        client.set(f"filler-{number}", bytes(1024 * 1024))


def test_it_answers_those_who_know_the_password_and_nobody_else(store: valkey.Valkey) -> None:
    with connect(store) as client:
        client.set("key", b"value")
        assert client.get("key") == b"value"
    with redis.Redis.from_url(store.url) as client, pytest.raises(redis.AuthenticationError):
        client.get("key")


def test_the_password_is_in_private_files_alone(store: valkey.Valkey) -> None:
    password = store.password_file.read_text().strip()
    process = psutil.Process(store.process.pid)
    assert not any(password in argument for argument in process.cmdline())
    assert not any(password in value for value in process.environ().values())
    assert password not in store.process.log.read_text()
    assert password not in store.url
    holders = [path for path in store.process.log.parent.iterdir() if password in path.read_text()]
    assert {path.name for path in holders} == {"password", "valkey.conf"}
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in holders)


def test_a_full_store_refuses_writes_and_forgets_nothing(store: valkey.Valkey) -> None:
    with connect(store) as client:
        client.set("first", b"1")
        with pytest.raises(redis.OutOfMemoryError):
            fill(client)
        assert client.get("first") == b"1"


def test_an_append_only_store_keeps_its_data_over_a_restart(tmp_path: Path) -> None:
    for expected in (None, b"value"):
        configured = valkey.configure(tmp_path, append_only=True)
        with Stack() as stack:
            stack.start(configured.process, configured.ready)
            with connect(configured) as client:
                assert client.get("key") == expected
                client.set("key", b"value")


def test_a_bad_configuration_is_reported_with_the_log(tmp_path: Path) -> None:
    configured = valkey.configure(tmp_path)
    with (tmp_path / "valkey.conf").open("a") as config:
        config.write("no-such-setting 1\n")
    with Stack() as stack, pytest.raises(ProcessError, match="no-such-setting"):
        stack.start(configured.process, configured.ready)
