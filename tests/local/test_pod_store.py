"""A store with named users: the least rights, passwords that change under load, and a restart."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis

from proviso.local import valkey
from proviso.local.processes import LOOPBACK
from proviso.local.transformer import Transformer
from proviso.local.valkey import Valkey
from tests.local.pod_calls import until
from tests.local.pod_stack import PodStack, predict_v1, rows

GOOD = rows(("c1", "m1"))
RIGHTS = ("resetchannels", "~fs:*", "+mget", "+ping")
"""All that the pod needs (docs/serving.md)."""
OLD, NEW = "password-of-the-old-days", "password-of-the-new-days"


def command(admin: redis.Redis, *words: str) -> None:
    """One command, as it is written."""
    admin.execute_command(*words)  # type: ignore[no-untyped-call]


@dataclass(frozen=True)
class Guarded:
    """A store that knows a user `serving`, and the folder that a Secret is mounted at."""

    valkey: Valkey
    admin: redis.Redis
    secret: Path

    @property
    def arguments(self) -> list[str | Path]:
        url = f"redis://serving@{LOOPBACK}:{self.valkey.port}"
        return ["--store", url, "--store-password-file", self.secret / "password"]

    def user(self, *rules: str) -> None:
        command(self.admin, "ACL", "SETUSER", "serving", *rules)

    def cut(self) -> None:
        """Ends the connections of the pod."""
        command(self.admin, "CLIENT", "KILL", "USER", "serving")

    def connections(self) -> set[str]:
        return {one["id"] for one in self.admin.client_list() if one["user"] == "serving"}

    def mount(self, password: str) -> None:
        """Puts a password where pods read it, as the kubelet does: one link changes, whole."""
        version = self.secret / f"..{time.monotonic_ns()}"
        version.mkdir()
        (version / "password").write_text(password)
        link = self.secret / "..data_tmp"
        link.symlink_to(version.name)
        link.rename(self.secret / "..data")


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    directory = tmp_path_factory.mktemp("guarded")
    store = valkey.configure(directory / "valkey")
    store.process.start()
    store.process.wait_ready(store.ready, 20)
    admin = redis.Redis(port=store.port, password=store.password_file.read_text().strip())
    guarded = Guarded(store, admin, directory / "secret")
    guarded.secret.mkdir()
    guarded.mount(OLD)
    (guarded.secret / "password").symlink_to("..data/password")
    guarded.user("reset", "on", f">{OLD}", *RIGHTS)
    yield guarded
    admin.close()
    store.process.stop()


@contextmanager
def load(pod: Transformer, clients: int = 4) -> Iterator[list[Any]]:
    """Clients that ask without a pause; what each answer was, complete after the block."""
    done, seen = threading.Event(), list[Any]()

    def ask() -> None:
        with httpx.Client(timeout=10) as client:
            while not done.is_set():
                answer = client.post(f"{pod.url}/v1/models/risk:predict", json={"instances": GOOD})
                seen.append(answer.status_code if answer.status_code == 200 else answer.json())

    threads = [threading.Thread(target=ask) for _ in range(clients)]
    for thread in threads:
        thread.start()
    try:
        yield seen
    finally:
        done.set()
        for thread in threads:
            thread.join()


def went_on(seen: list[Any]) -> None:
    """Waits until the clients have had fifty more answers."""
    count = len(seen) + 50
    until(lambda: len(seen) >= count)


def test_the_pod_serves_with_its_least_rights(pod_stack: PodStack, guarded: Guarded) -> None:
    command(guarded.admin, "ACL", "LOG", "RESET")
    with pod_stack.pod("guarded", arguments=guarded.arguments) as pod:
        assert predict_v1(pod, GOOD).status_code == 200
        assert guarded.admin.acl_log() == []
        guarded.user("-mget")
        answer = predict_v1(pod, GOOD)
        guarded.user("+mget")
        assert answer.status_code == 503
        assert answer.json()["code"] == "store_permission_denied"


def test_a_password_that_changes_fails_no_request(pod_stack: PodStack, guarded: Guarded) -> None:
    with pod_stack.pod("rotated", arguments=guarded.arguments) as pod, load(pod) as seen:
        went_on(seen)
        guarded.user(f">{NEW}")
        guarded.cut()
        went_on(seen)
        guarded.mount(NEW)
        guarded.cut()
        went_on(seen)
        before = guarded.connections()
        guarded.user(f"<{OLD}")
        went_on(seen)
        assert before <= guarded.connections()
        guarded.cut()
        went_on(seen)
    assert set(map(str, seen)) == {"200"}


def test_connections_that_exist_outlast_their_password(
    pod_stack: PodStack, guarded: Guarded
) -> None:
    guarded.user("resetpass", f">{OLD}")
    guarded.mount(OLD)
    with pod_stack.pod("outlasting", arguments=guarded.arguments) as pod:
        assert predict_v1(pod, GOOD).status_code == 200
        guarded.user(f"<{OLD}", f">{NEW}")
        assert {predict_v1(pod, GOOD).status_code for _ in range(20)} == {200}
        guarded.cut()
        answer = predict_v1(pod, GOOD)
        assert (answer.status_code, answer.json()["reason"]) == (503, "store")
        guarded.mount(NEW)
        assert predict_v1(pod, GOOD).status_code == 200


def test_the_first_request_after_a_restart_of_the_store_is_answered(
    pod_stack: PodStack, tmp_path: Path
) -> None:
    store = valkey.configure(tmp_path / "valkey")
    store.process.start()
    store.process.wait_ready(store.ready, 20)
    arguments = ["--store", store.url, "--store-password-file", store.password_file]
    with pod_stack.pod("restarted", arguments=arguments) as pod:
        for _ in range(2):
            # Many connections, so that the pool is full of dead ones afterwards.
            assert at_once(pod, 24) == {200}
            store.process.stop()
            assert at_once(pod, 24) == {503}
            time.sleep(1)
            store.process.start()
            store.process.wait_ready(store.ready, 20)
            assert at_once(pod, 24) == {200}
        store.process.stop()


def at_once(pod: Transformer, count: int) -> set[int]:
    """Codes of concurrent requests."""

    async def ask() -> set[int]:
        async with httpx.AsyncClient(timeout=10) as client:
            url = f"{pod.url}/v1/models/risk:predict"
            calls = (client.post(url, json={"instances": GOOD}) for _ in range(count))
            return {answer.status_code for answer in await asyncio.gather(*calls)}

    return asyncio.run(ask())
