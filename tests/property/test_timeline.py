"""The theorem of docs/time.md against a real Valkey: what a key keeps decides like the history.

For every t >= (greatest merge clock) - margin, the winner from the key is the winner from all
rows that were ever written: whatever the order of writers, however far apart their clocks,
with repeats, corrections, late rows and rows written ahead of their visibility.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

import pytest
import redis
from hypothesis import example, given, settings
from hypothesis import strategies as st

from feature_runtime.core import moments, timeline
from feature_runtime.core.availability import Row, Value, ViewTimes, availability, order
from proviso.local import valkey
from proviso.local.processes import Stack

SCHEMA = "00ff00ff00ff00ff"
KEY = b"fs:{customer:1}:view:schema"
TICK = moments.MINUTE
"""Times here are whole ticks, long enough that nothing expires while a test runs."""
TIMES = ViewTimes(source_delay=3 * TICK, lookback=25 * TICK, ttl=9 * TICK)
MARGIN = 4 * TICK
LAST = 60


@dataclass(frozen=True)
class Write:
    """One merge: a writer's clock, in ticks, and the rows it brings."""

    clock: int
    rows: tuple[Row, ...]


def row(event_ts: int, created_ts: int) -> Row:
    """The one row that a view may have at these times, in ticks."""
    return Row(event_ts * TICK, created_ts * TICK, (event_ts * 1000 + created_ts,), created_ts)


ROWS = st.builds(row, st.integers(0, LAST), st.integers(0, LAST + 20))


@st.composite
def writes(draw: st.DrawFn) -> list[Write]:
    """Merges in any order, of two writers with clocks apart; some rows come again and again."""
    known = draw(st.lists(ROWS, min_size=1, max_size=14, unique_by=order))
    merges = []
    for _ in range(draw(st.integers(1, 10))):
        clock = draw(st.integers(0, LAST + 10))
        brought = draw(st.lists(st.sampled_from(known), min_size=1, max_size=6, unique_by=order))
        possible = tuple(r for r in brought if r.event_ts <= clock * TICK + MARGIN)
        if possible:
            merges.append(Write(clock, possible))
    return merges


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[redis.Redis]:
    """A Valkey of this module's own."""
    directory: Path = tmp_path_factory.mktemp("timeline")
    with Stack() as running:
        made = valkey.configure(directory / "valkey")
        running.start(made.process, made.ready)
        password = made.password_file.read_text().strip()
        with redis.Redis(port=made.port, password=password) as client:
            yield client


def merged(store: redis.Redis, write: Write) -> Any:
    """The real merge, as of the writer's clock."""
    blob = timeline.pack(SCHEMA, write.rows)
    arguments = (TIMES.source_delay, TIMES.lookback, MARGIN, write.clock * TICK)
    return store.eval(timeline.MERGE_LUA, 1, KEY, blob, *arguments)


def pod_moments(greatest_clock: int) -> range:
    """Every t at which the theorem speaks: a pod's clock may be a margin behind the writer's."""
    return range(greatest_clock * TICK - MARGIN, (LAST + 40) * TICK, TICK)


def held(store: redis.Redis) -> tuple[Row, ...]:
    """The rows in the key."""
    blob: Any = store.get(KEY)
    return () if blob is None else timeline.unpack(SCHEMA, blob)


@settings(max_examples=300)
@given(writes())
def test_the_key_decides_like_the_history(store: redis.Redis, merges: list[Write]) -> None:
    store.delete(KEY)
    history: set[Row] = set()
    greatest = 0
    for write in merges:
        merged(store, write)
        history |= set(write.rows)
        greatest = max(greatest, write.clock)
        rows = held(store)
        for t in pod_moments(greatest):
            assert availability(TIMES, rows, t) == availability(TIMES, history, t), t


@settings(max_examples=200)
@given(writes())
def test_the_script_merges_like_the_reference(store: redis.Redis, merges: list[Write]) -> None:
    store.delete(KEY)
    expected: tuple[Row, ...] = ()
    for write in merges:
        changed = merged(store, write)[0]
        before, clock = expected, write.clock * TICK
        expected = timeline.merge(TIMES, expected, write.rows, clock, MARGIN)
        assert changed == int(before != expected)
        if changed and expected[-1].event_ts + TIMES.lookback + 2 * MARGIN <= clock:
            expected = ()  # behind every lookback: the store lets go of it
        assert held(store) == expected


