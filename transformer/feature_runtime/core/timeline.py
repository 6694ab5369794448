"""The online key is a tiny timeline: its bytes, and how a writer merges rows into it.

Rows are written before they become visible, so a key holds more than one row and the pod picks
the winner with the availability rule and its own clock. `merge` is the plain reference;
`MERGE_LUA` is the same decision inside the store, where it is atomic between writers.

Bytes: `pv1`, schema (8), then per row: length of what follows (u32), event_ts (i64),
created_ts (i64), run id (u64), number of values (u16), one type tag per value, the values.
All little-endian. A value carries its own type, so that a wrong one is seen, not misread.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from functools import lru_cache

from feature_runtime.core.availability import Row, Value, ViewTimes, order, visible_from
from feature_runtime.core.coded import CodedError
from feature_runtime.core.values import MAX_TEXT_BYTES, TEXT, valid_text

MAGIC = b"pv1"
BUSY_ROWS = 64
"""A key that holds more rows is busy: its live writer publishes one row for each slice of time."""

MAX_ROWS = 1024
"""A key never holds more: what would exceed it is refused, for this key alone."""

_HEADER = len(MAGIC) + 8
_ROW = struct.Struct("<IqqQH")
_FORMAT = {"n": "", "i": "q", "f": "d", "b": "?", "s": "I"}


FULL = "timeline_full"
FUTURE = "row_in_future"
FOREIGN = "timeline_of_other_schema"
"""Why the merge of a key is refused: too many rows, an event_ts beyond the clock and its margin,
or bytes in the key that are no timeline of the schema."""


class TimelineError(CodedError):
    """The stored bytes are not a timeline of the expected schema."""


def pack(schema: str, rows: Iterable[Row]) -> bytes:
    """The bytes of a key. `schema` is 16 hex digits. Raises TimelineError for a long string."""
    return b"".join([MAGIC, bytes.fromhex(schema), *map(_pack_row, rows)])


def unpack(schema: str, blob: bytes) -> tuple[Row, ...]:
    """The rows of a key, in stored order. Raises TimelineError."""
    if blob[:3] != MAGIC or len(blob) < _HEADER:
        said = f"found {blob[:3]!r}, wanted a timeline starting with {MAGIC!r}"
        raise TimelineError(said, code="timeline_not_one")
    found = blob[3:_HEADER].hex()
    if found != schema:
        said = f"found schema {found}, wanted {schema}"
        raise TimelineError(said, code=FOREIGN)
    rows, at = [], _HEADER
    try:
        while at < len(blob):
            row, at = _unpack_row(blob, at)
            rows.append(row)
    except (struct.error, KeyError, UnicodeDecodeError) as error:
        said = f"found a torn row at byte {at}: {error}"
        raise TimelineError(said, code="timeline_torn") from error
    return tuple(rows)


def merge(
    times: ViewTimes, rows: Iterable[Row], incoming: Iterable[Row], clock: int, margin: int
) -> tuple[Row, ...]:
    """What a key holds after a merge at `clock`; raises TimelineError when it must be refused.

    Keeps the newest row visible at c = clock - margin, and every row not visible at c unless a
    greater row becomes visible no later. Of two rows with one (event_ts, created_ts) the one
    already there stays. Idempotent and independent of the order of merges.
    """
    known = {order(row): row for row in incoming}
    if any(row.event_ts > clock + margin for row in known.values()):
        said = "found event_ts beyond the clock and its margin, wanted a past event"
        raise TimelineError(said, code=FUTURE)
    known.update({order(row): row for row in rows})
    horizon = clock - margin
    kept: list[Row] = []
    by_visibility = sorted(known.values(), key=lambda r: (visible_from(times, r), order(r)))
    for row in by_visibility:
        if kept and order(row) < order(kept[-1]):
            continue
        seen = visible_from(times, row)
        if kept and (seen <= horizon or seen == visible_from(times, kept[-1])):
            kept.pop()
        kept.append(row)
    if len(kept) > MAX_ROWS:
        said = f"found {len(kept)} rows for one key, wanted at most {MAX_ROWS}"
        raise TimelineError(said, code=FULL)
    return tuple(kept)


def _pack_row(row: Row) -> bytes:
    tags = "".join(map(_tag, row.values))
    strings = [_text(v) for v in row.values if isinstance(v, str)]
    texts = iter(strings)
    fixed = [len(next(texts)) if isinstance(v, str) else v for v in row.values if v is not None]
    body = b"".join([tags.encode(), _values(tags).pack(*fixed), *strings])
    length = _ROW.size - 4 + len(body)
    return _ROW.pack(length, row.event_ts, row.created_ts, row.run_id, len(tags)) + body


def _text(value: str) -> bytes:
    if not valid_text(value):
        raise _too_long(len(value.encode(errors="surrogatepass")))
    return value.encode()


def _too_long(size: int) -> TimelineError:
    said = f"found a string of {size} bytes, wanted {TEXT}"
    return TimelineError(said, code="timeline_string_invalid")


def _unpack_row(blob: bytes, at: int) -> tuple[Row, int]:
    length, event_ts, created_ts, run_id, count = _ROW.unpack_from(blob, at)
    end = at + 4 + length
    if end > len(blob):
        said = f"found {len(blob) - at} bytes for a row, wanted {length + 4}"
        raise TimelineError(said, code="timeline_torn")
    body = at + _ROW.size
    tags = blob[body : body + count].decode()
    fixed = _values(tags)
    values: Sequence[Value] = fixed.unpack_from(blob, body + count)
    if "n" in tags or "s" in tags:
        values = _with_texts(tags, values, blob, body + count + fixed.size)
    return Row(event_ts, created_ts, tuple(values), run_id), end


def _with_texts(tags: str, fixed: Sequence[Value], blob: bytes, at: int) -> list[Value]:
    source, values = iter(fixed), list[Value]()
    for tag in tags:
        value = None if tag == "n" else next(source)
        if tag == "s":
            length = int(value or 0)
            if length > MAX_TEXT_BYTES:
                raise _too_long(length)
            value = blob[at : at + length].decode()
            at += length
        values.append(value)
    return values


def _tag(value: Value) -> str:
    if value is None:
        return "n"
    if isinstance(value, bool):
        return "b"
    return "i" if isinstance(value, int) else "f" if isinstance(value, float) else "s"


@lru_cache(maxsize=256)
def _values(tags: str) -> struct.Struct:
    return struct.Struct("<" + "".join(_FORMAT[tag] for tag in tags))


# KEYS n timelines; ARGV: their n incoming bytes, then source_delay, lookback, margin, as-of ('' =
# the store's own clock). Returns {keys changed, conflicts, busy keys, refused keys with reasons}:
# numbers of keys, and number and reason in turn. A key that is refused stays as it is, and the
# others are merged. A row is compared by its 16 bytes of times and otherwise moved as it is.
# Microseconds since 1970 fit a Lua number (2^53) until the year 2255. `redis` is the name that
# Redis, Valkey and Tair all know. Many keys a call, because a client spends more on one call than
# the store on one merge.
MERGE_LUA = f"""
local HEADER = {_HEADER}

