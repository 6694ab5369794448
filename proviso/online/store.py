"""The online store as the control plane writes it; owns the synchronous Valkey client.

The pod reads through `feature_runtime.serving.store`. Both speak the same keys and bytes
(`feature_runtime.core.keys`, `feature_runtime.core.timeline`).
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import redis

from feature_runtime.core.availability import ViewTimes
from feature_runtime.core.keys import timeline_key, watermark_key
from feature_runtime.core.timeline import MERGE_LUA
from feature_runtime.serving.store_faults import CLUSTER
from proviso.contracts.base import InputError
from proviso.online.connecting import open_client, store_errors

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

NO_EVICTION = "noeviction"

KEYS_A_CALL = 100
"""About a millisecond of the store's time; ten times fewer calls to encode and to answer."""

KEYS_A_SCAN = 1_000
"""Keys that the store looks at in one step of a scan, so that no step holds up a request."""


@dataclass(frozen=True)
class Merged:
    """What a batch of merges did: keys changed, and rows refused as conflicting repeats.

    clock: the store's own when all of it was done. busy: keys that hold more than BUSY_ROWS.
    refused: keys that stayed as they are, and why (codes of `core.timeline`).
    """

    stored: int
    conflicts: int
    clock: int
    busy: frozenset[bytes] = frozenset()
    refused: Mapping[bytes, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Watermark:
    """`complete`: all that becomes visible up to here is written. `merge_clock`: the greatest
    clock that any merge used. Microseconds."""

    complete: int
    merge_clock: int


class OnlineStore:
    """A connection that writes timelines and watermarks. Raises InputError when unreachable."""

    def __init__(self, url: str, password_file: Path | None = None) -> None:
        self.address, self._client = open_client(url, password_file)
        self._refuse_cluster()
        self._load()

    def _refuse_cluster(self) -> None:
        """HELLO needs no right; a store that does not know it is older than its mode."""
        said: Any = {}
        with self._errors(), suppress(redis.ResponseError):
            said = self._client.execute_command("HELLO", 2)
        facts = said if isinstance(said, dict) else dict(zip(said[::2], said[1::2], strict=False))
        if facts.get(b"mode") == b"cluster":
            place = f"online store {self.address}"
            raise InputError.event(CLUSTER.code, CLUSTER.message, place)

    def warnings(self) -> tuple[str, ...]:
        """What about the store's settings endangers what is written; empty if that is not known.

        A timeline that is evicted looks like an entity that was never seen.
        """
        try:
            with self._errors():
                memory = self._client.info("memory")
        except InputError:
            return ()
        limit, policy = int(memory.get("maxmemory", 0)), memory.get("maxmemory_policy", NO_EVICTION)
        if not limit or policy == NO_EVICTION:
            return ()
        dropped = f"maxmemory-policy {policy} can drop timelines at {limit:,} bytes"
        return (f"online store {self.address}: {dropped}; wanted {NO_EVICTION}",)

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
        before a key forgets anything.
        """
        clock = "" if as_of is None else str(as_of)
        durations = (times.source_delay, times.lookback, margin)
        marked = (self._mark, 0, clock) if mark is None else (self._mark, 1, mark, clock)
        pipeline = self._client.pipeline(transaction=False)
        pipeline.evalsha(*marked)
        batches = [timelines[at : at + KEYS_A_CALL] for at in range(0, len(timelines), KEYS_A_CALL)]
        for some in batches:
            names, blobs = zip(*some, strict=True)
            pipeline.evalsha(self._merge, len(some), *names, *blobs, *durations, clock)
        pipeline.evalsha(*marked)
        with self._errors():
            _, *answers, done = self._executed(pipeline)
        busy, refused = set[bytes](), dict[bytes, str]()
        for some, (_, _, held, faults) in zip(batches, answers, strict=True):
            busy |= {some[number - 1][0] for number in held}
            pairs = zip(faults[::2], faults[1::2], strict=True)
            refused |= {some[number - 1][0]: fault.decode() for number, fault in pairs}
        changed, conflicts = (sum(answer[place] for answer in answers) for place in (0, 1))
        return Merged(changed, conflicts, done, frozenset(busy), refused)

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