@settings(max_examples=200)
@given(writes(), st.randoms(use_true_random=False))
def test_merges_at_one_clock_commute_and_repeat(
    store: redis.Redis, merges: list[Write], random: Any
) -> None:
    """Order-independent and idempotent: two writers at one moment, any number of retries."""
    clock = max((w.clock for w in merges), default=0)
    same = [Write(clock, w.rows) for w in merges]
    shuffled = [*same, *same]
    random.shuffle(shuffled)
    stored, kept = [], []
    for order_of_writes in (same, shuffled):
        store.delete(KEY)
        reference: tuple[Row, ...] = ()
        for write in order_of_writes:
            merged(store, write)
            reference = timeline.merge(TIMES, reference, write.rows, clock * TICK, MARGIN)
        stored.append(held(store))
        kept.append(reference)
    assert kept[0] == kept[1]
    # The store may have let go of what lies behind every lookback; no decision hangs on that.
    for t in pod_moments(clock):
        assert availability(TIMES, stored[0], t) == availability(TIMES, stored[1], t)


@settings(max_examples=100)
@given(st.lists(writes(), min_size=2, max_size=5))
def test_many_keys_in_one_call_are_merged_each_for_itself(
    store: redis.Redis, entities: list[list[Write]]
) -> None:
    """As a writer sends them; sent again later, as after a crash, they change no decision."""
    names = [KEY + str(n).encode() for n in range(len(entities))]
    store.delete(*names)
    history: dict[bytes, set[Row]] = {name: set() for name in names}
    greatest = 0
    rounds = list(zip_longest(*entities))
    for merges in [*rounds, *rounds]:
        sent = {name: write for name, write in zip(names, merges, strict=True) if write}
        if not sent:
            continue
        greatest = max(greatest, *(write.clock for write in sent.values()))
        blobs = [timeline.pack(SCHEMA, write.rows) for write in sent.values()]
        arguments = (TIMES.source_delay, TIMES.lookback, MARGIN, greatest * TICK)
        store.eval(timeline.MERGE_LUA, len(sent), *sent, *blobs, *arguments)
        for name, write in sent.items():
            history[name] |= set(write.rows)
    found: Any = store.mget(names)
    for name, blob in zip(names, found, strict=True):
        kept = () if blob is None else timeline.unpack(SCHEMA, blob)
        for t in pod_moments(greatest):
            assert availability(TIMES, kept, t) == availability(TIMES, history[name], t), t


@settings(max_examples=200)
@given(st.lists(ROWS, min_size=1, max_size=12, unique_by=order), st.integers(0, LAST + 10))
def test_the_reference_answers_every_moment_down_to_the_margin(rows: list[Row], clock: int) -> None:
    possible = [r for r in rows if r.event_ts <= clock * TICK + MARGIN]
    kept = timeline.merge(TIMES, (), possible, clock * TICK, MARGIN)
    for t in pod_moments(clock):
        assert availability(TIMES, kept, t) == availability(TIMES, possible, t)


def test_a_merge_without_the_margin_goes_wrong_one_tick_behind() -> None:
    older, newer = row(0, 10), row(5, 20)
    clock, behind = 20 * TICK, 20 * TICK - 1
    kept = timeline.merge(TIMES, (), (older, newer), clock, 0)
    assert availability(TIMES, kept, behind)[0] is None
    assert availability(TIMES, (older, newer), behind)[0] == older
    kept = timeline.merge(TIMES, (), (older, newer), clock, MARGIN)
    assert availability(TIMES, kept, behind)[0] == older


def refused(answer: Any) -> list[Any]:
    """What the script says of its only key: [] or the reason."""
    return [] if not answer[3] else [answer[3][1].decode()]


def test_rows_from_the_future_are_refused_whole(store: redis.Redis) -> None:
    store.delete(KEY)
    merged(store, Write(10, (row(1, 1),)))
    assert refused(merged(store, Write(10, (row(2, 2), row(15, 15))))) == [timeline.FUTURE]
    assert held(store) == (row(1, 1),)
    with pytest.raises(timeline.TimelineError, match="beyond the clock"):
        timeline.merge(TIMES, (), (row(15, 15),), 10 * TICK, MARGIN)


def test_a_key_never_grows_past_its_bound_and_says_when_it_is_busy(store: redis.Redis) -> None:
    store.delete(KEY)
    ahead = tuple(Row(n, LAST * TICK + n, (n,)) for n in range(timeline.MAX_ROWS + 1))
    busy = [merged(store, Write(4, ahead[:n]))[2] for n in (1, timeline.BUSY_ROWS)]
    assert busy == [[], []]
    assert merged(store, Write(4, ahead[: timeline.BUSY_ROWS + 1]))[2] == [1]
    assert refused(merged(store, Write(4, ahead[:-1]))) == []
    assert len(held(store)) == timeline.MAX_ROWS
    assert refused(merged(store, Write(4, ahead[-1:]))) == [timeline.FULL]
    assert held(store) == ahead[:-1]
    with pytest.raises(timeline.TimelineError, match="found 1025 rows"):
        timeline.merge(TIMES, (), ahead, 4 * TICK, MARGIN)


