"""The pod's store: connections that died unnoticed, and every fault by its own code."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from feature_runtime.serving import store as module
from feature_runtime.serving.errors import ServingError
from feature_runtime.serving.store import RedisStore, StoreWatch
from feature_runtime.serving.store_faults import StoreFault
from feature_runtime.serving.store_url import parse_store_url
from tests.store_server import StoreServer, store_server

DEADLINE = 4_000_000
KEYS = [b"a", b"b"]


@dataclass
class Noticed:
    """What a store's watch has counted."""

    faults: Counter[str] = field(default_factory=Counter)
    replaced: Counter[str] = field(default_factory=Counter)

    def watch(self) -> StoreWatch:
        def fault(code: str) -> None:
            self.faults[code] += 1

        def replaced(why: str) -> None:
            self.replaced[why] += 1

        return StoreWatch("store:1", fault, replaced)


def with_store(
    url: str,
    noticed: Noticed,
    work: Callable[[RedisStore], Awaitable[Any]],
    *,
    deadline: int = DEADLINE,
    password_file: Path | None = None,
) -> Any:
    async def run() -> Any:
        store = RedisStore(parse_store_url(url), password_file, deadline, noticed.watch())
        try:
            return await work(store)
        finally:
            await store.close()

    return asyncio.run(run())


async def burst(store: RedisStore, count: int = 40) -> list[Any]:
    return await asyncio.gather(*(store.read(KEYS) for _ in range(count)), return_exceptions=True)


