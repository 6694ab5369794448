"""The online store as the control plane writes it; owns the synchronous Valkey client.

The pod reads through `feature_runtime.serving.store`. Both speak the same keys and bytes
(`feature_runtime.core.keys`, `feature_runtime.core.timeline`).
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import redis
from redis.backoff import ExponentialBackoff
from redis.retry import Retry

from feature_runtime.core.availability import ViewTimes
from feature_runtime.core.keys import timeline_key, watermark_key
from feature_runtime.core.timeline import MERGE_LUA
from proviso.contracts.base import InputError

# KEYS[1] the watermark hash; ARGV: watermark, merge clock. Both only ever rise.
_WATERMARK_LUA = """
for i, field in ipairs({'watermark', 'merge_clock'}) do
  local old = tonumber(redis.call('HGET', KEYS[1], field))
  if old == nil or tonumber(ARGV[i]) > old then redis.call('HSET', KEYS[1], field, ARGV[i]) end
end
return redis.call('HMGET', KEYS[1], 'watermark', 'merge_clock')
"""

# KEYS[1] the watermark hash, if any; ARGV[1]: the as-of moment, or '' for the store's clock. Says
# that merges use this clock, and returns what the store's own is.
_MARK_LUA = """
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
if KEYS[1] == nil then return now end
local clock = tonumber(ARGV[1]) or now
local old = tonumber(redis.call('HGET', KEYS[1], 'merge_clock'))
if old == nil or clock > old then
  redis.call('HSET', KEYS[1], 'merge_clock', string.format('%.0f', clock))
end
return now
"""

KEYS_A_CALL = 100
"""About a millisecond of the store's time; ten times fewer calls to encode and to answer."""

KEYS_A_SCAN = 1_000
"""Keys that the store looks at in one step of a scan, so that no step holds up a request."""


@dataclass(frozen=True)
class Merged:
    """What a batch of merges did: keys changed, and rows refused as conflicting repeats.

    clock: the store's own when all of it was done.
    """

    stored: int
    conflicts: int
    clock: int


@dataclass(frozen=True)
class Watermark:
    """`complete`: all that becomes visible up to here is written. `merge_clock`: the greatest
    clock that any merge used. Microseconds."""

    complete: int
    merge_clock: int


@dataclass(frozen=True)
class _Place:
    host: str
    port: int
    encrypted: bool
    user: str | None


def open_client(url: str, password_file: Path | None = None) -> tuple[str, Any]:
    """An address that may be printed, and a client that connects when it is first used."""
    place = _place(url)
    client: Any = redis.Redis(
        host=place.host,
        port=place.port,
        ssl=place.encrypted,
        username=place.user,
        password=_password(password_file),
        socket_timeout=30,
        socket_connect_timeout=5,
        retry=Retry(ExponentialBackoff(cap=1, base=0.1), 3),
    )
    return f"{place.host}:{place.port}", client


TIMELINE_FULL = "timeline_full"
"""Code of a merge that the store refuses because a key would hold too many rows."""

GROUP_EXISTS = "group_exists"
"""Code of making a consumer group that is there already."""


@contextmanager
def store_errors(address: str) -> Iterator[None]:
    """Turns the client's errors into InputError, each with its code."""
    try:
        yield
    except redis.RedisError as error:
        code, what = _fault(error)
        raise InputError.event(code, what, f"online store {address}") from error


def _fault(error: redis.RedisError) -> tuple[str, str]:
    """(code, message) of a client's error.

    The server's and our script's errors begin with a word that says which they are.
    """
    text = " ".join(str(error).split())[:200] or type(error).__name__
    for part, code in _REFUSED.items():
        if part in text:
            return code, f"refused: {text}"
    for kinds, code, what in _FAULTS:
        if isinstance(error, kinds):
            return code, f"{what}: {text}"
    return "store_error", f"command failed: {text}"


_REFUSED = {
    "rows for one key": TIMELINE_FULL,
    "TIMELINE found event_ts beyond": "row_in_future",
    "TIMELINE found another schema": "timeline_of_other_schema",
    "Consumer Group name already exists": GROUP_EXISTS,
}
_FAULTS: tuple[tuple[tuple[type[redis.RedisError], ...], str, str], ...] = (
    (
        (redis.exceptions.AuthenticationError, redis.exceptions.NoPermissionError),
        "store_access_denied",
        "access denied",
    ),
    ((redis.TimeoutError,), "store_timeout", "no answer in time"),
    ((redis.ConnectionError,), "store_unreachable", "cannot connect"),
)