FOREIGN: list[Any] = [
    timeline.pack("ab" * 8, [row(1, 1)]),
    timeline.pack(SCHEMA, [row(1, 1)])[:-3],
    b"",
    b"nothing of ours",
]


@pytest.mark.parametrize("found", FOREIGN)
def test_what_is_no_timeline_stays_and_the_other_keys_are_merged(
    store: redis.Redis, found: bytes
) -> None:
    other = KEY + b"other"
    store.delete(other)
    store.set(KEY, found)
    blob = timeline.pack(SCHEMA, [row(2, 2)])
    arguments = (TIMES.source_delay, TIMES.lookback, MARGIN, 10 * TICK)
    answer: Any = store.eval(timeline.MERGE_LUA, 2, KEY, other, blob, blob, *arguments)
    assert answer == [1, 0, [], [1, timeline.FOREIGN.encode()]]
    assert (store.get(KEY), store.get(other)) == (found, blob)


def test_a_key_of_another_type_is_refused_like_other_bytes(store: redis.Redis) -> None:
    store.delete(KEY)
    store.lpush(KEY, "a")
    assert refused(merged(store, Write(10, (row(2, 2),)))) == [timeline.FOREIGN]
    store.delete(KEY)


def test_of_two_rows_at_the_same_times_the_first_stays_and_is_counted(store: redis.Redis) -> None:
    store.delete(KEY)
    merged(store, Write(10, (row(1, 1),)))
    changed = merged(store, Write(10, (row(1, 1)._replace(values=(7,)),)))
    assert changed[:2] == [0, 1]
    assert held(store) == (row(1, 1),)


def test_the_key_outlives_the_lookback_of_its_newest_row(store: redis.Redis) -> None:
    """As of a moment of 2018 as well: expiry is relative to the as-of moment."""
    second = 1_000_000
    store.delete(KEY)
    arguments = (600 * second, 3600 * second, 60 * second, 1_529_496_000 * second)
    fresh = Row(1_529_496_000 * second - 100 * second, 0, (1,), 1)
    store.eval(timeline.MERGE_LUA, 1, KEY, timeline.pack(SCHEMA, [fresh]), *arguments)
    left: Any = store.pttl(KEY)
    assert 3_600_000 - 100_000 < left <= 3_600_000 - 100_000 + 120_000


def test_the_stores_own_clock_is_the_merges(store: redis.Redis) -> None:
    store.delete(KEY)
    seconds, microseconds = store.time()
    now = int(seconds) * 1_000_000 + int(microseconds)
    past, ahead = Row(now - 5_000_000, now - 4_000_000, (1,)), Row(now, now + 3_600_000_000, (2,))
    blob = timeline.pack(SCHEMA, [past, ahead])
    store.eval(timeline.MERGE_LUA, 1, KEY, blob, 0, 10_000_000_000, 1_000_000, "")
    assert held(store) == (past, ahead)


VALUES: st.SearchStrategy[Value] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False),
    st.text(max_size=200),
)
MOMENTS = st.integers(-(2**53), 2**53)
ANY_ROW = st.builds(
    Row, MOMENTS, MOMENTS, st.lists(VALUES, max_size=8).map(tuple), st.integers(0, 2**64 - 1)
)


@given(st.lists(ANY_ROW, max_size=6))
def test_bytes_keep_every_value_and_its_type(rows: list[Row]) -> None:
    found = timeline.unpack(SCHEMA, timeline.pack(SCHEMA, rows))
    assert found == tuple(rows)
    assert [list(map(type, r.values)) for r in found] == [list(map(type, r.values)) for r in rows]


@given(st.lists(ANY_ROW, max_size=3), st.binary(max_size=60), st.integers(0, 400))
@example([], b"\xff" * 30, 0)
def test_damaged_bytes_are_an_error_and_nothing_else(
    rows: list[Row], damage: bytes, at: int
) -> None:
    blob = timeline.pack(SCHEMA, rows)
    damaged = blob[:at] + damage + blob[at + len(damage) :]
    with suppress(timeline.TimelineError):
        timeline.unpack(SCHEMA, damaged)
