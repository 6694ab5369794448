"""Connects the control plane to a store; owns how long that may take, and what its errors mean.

The URL and the errors are read by the modules that the pod reads them with, so that one URL names
one database everywhere and one fault has one code.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import redis
from redis.backoff import ExponentialBackoff
from redis.connection import (
    AbstractConnection,
    Connection,
    SSLConnection,
    UnixDomainSocketConnection,
)
from redis.retry import Retry

from feature_runtime.serving.store_faults import UNREADABLE, fault_of
from feature_runtime.serving.store_url import StoreUrl, StoreUrlError, parse_store_url
from proviso.contracts.base import InputError, Problem

CONNECT_SECONDS = 5
"""For each of: connecting, TLS, saying who we are, and asking a connection that was idle."""

RETRY_SECONDS = 10
"""Since the start of a command; what fails later is not tried again."""

IDLE_SECONDS = 5
_ANSWER_SECONDS = 30
T = TypeVar("T")

GROUP_EXISTS = "group_exists"
"""Code of making a consumer group that is there already."""


class _Bounded(AbstractConnection):
    """Gives up soon where nothing is at work yet; an answer may take longer."""

    def _connect(self) -> Any:
        usual, self.socket_timeout = self.socket_timeout, CONNECT_SECONDS
        try:
            made = super()._connect()  # type: ignore[safe-super,no-untyped-call]
        finally:
            self.socket_timeout = usual
        made.settimeout(usual)
        return made

    def on_connect_check_health(self, check_health: bool = True) -> None:
        with self._hurried():
            super().on_connect_check_health(check_health)

    def _send_ping(self) -> None:
        with self._hurried():
            super()._send_ping()  # type: ignore[no-untyped-call]

    @contextmanager
    def _hurried(self) -> Iterator[None]:
        if self._sock:
            self._sock.settimeout(CONNECT_SECONDS)
        try:
            yield
        finally:
            if self._sock:
                self._sock.settimeout(self.socket_timeout)


class _TcpConnection(_Bounded, Connection): ...


class _TlsConnection(_Bounded, SSLConnection): ...


class _UnixConnection(_Bounded, UnixDomainSocketConnection): ...


class _BoundedRetry(Retry):
    """Tries again for RETRY_SECONDS, however long a single try takes."""

    def call_with_retry(
        self,
        do: Callable[[], T],
        fail: Callable[..., Any],
        is_retryable: Callable[[Exception], bool] | None = None,
        with_failure_count: bool = False,
    ) -> T:
        until = time.monotonic() + RETRY_SECONDS

        def in_time(error: Exception) -> bool:
            return time.monotonic() < until and (is_retryable is None or is_retryable(error))

        return super().call_with_retry(do, fail, in_time, with_failure_count)


def open_client(url: str, password_file: Path | None = None) -> tuple[str, Any]:
    """An address that may be printed, and a client that connects when it is first used."""
    place = _place(url)
    pool = redis.ConnectionPool(
        connection_class=_connection_class(place),
        username=place.user,
        password=_password(password_file),
        socket_timeout=_ANSWER_SECONDS,
        socket_connect_timeout=CONNECT_SECONDS,
        health_check_interval=IDLE_SECONDS,
        retry=_BoundedRetry(ExponentialBackoff(cap=1, base=0.1), 3),
        **place.arguments(),
    )
    return place.address, redis.Redis(connection_pool=pool)


@contextmanager
def store_errors(address: str) -> Iterator[None]:
    """Turns the client's errors into InputError, each with its code."""
    try:
        yield
    except InputError:
        raise
    except (redis.RedisError, OSError, *UNREADABLE) as error:
        code, what = _fault(error)
        raise InputError.event(code, what, f"online store {address}") from error


def _fault(error: Exception) -> tuple[str, str]:
    if "Consumer Group name already exists" in str(error):
        return GROUP_EXISTS, "the consumer group exists"
    fault = fault_of(error)
    return fault.code, fault.message


def _connection_class(place: StoreUrl) -> type[AbstractConnection]:
    if place.path:
        return _UnixConnection
    return _TlsConnection if place.encrypted else _TcpConnection


def _place(url: str) -> StoreUrl:
    if _has_password(url):
        found, wanted, why = "a password in the URL", "--store-password-file", "URLs end up in logs"
        raise InputError.of("--store", found, wanted, why, code="store_password_in_url")
    try:
        return parse_store_url(url)
    except StoreUrlError as error:
        problem = Problem("--store", error.found, error.wanted, error.why, error.code)
        raise InputError([problem]) from None


def _has_password(url: str) -> bool:
    try:
        return bool(urlsplit(url).password)
    except ValueError:
        return False


def _password(path: Path | None) -> str | None:
    if path is None:
        return None
    try:
        return path.read_text(encoding="utf-8").strip()
    except UnicodeDecodeError:
        code = "password_file_invalid"
        raise InputError.of(path, "no text", "a password file", code=code) from None
    except OSError as error:
        reason = f"cannot read the password file: {error.strerror or error}"
        raise InputError.event("file_unreadable", reason, path) from None