class OnlineStore:
    """A connection that writes timelines and watermarks. Raises InputError when unreachable."""

    def __init__(self, url: str, password_file: Path | None = None) -> None:
        self.address, self._client = open_client(url, password_file)
        self._load()

    def _load(self) -> None:
        with self._errors():
            scripts = (MERGE_LUA, _WATERMARK_LUA, _MARK_LUA)
            loaded = [str(self._client.script_load(script)) for script in scripts]
        self._merge, self._advance, self._mark = loaded

    def _errors(self) -> AbstractContextManager[None]:
        return store_errors(self.address)

    def close(self) -> None:
        self._client.close()

    def merge(
        self,
        timelines: Sequence[tuple[bytes, bytes]],
        times: ViewTimes,
        margin: int,
        as_of: int | None,
        mark: bytes | None = None,
    ) -> Merged:
        """Merges (key, packed rows) pairs in one pipeline.

        as_of None: the store's own clock. mark: the watermark whose merge clock rises with it,
        before a key forgets anything. Raises InputError when the store refuses a row.
        """
        clock = "" if as_of is None else str(as_of)
        durations = (times.source_delay, times.lookback, margin)
        marked = (self._mark, 0, clock) if mark is None else (self._mark, 1, mark, clock)
        pipeline = self._client.pipeline(transaction=False)
        pipeline.evalsha(*marked)
        for some in _batched(timelines, KEYS_A_CALL):
            names, blobs = zip(*some, strict=True)
            pipeline.evalsha(self._merge, len(some), *names, *blobs, *durations, clock)
        pipeline.evalsha(*marked)
        with self._errors():
            _, *answers, done = self._executed(pipeline)
        return Merged(sum(a[0] for a in answers), sum(a[1] for a in answers), done)

    def set_keys(self, pairs: Sequence[tuple[bytes, bytes]], expires: int) -> None:
        """SET of some keys in one pipeline, until `expires` (us): a benchmark's baseline."""
        pipeline = self._client.pipeline(transaction=False)
        for key, blob in pairs:
            pipeline.set(key, blob, pxat=expires // 1_000)
        with self._errors():
            pipeline.execute()

    def _executed(self, pipeline: Any) -> list[Any]:
        """The answers; loads the scripts again if the store lost them in a restart."""
        calls = list(pipeline.command_stack)
        try:
            return list(pipeline.execute())
        except redis.exceptions.NoScriptError:
            self._load()
        pipeline.command_stack = calls
        return list(pipeline.execute())

    def read(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """The bytes of some keys, in one MGET."""
        with self._errors():
            return list(self._client.mget(keys)) if keys else []

    def timeline_keys(self, view: str, schema: str) -> Iterator[bytes]:
        """The keys of a view's schema, in no order, scanned in bounded steps; a key that moves
        meanwhile may come twice."""
        return self._scan(timeline_key("*", view, schema))

    def schemas(self, view: str) -> set[str]:
        """All schemas under which a view has been written."""
        found = self._scan(watermark_key(view, "*"))
        return {key.decode().rpartition(":")[2] for key in found}

    def every_key(self) -> Iterator[bytes]:
        """All timelines and watermarks, as `timeline_keys` gives those of one schema."""
        return self._scan(b"fs:*")

    def remove(self, keys: Sequence[bytes]) -> int:
        """Removes some keys, in one UNLINK; returns how many there were."""
        with self._errors():
            return int(self._client.unlink(*keys)) if keys else 0

    def _scan(self, pattern: bytes) -> Iterator[bytes]:
        cursor = 0
        while True:
            with self._errors():
                cursor, found = self._client.scan(cursor, match=pattern, count=KEYS_A_SCAN)
            yield from found
            if cursor == 0:
                return

    def replace(self, key: bytes, blob: bytes) -> None:
        """Overwrites a key as it is, keeping its expiry: for drills that damage a value."""
        with self._errors():
            self._client.set(key, blob, keepttl=True)

    def calls(self, command: str) -> int:
        """How often the store has served a command since it started."""
        with self._errors():
            statistics = self._client.info("commandstats")
        found = statistics.get(f"cmdstat_{command}", {"calls": 0})
        return int(found["calls"])

    def clock(self) -> int:
        """The store's own clock, in microseconds."""
        with self._errors():
            seconds, microseconds = self._client.time()
        return int(seconds) * 1_000_000 + int(microseconds)

    def token(self, view: str, schema: str) -> str:
        """An id of this store's content; it is another after the store was emptied."""
        key, fresh = watermark_key(view, schema), secrets.token_hex(8)
        with self._errors():
            self._client.hsetnx(key, "store", fresh)
            return str(self._client.hget(key, "store").decode())

    def landed(self, view: str, schema: str, landing: str) -> int:
        """The last part of a landing that a view has published; 0: none."""
        with self._errors():
            found = self._client.hget(watermark_key(view, schema), f"landing:{landing}")
        return int(found or 0)

    def record_landed(self, view: str, schema: str, landing: str, part: int) -> None:
        """Records that a view has published a landing up to a part."""
        with self._errors():
            self._client.hset(watermark_key(view, schema), f"landing:{landing}", part)

    def watermark(self, view: str, schema: str) -> Watermark | None:
        """How far a view's schema has been written; None when it never was."""
        with self._errors():
            found = self._client.hmget(watermark_key(view, schema), "watermark", "merge_clock")
        return None if None in found else Watermark(int(found[0]), int(found[1]))

    def advance(self, view: str, schema: str, complete: int, merge_clock: int) -> Watermark:
        """Moves the watermark of a complete run; it never goes back."""
        key = watermark_key(view, schema)
        pipeline = self._client.pipeline(transaction=False)
        pipeline.evalsha(self._advance, 1, key, complete, merge_clock)
        with self._errors():
            [found] = self._executed(pipeline)
        return Watermark(int(found[0]), int(found[1]))


def _batched(
    timelines: Sequence[tuple[bytes, bytes]], size: int
) -> Iterator[Sequence[tuple[bytes, bytes]]]:
    return (timelines[at : at + size] for at in range(0, len(timelines), size))


_URL = "redis://host:port"


def _place(url: str) -> _Place:
    """Parses a store URL. No part of a URL that may hold a password is put into a message."""
    try:
        parts = urlsplit(url)
        port = parts.port or 6379
    except ValueError:
        raise InputError.of("--store", "no URL", _URL, code="store_url_invalid") from None
    if parts.password:
        found, wanted, why = "a password in the URL", "--store-password-file", "URLs end up in logs"
        raise InputError.of("--store", found, wanted, why, code="store_password_in_url")
    if parts.scheme not in {"redis", "rediss"} or not parts.hostname:
        raise InputError.of("--store", repr(url), _URL, code="store_url_invalid")
    return _Place(parts.hostname, port, parts.scheme == "rediss", parts.username)


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
