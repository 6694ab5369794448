"""The online store as the pod reads it: one MGET per request, behind a small port.

This module owns redis.asyncio. The password is read from its file at every connection, so that
a rotated one is used without a restart; connections that exist go on with the one they had.

A connection that has been idle may be dead without a sign: a load balancer between pod and store
forgets it. So one that was idle is asked first, and a command that is lost is sent once more on a
new connection, both within the deadline.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.connection import (
    AbstractConnection,
    Connection,
    SSLConnection,
    UnixDomainSocketConnection,
)
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.credentials import CredentialProvider
from redis.exceptions import AuthenticationError, RedisError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeout

from feature_runtime.serving.errors import ServingError, deadline_exceeded, unavailable
from feature_runtime.serving.store_faults import TIMEOUT, UNREADABLE, StoreFault, fault_of
from feature_runtime.serving.store_url import StoreUrl

IDLE_SECONDS = 5
"""A connection that was idle for longer is asked (PING) before it is used."""

_CONNECTIONS = 32
_MAX_PASSWORD = 4096
_LOG_EVERY = 60.0  # seconds
_INVALID = StoreFault("store_answer_invalid", "the answer is not one value or null for each key")
_SILENCE = (RedisConnectionError, RedisTimeout)  # themselves: what derives from them was answered
_log = logging.getLogger("kserve.proviso")

Replaced = Literal["idle", "lost"]
"""Why a connection was replaced: it had been idle and did not answer; a command on it was lost."""


class PasswordFile(CredentialProvider):
    """Reads the store's password when a connection is made."""

    def __init__(self, path: Path, username: str | None) -> None:
        self._path = path
        self._username = username

    def get_credentials(self) -> tuple[str] | tuple[str, str]:
        try:
            with self._path.open(encoding="utf-8") as file:
                password = file.read(_MAX_PASSWORD).strip()
        except (OSError, UnicodeDecodeError) as error:
            raise AuthenticationError(str(self._path), status_code="PASSWORDFILE") from error
        return (self._username, password) if self._username else (password,)

    async def get_credentials_async(self) -> tuple[str] | tuple[str, str]:
        """The same: a file of a few bytes is not worth a thread."""
        return self.get_credentials()


class StoreWatch:
    """What is noticed of a store: counted, and each fault logged once a minute.

    on_fault is called with the fault's code.
    """

    def __init__(
        self,
        address: str,
        on_fault: Callable[[str], None],
        on_replaced: Callable[[Replaced], None],
    ) -> None:
        self.on_replaced = on_replaced
        self._address, self._on_fault = address, on_fault
        self._logged: dict[str, float] = {}
        self._unlogged: dict[str, int] = {}

    def fault(self, fault: StoreFault) -> None:
        """Counts a fault; logs it if its code has not been logged within a minute."""
        self._on_fault(fault.code)
        now = time.monotonic()
        if now - self._logged.get(fault.code, -_LOG_EVERY) < _LOG_EVERY:
            self._unlogged[fault.code] = self._unlogged.get(fault.code, 0) + 1
            return
        self._logged[fault.code] = now
        more = self._unlogged.pop(fault.code, 0)
        times = f", {more} more since the last line" if more else ""
        _log.warning("store %s: %s [%s]%s", self._address, fault.message, fault.code, times)


class _Checked(AbstractConnection):
    """A connection that is given up soon when it does not answer, and says so."""

    def __init__(self, *, watch: StoreWatch, patience: float, **arguments: Any) -> None:
        self._watch, self._patience = watch, patience
        self._made = False
        super().__init__(**arguments)

    async def on_connect_check_health(self, check_health: bool = True) -> None:
        now = asyncio.get_running_loop().time()
        self.next_health_check = now + self.health_check_interval  # a new one need not be asked
        await super().on_connect_check_health(check_health)
        self._made = True

    async def _send_ping(self) -> None:
        try:
            async with asyncio.timeout(self._patience):
                await super()._send_ping()  # type: ignore[no-untyped-call]
        except TimeoutError:
            raise RedisTimeout("no answer to PING") from None

    async def disconnect(
        self,
        nowait: bool = False,
        error: Exception | None = None,
        failure_count: int | None = None,
        health_check_failed: bool = False,
    ) -> None:
        if self._made and type(error) in _SILENCE:
            self._made = False
            self._watch.on_replaced("idle" if health_check_failed else "lost")
        # The end of a connection that failed is not waited for: nothing may answer there.
        now = nowait or error is not None
        await super().disconnect(now, error, failure_count, health_check_failed)


class _TcpConnection(_Checked, Connection): ...


class _TlsConnection(_Checked, SSLConnection): ...


class _UnixConnection(_Checked, UnixDomainSocketConnection): ...


class RedisStore:
    """A store that speaks the Redis protocol: Valkey, Redis, Tair.

    timeout: microseconds after which the store counts as too slow. watch: what is noticed of it.
    """

    def __init__(
        self, url: StoreUrl, password_file: Path | None, timeout: int, watch: StoreWatch
    ) -> None:
        self._deadline, self._watch = timeout, watch
        self._pool = BlockingConnectionPool(
            max_connections=_CONNECTIONS,
            timeout=timeout / 1e6,
            connection_class=_connection_class(url),
            watch=watch,
            patience=timeout / 4e6,
            # Half of the deadline, so that a command that is lost can be sent again. At once:
            # waiting would only turn an unreachable store into a slow one.
            socket_timeout=timeout / 2e6,
            socket_connect_timeout=timeout / 2e6,
            health_check_interval=IDLE_SECONDS,
            retry=Retry(NoBackoff(), 1),
            **url.arguments(),
            **_credentials(url, password_file),
        )
        self._client = Redis.from_pool(self._pool)

    async def read(self, keys: Sequence[bytes]) -> Sequence[bytes | None]:
        if not keys:
            return ()
        values = await self._in_time(self._client.mget(keys))
        if (
            not isinstance(values, list)
            or len(values) != len(keys)
            or any(value is not None and not isinstance(value, bytes) for value in values)
        ):
            with suppress(RedisError, OSError):
                await self._pool.disconnect(inuse_connections=False)  # out of step
            raise self._error(_INVALID)
        return values

    async def check(self) -> None:
        await self._in_time(self._client.ping())

    async def close(self) -> None:
        await self._client.aclose()
        await self._pool.aclose()

    async def _in_time(self, command: Awaitable[Any]) -> Any:
        try:
            async with asyncio.timeout(self._deadline / 1e6):
                return await command
        except (RedisError, OSError, *UNREADABLE) as error:
            raise self._error(fault_of(error)) from error

    def _error(self, fault: StoreFault) -> ServingError:
        self._watch.fault(fault)
        if fault.code == TIMEOUT:
            return deadline_exceeded("store", self._deadline)
        return unavailable("store", fault.code, fault.message)


def _connection_class(url: StoreUrl) -> type[AbstractConnection]:
    if url.path:
        return _UnixConnection
    return _TlsConnection if url.encrypted else _TcpConnection


def _credentials(url: StoreUrl, password_file: Path | None) -> dict[str, Any]:
    if password_file is not None:
        return {"credential_provider": PasswordFile(password_file, url.user)}
    return {"username": url.user, "password": url.password}