local function rows_of(blob, rows, seen)
  local at, conflicts = HEADER + 1, 0
  while at <= #blob do
    local length, event, created = struct.unpack('<I4i8i8', blob, at)
    local stop = at + 4 + length
    if stop > #blob + 1 then error('a torn row') end
    local bytes = string.sub(blob, at, stop - 1)
    local times = string.sub(bytes, 5, 20)
    if seen[times] == nil then
      seen[times] = bytes
      rows[#rows + 1] = {{event = event, created = created, bytes = bytes}}
    elseif seen[times] ~= bytes then
      conflicts = conflicts + 1
    end
    at = stop
  end
  return conflicts
end

local function smaller(a, b)
  if a.event ~= b.event then return a.event < b.event end
  return a.created < b.created
end

local function earlier(a, b)
  if a.visible ~= b.visible then return a.visible < b.visible end
  return smaller(a, b)
end

local count = #KEYS
local delay, lookback = tonumber(ARGV[count + 1]), tonumber(ARGV[count + 2])
local margin, clock = tonumber(ARGV[count + 3]), tonumber(ARGV[count + 4])
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
if clock == nil then clock = now end

local function winners(rows)
  table.sort(rows, earlier)
  local kept = {{}}
  for _, row in ipairs(rows) do
    local last = kept[#kept]
    if last == nil or not smaller(row, last) then
      if last and (last.visible == row.visible or row.visible <= clock - margin) then
        kept[#kept] = nil
      end
      kept[#kept + 1] = row
    end
  end
  return kept
end

local function store(key, header, kept, stored)
  local bytes = {{header}}
  for _, row in ipairs(kept) do bytes[#bytes + 1] = row.bytes end
  local blob = table.concat(bytes)
  if blob == stored then return 0 end
  local expires = kept[#kept].event + lookback + 2 * margin
  local at = math.floor((now + expires - clock) / 1000)
  redis.call('SET', key, blob, 'PXAT', string.format('%.0f', at))
  return 1
end

local function merge(key, incoming)
  local header = string.sub(incoming, 1, HEADER)
  local stored = redis.pcall('GET', key) or header
  if type(stored) == 'table' or string.sub(stored, 1, HEADER) ~= header then
    return 0, 0, 0, '{FOREIGN}'
  end
  local rows, seen = {{}}, {{}}
  if not pcall(rows_of, stored, rows, seen) then return 0, 0, 0, '{FOREIGN}' end
  local before = #rows
  local conflicts = rows_of(incoming, rows, seen)
  for i = 1, #rows do
    local row = rows[i]
    if i > before and row.event > clock + margin then
      return 0, 0, 0, '{FUTURE}'
    end
    row.visible = math.max(row.event + delay, row.created)
  end
  local kept = winners(rows)
  if #kept > {MAX_ROWS} then return 0, 0, 0, '{FULL}' end
  return store(key, header, kept, stored), conflicts, #kept
end

local changed, conflicts, busy, refused = 0, 0, {{}}, {{}}
for i = 1, count do
  local one, differing, held, fault = merge(KEYS[i], ARGV[i])
  changed, conflicts = changed + one, conflicts + differing
  if held > {BUSY_ROWS} then busy[#busy + 1] = i end
  if fault then
    refused[#refused + 1] = i
    refused[#refused + 1] = fault
  end
end
return {{changed, conflicts, busy, refused}}
"""