@pytest.mark.parametrize("idle", [True, False])
def test_a_burst_on_connections_that_died_unnoticed_is_answered(
    idle: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Idle ones are asked first; on others the command is lost, and sent again."""
    monkeypatch.setattr(module, "IDLE_SECONDS", 0.05 if idle else 60)
    noticed = Noticed()
    with store_server() as server:

        async def work(store: RedisStore) -> list[Any]:
            assert await burst(store) == [[None, None]] * 40
            await asyncio.sleep(0.1)
            server.forget()
            return await burst(store)

        answers = with_store(server.url, noticed, work)
    assert answers == [[None, None]] * 40
    assert noticed.faults == {}
    assert set(noticed.replaced) == {"idle" if idle else "lost"}
    assert 0 < noticed.replaced.total() <= 32


def test_a_store_that_never_answers_is_given_up_at_the_deadline() -> None:
    noticed = Noticed()
    with store_server(deaf=True) as server:
        answers = with_store(server.url, noticed, lambda store: burst(store, 3), deadline=400_000)
    assert [error.code for error in answers] == ["store_timeout"] * 3
    assert noticed.faults == {"store_timeout": 3}


FAULTS = {
    b"-LOADING Valkey is loading the dataset in memory\r\n": "store_loading",
    b"-MOVED 3999 127.0.0.1:6381\r\n": "store_is_cluster",
    b"-ASK 3999 127.0.0.1:6381\r\n": "store_is_cluster",
    b"-CROSSSLOT Keys in request don't hash to the same slot\r\n": "store_is_cluster",
    b"-TRYAGAIN Multiple keys request during rehashing of slot\r\n": "store_is_cluster",
    b"-CLUSTERDOWN The cluster is down\r\n": "store_cluster_down",
    b"-MASTERDOWN Link with MASTER is down\r\n": "store_primary_down",
    b"-READONLY You can't write against a read only replica.\r\n": "store_read_only",
    b"-NOAUTH Authentication required.\r\n": "store_password_missing",
    b"-WRONGPASS invalid username-password pair\r\n": "store_password_rejected",
    b"-NOPERM User serving has no permissions to run the 'mget' command\r\n": (
        "store_permission_denied"
    ),
    b"-OOM command not allowed when used memory > 'maxmemory'.\r\n": "store_out_of_memory",
    b"-MISCONF Errors writing to the AOF file\r\n": "store_persistence_failed",
    b"-BUSY Valkey is busy running a script.\r\n": "store_busy",
    b"-WRONGTYPE Operation against a key holding the wrong kind of value\r\n": "store_key_foreign",
    b"-ERR max number of clients reached\r\n": "store_clients_full",
    b"-ERR unknown command 'mget', with args beginning with: 'S3CRET'\r\n": "store_error",
    b"-STRANGE thing\r\n": "store_error",
    b"-MOVED\r\n": "store_protocol_error",
    b"*1\r\n$-1\r\n": "store_answer_invalid",
    b"*3\r\n$-1\r\n$-1\r\n$-1\r\n": "store_answer_invalid",
    b"*2\r\n:1\r\n$-1\r\n": "store_answer_invalid",
    b"*2\r\n-ERR one\r\n$-1\r\n": "store_answer_invalid",
    b"*-1\r\n": "store_answer_invalid",
    b"$2\r\nab\r\n": "store_answer_invalid",
    b"+OK\r\n": "store_answer_invalid",
    b"HTTP/1.1 400 Bad Request\r\n\r\n": "store_protocol_error",
    b"*two\r\n": "store_protocol_error",
    b"-\xff\xfe\r\n": "store_error",
}


@pytest.mark.parametrize("answer", FAULTS, ids=lambda answer: repr(answer[:14]))
def test_every_fault_has_its_code_and_one_line_a_minute(
    answer: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    noticed = Noticed()
    with store_server(answers={"MGET": answer}) as server, caplog.at_level(logging.WARNING):
        errors = with_store(server.url, noticed, lambda store: burst(store, 5))
    assert {type(error) for error in errors} == {ServingError}
    assert {(e.reason, e.code, e.status.http) for e in errors} == {("store", FAULTS[answer], 503)}
    assert noticed.faults == {FAULTS[answer]: 5}
    lines = [record.getMessage() for record in caplog.records if record.name == "kserve.proviso"]
    assert len(lines) == 1
    assert f"[{FAULTS[answer]}]" in lines[0]
    assert len(lines[0]) < 400
    assert "S3CRET" not in lines[0] + str(errors[0])


def test_an_answer_out_of_step_is_not_the_next_ones() -> None:
    """Values too many would be read as the answer of the next request."""
    noticed = Noticed()
    with store_server(answers={"MGET": b"*1\r\n$1\r\nx\r\n*2\r\n$1\r\ny\r\n$1\r\nz\r\n"}) as server:

        async def work(store: RedisStore) -> list[Any]:
            first = await burst(store, 1)
            server.answers = {}
            return first + await burst(store, 1)

        wrong, right = with_store(server.url, noticed, work)
    assert wrong.code == "store_answer_invalid"
    assert right == [None, None]


def test_nothing_listens_or_no_password_can_be_read(tmp_path: Path) -> None:
    noticed = Noticed()

    async def ask(store: RedisStore) -> list[Any]:
        return await burst(store, 1)

    [gone] = with_store("redis://127.0.0.1:1", noticed, ask)
    assert gone.code == "store_unreachable"
    with store_server() as server:
        [unread] = with_store(server.url, noticed, ask, password_file=tmp_path / "none")
    assert unread.code == "store_password_unreadable"
    assert server.commands == []


def test_the_database_of_the_url_is_selected_and_nothing_else_is_said() -> None:
    def said(server: StoreServer, database: str) -> list[str]:
        with_store(f"{server.url}{database}", Noticed(), lambda store: burst(store, 1))
        commands, server.commands = server.commands, []
        return commands

    with store_server() as server:
        assert said(server, "") == ["MGET"]
        assert said(server, "/3") == said(server, "?db=3") == ["SELECT", "MGET"]


def test_a_minute_later_the_line_says_how_many_were_left_out(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    clock = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    watch = Noticed().watch()
    with caplog.at_level(logging.WARNING):
        for second in range(121):
            clock[0] = float(second)
            watch.fault(StoreFault("store_loading", "loading"))
            watch.fault(StoreFault("store_busy", "busy"))
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 6
    assert sum("59 more" in line for line in lines) == 4
