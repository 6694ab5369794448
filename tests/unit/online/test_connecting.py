"""The control plane's connection to a store: bounded, in the URL's database, every fault named."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from proviso.contracts.base import InputError
from proviso.online import connecting
from proviso.online.store import OnlineStore
from proviso.online.stream.valkey import ValkeyProducer
from tests.store_server import StoreServer, store_server

GIVEN_UP = 25
"""Seconds, far above the bounds below and far below the wait for an answer, repeated."""

SHA = b"$40\r\n" + b"a" * 40 + b"\r\n"
NODE = b"*4\r\n$4\r\nmode\r\n$7\r\ncluster\r\n$4\r\nrole\r\n$6\r\nmaster\r\n"


@pytest.fixture
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bounds are the module's own, shortened."""
    monkeypatch.setattr(connecting, "CONNECT_SECONDS", 1)
    monkeypatch.setattr(connecting, "RETRY_SECONDS", 2)


def fault(work: Callable[[], object]) -> tuple[str, float]:
    """The code with which some work is refused, and after how many seconds."""
    began = time.monotonic()
    with pytest.raises(InputError) as raised:
        work()
    [problem] = raised.value.problems
    assert "S3CRET" not in problem.printed
    return problem.code, time.monotonic() - began


@pytest.fixture
def password(tmp_path: Path) -> Path:
    path = tmp_path / "password"
    path.write_text("S3CRET\n")
    return path


@pytest.mark.usefixtures("hurry")
@pytest.mark.parametrize("scheme", ["redis", "rediss"])
def test_what_accepts_and_never_answers_is_given_up(scheme: str, password: Path) -> None:
    with store_server(deaf=True) as server:
        url = server.url.replace("redis", scheme)
        code, seconds = fault(lambda: OnlineStore(url, password))
    assert code == "store_timeout"
    assert seconds < GIVEN_UP


def test_a_plain_port_is_no_tls_port() -> None:
    with store_server(greeting=b"-ERR Protocol error\r\n") as server:
        code, seconds = fault(lambda: OnlineStore(server.url.replace("redis", "rediss")))
    assert code == "store_tls_failed"
    assert seconds < GIVEN_UP


REFUSALS = {
    b"-LOADING Valkey is loading the dataset in memory\r\n": "store_loading",
    b"-MOVED 1 127.0.0.1:7001\r\n": "store_is_cluster",
    b"-CLUSTERDOWN Hash slot not served\r\n": "store_cluster_down",
    b"-READONLY You can't write against a read only replica.\r\n": "store_read_only",
    b"-NOAUTH Authentication required.\r\n": "store_password_missing",
    b"-NOPERM this user has no permissions to run the 'script|load' command\r\n": (
        "store_permission_denied"
    ),
    b"-OOM command not allowed when used memory > 'maxmemory'.\r\n": "store_out_of_memory",
    b"-ERR unknown command 'SCRIPT', with args beginning with: 'S3CRET'\r\n": "store_error",
    b"HTTP/1.0 400 Bad Request\r\n\r\n": "store_protocol_error",
    b"*many\r\n": "store_protocol_error",
}


@pytest.mark.parametrize("answer", REFUSALS, ids=lambda answer: repr(answer[:14]))
def test_a_writers_faults_have_the_pods_codes(answer: bytes) -> None:
    with store_server(answers={"SCRIPT": answer}) as server:
        assert fault(lambda: OnlineStore(server.url))[0] == REFUSALS[answer]
    with store_server(answers={"XADD": answer}) as server:
        producer = ValkeyProducer(server.url, None, "sales")
        assert fault(lambda: producer.append([{"a": "b"}]))[0] == REFUSALS[answer]


def test_a_wrong_password_is_named_and_not_shown(password: Path) -> None:
    with store_server(answers={"AUTH": b"-WRONGPASS invalid S3CRET\r\n"}) as server:
        code = fault(lambda: OnlineStore(server.url, password))[0]
    assert code == "store_password_rejected"


def test_a_node_of_a_cluster_is_refused_before_anything_is_written() -> None:
    with store_server(answers={"HELLO": NODE, "SCRIPT": SHA}) as server:
        assert fault(lambda: OnlineStore(server.url))[0] == "store_is_cluster"
        assert set(server.commands) <= {"HELLO", "PING"}


@pytest.mark.parametrize(("database", "selected"), [("", 0), ("/0", 0), ("/3", 1), ("?db=5", 1)])
def test_the_database_of_the_url_is_selected(database: str, selected: int) -> None:
    with (
        store_server(answers={"SCRIPT": SHA}) as server,
        closing(OnlineStore(f"{server.url}{database}")) as store,
    ):
        assert server.commands.count("SELECT") == selected
        assert store.address.endswith("/3" if database == "/3" else "/5" if selected else "")


@pytest.mark.usefixtures("hurry")
def test_a_writer_survives_a_connection_that_died_unnoticed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connecting, "IDLE_SECONDS", 0.05)
    time_of_day = b"*2\r\n$1\r\n7\r\n$1\r\n0\r\n"
    with (
        store_server(answers={"SCRIPT": SHA, "TIME": time_of_day}) as server,
        closing(OnlineStore(server.url)) as store,
    ):
        assert store.clock() == 7_000_000
        server.forget()
        time.sleep(0.1)
        began = time.monotonic()
        assert store.clock() == 7_000_000
        assert time.monotonic() - began < GIVEN_UP


POLICIES = {
    ("0", "allkeys-lru"): 0,
    ("1000", "noeviction"): 0,
    ("1000", "allkeys-lru"): 1,
    ("1000", "volatile-ttl"): 1,
    ("1000", "volatile-lfu"): 1,
}


@pytest.mark.parametrize(("limit", "policy"), POLICIES)
def test_a_store_that_may_drop_timelines_is_warned_of(limit: str, policy: str) -> None:
    text = f"maxmemory:{limit}\r\nmaxmemory_policy:{policy}\r\n".encode()
    info = b"$%d\r\n%s\r\n" % (len(text), text)
    with (
        store_server(answers={"SCRIPT": SHA, "INFO": info}) as server,
        closing(OnlineStore(server.url)) as store,
    ):
        warnings = store.warnings()
    assert len(warnings) == POLICIES[limit, policy]
    assert all(policy in warning for warning in warnings)


def test_a_user_that_may_not_ask_is_not_warned() -> None:
    def denied(server: StoreServer) -> tuple[str, ...]:
        with closing(OnlineStore(server.url)) as store:
            return store.warnings()

    with store_server(answers={"SCRIPT": SHA, "INFO": b"-NOPERM no\r\n"}) as server:
        assert denied(server) == ()
