"""The online store as the pod reads it: one MGET per request, behind a small port.

This module owns redis.asyncio. The password is read from its file at every connection, so that
a rotated one is used without a restart; connections that exist go on with the one they had.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.credentials import CredentialProvider
from redis.exceptions import AuthenticationError, NoPermissionError, RedisError
from redis.exceptions import TimeoutError as RedisTimeout

from feature_runtime.serving.errors import ServingError, deadline_exceeded, unavailable

_CONNECTIONS = 32
_MAX_PASSWORD = 4096


class PasswordFile(CredentialProvider):
    """Reads the store's password when a connection is made."""

    def __init__(self, path: Path, username: str | None) -> None:
        self._path = path
        self._username = username

    def get_credentials(self) -> tuple[str] | tuple[str, str]:
        with self._path.open() as file:
            password = file.read(_MAX_PASSWORD).strip()
        return (self._username, password) if self._username else (password,)

    async def get_credentials_async(self) -> tuple[str] | tuple[str, str]:
        """The same: a file of a few bytes is not worth a thread."""
        return self.get_credentials()


class RedisStore:
    """A store that speaks the Redis protocol: Valkey, Redis, Tair.

    timeout: microseconds after which the store counts as too slow.
    """

    def __init__(self, url: str, password_file: Path | None, timeout: int) -> None:
        self._deadline = timeout
        self._pool = BlockingConnectionPool.from_url(
            url,
            max_connections=_CONNECTIONS,
            timeout=timeout / 1e6,
            socket_timeout=timeout / 1e6,
            socket_connect_timeout=timeout / 1e6,
            # One more try at once mends a connection that the store closed; waiting would only
            # turn an unreachable store into a slow one.
            retry=Retry(NoBackoff(), 1),
        )
        if password_file is not None:
            user = self._pool.connection_kwargs.pop("username", None)
            self._pool.connection_kwargs.pop("password", None)
            self._pool.connection_kwargs["credential_provider"] = PasswordFile(password_file, user)
        self._client = Redis.from_pool(self._pool)

    async def read(self, keys: Sequence[bytes]) -> Sequence[bytes | None]:
        if not keys:
            return ()
        try:
            values: Any = await self._client.mget(keys)
        except (RedisError, OSError) as error:
            raise self._error(error) from error
        return list(values)

    async def check(self) -> None:
        try:
            await self._client.ping()
        except (RedisError, OSError) as error:
            raise self._error(error) from error

    async def close(self) -> None:
        await self._client.aclose()
        await self._pool.aclose()

    def _error(self, error: Exception) -> ServingError:
        if isinstance(error, RedisTimeout | asyncio.TimeoutError):
            return deadline_exceeded("store", self._deadline)
        if isinstance(error, AuthenticationError):
            return unavailable("store", "store_password_rejected", "the password is rejected")
        if isinstance(error, NoPermissionError):
            return unavailable("store", "store_permission_denied", "the command is denied")
        return unavailable("store", "store_unreachable", "no connection")
