"""A stream that is followed gives the rows of the batch, whatever happens on the way."""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from feature_runtime.core import keys, timeline
from feature_runtime.core.availability import availability
from feature_runtime.core.moments import HOUR, MINUTE, SECOND, format_moment, now
from proviso.contracts.base import InputError
from proviso.contracts.contract import FeatureView
from proviso.history.duckdb.arriving import Arriving
from proviso.history.duckdb.engine import connect
from proviso.history.duckdb.features import compute_history
from proviso.history.values import EntityRow, Event, Ids
from proviso.online.materialize import Clocks, Materializer, Tally
from proviso.online.sending import Progress, silent
from proviso.online.stream.follower import Followed, Follower, FollowSettings
from proviso.online.stream.landing import Landing, open_landing, snapshot
from proviso.online.stream.messages import fields_of, received
from proviso.online.stream.valkey import ValkeyProducer, ValkeyStream
from tests.history_data import (
    LABEL,
    ZERO,
    contract,
    labelled,
    random_events,
    read_history,
    write_transactions,
)
from tests.parcel_data import Held

CONTRACT = contract()
VIEW = CONTRACT.view_by_name["buyer_stream"]
MARGIN, DEADLINE = SECOND, SECOND
STREAM, GROUP = "sales", "proviso"
QUICK = FollowSettings(settle=0, batch=7, until_drained=True)


class Died(RuntimeError):
    """The follower was stopped in the middle."""


@dataclass(frozen=True)
class Recording(Materializer):
    """The real writer, which also keeps what it was given."""

    given: list[EntityRow] = field(default_factory=list)

    def publish(
        self,
        view: FeatureView,
        rows: Iterable[EntityRow],
        progress: Progress = silent,
        busy: Collection[Ids] = (),
    ) -> Tally:
        wanted = list(rows)
        done = super().publish(view, wanted, progress, busy)
        self.given.extend(wanted)
        return done


@dataclass
class World:
    """A stream, a landing and a history, and what has been published."""

    held: Held
    directory: Path
    given: list[EntityRow] = field(default_factory=list)

    def append(self, messages: Sequence[Mapping[str, str]]) -> None:
        producer = ValkeyProducer(self.held.url, self.held.password_file, STREAM)
        producer.append(messages)
        producer.close()

    def stream(self, consumer: str = "proviso") -> ValkeyStream:
        return ValkeyStream(self.held.url, self.held.password_file, STREAM, GROUP, consumer)

    def follow(
        self, settings: FollowSettings = QUICK, spoil: Callable[[Follower], None] | None = None
    ) -> Followed:
        clocks = Clocks(None, MARGIN, DEADLINE)
        writer = Recording(
            CONTRACT, self.directory / "history", self.held.store, clocks, given=self.given
        )
        stream = self.stream()
        with open_landing(CONTRACT, self.landing, STREAM, GROUP) as landing, connect() as engine:
            arriving = Arriving(engine, CONTRACT, [VIEW])
            follower = Follower(writer, [VIEW], stream, landing, arriving, settings, silent)
            if spoil:
                spoil(follower)
            try:
                return follower.run(lambda: False)
            finally:
                stream.close()

    @property
    def landing(self) -> Path:
        return self.directory / "landing"

    def batch(self, transactions: Path | None = None) -> list[EntityRow]:
        """The history that `features` computes; by default over what has landed."""
        if transactions is None:
            transactions = self.directory / "landed.parquet"
            snapshot(self.landing, transactions)
        out = self.directory / f"batch-{transactions.stem}"
        compute_history(CONTRACT, transactions, out, 0, 2**52, [VIEW.name])
        return sorted(read_history(CONTRACT, VIEW, out))

    def published(self) -> list[EntityRow]:
        found = {(ids, row._replace(run_id=0)) for ids, row in self.given}
        return sorted(EntityRow(ids, row) for ids, row in found)

    def served(self) -> dict[tuple[Any, ...], tuple[Any, ...]]:
        """What every entity's key gives once all is visible."""
        schema, found = CONTRACT.schema_of(VIEW), {}
        for ids in {row.ids for row in self.batch()}:
            key = keys.timeline_key(keys.entity_key(VIEW.entities, ids), VIEW.name, schema)
            [blob] = self.held.store.read([key])
            if blob is not None:
                rows = timeline.unpack(schema, blob)
                winner, _ = availability(VIEW.times, rows, now() + HOUR)
                assert winner is not None
                found[ids] = (winner.event_ts, winner.values)
        return found

    def newest(self) -> dict[tuple[Any, ...], tuple[Any, ...]]:
        """The last row of every entity that has not left the lookback."""
        last = {row.ids: row.row for row in self.batch()}
        oldest = now() - VIEW.temporal_join_lookback + 2 * HOUR
        return {i: (r.event_ts, r.values) for i, r in last.items() if r.event_ts > oldest}


@pytest.fixture
def world(held: Held, tmp_path: Path) -> World:
    return World(held, tmp_path)


def recent(seed: int, count: int = 120) -> list[Event]:
    """Sales of the last day in order of arrival, nothing of them to come."""
    shift = now() - ZERO - 13 * HOUR
    made = []
    for one in random_events(seed, "string", 2 * count):
        known = one.known[LABEL]
        event, arrival = one.event_ts + shift, one.arrival_ts + shift
        moved = replace(one, event_ts=event, arrival_ts=arrival)
        made.append(moved if known is None else labelled(moved, one.columns[LABEL], known + shift))
    past = [one for one in made if one.arrival_ts < now() - MINUTE][:count]
    assert len(past) == count
    return sorted(past, key=lambda e: e.arrival_ts)


def said(number: int, event: Event) -> dict[str, str]:
    """A sale as a message."""
    columns = event.columns
    message = {
        "sale_id": str(number),
        "sold_at": format_moment(event.event_ts),
        "heard_at": format_moment(event.arrival_ts),
        "price": f"{int(columns['price']) / 100:.2f}",
        "pieces": str(columns["pieces"]),
        "weight": repr(columns["weight"]),
        "is_gift": str(columns["is_gift"]).lower(),
        **{name: str(value) for name, value in event.ids.items()},
    }
    known = event.known[LABEL]
    if known is not None:
        message |= {LABEL: str(int(columns[LABEL])), "returned_at": format_moment(known)}
    return message


def all_said(events: Sequence[Event]) -> list[dict[str, str]]:
    return [said(number, event) for number, event in enumerate(events)]


def holds(world: World) -> bool:
    """Whether what was published and what is served is what the landed transactions give."""
    assert world.published() == world.batch()
    newest = world.newest()
    served = world.served()
    assert newest
    return {ids: served.get(ids) for ids in newest} == newest


@pytest.mark.parametrize("seed", range(2))
def test_a_drained_stream_gives_the_rows_of_the_batch(world: World, seed: int) -> None:
    events = recent(seed)
    source = write_transactions(events, "string", world.directory / "source.parquet")
    world.append(all_said(events))
    done = world.follow(replace(QUICK, settle=20_000, batch=200))
    assert (done.messages, done.landed, done.overdue, done.conflicts) == (120, 120, 0, 0)
    assert world.batch() == world.batch(source)
    assert holds(world)
    mark = world.held.store.watermark(VIEW.name, CONTRACT.schema_of(VIEW))
    assert mark is not None
    assert now() - MINUTE < mark.complete <= now()


def test_small_batches_that_equal_arrivals_fall_into_are_still_those_of_what_landed(
    world: World,
) -> None:
    world.append(all_said(recent(4)))
    assert world.follow(replace(QUICK, batch=3)).landed == 120
    assert holds(world)


def test_messages_that_come_again_change_nothing(world: World) -> None:
    messages = all_said(recent(5))
    assert world.follow().messages == 0
    world.append([*messages[:60], *messages[:60]])
    other = world.stream("other")
    assert len(other.read(30, 1)) == 30
    other.close()
    first = world.follow(replace(QUICK, settle=20_000, batch=500))
    assert (first.landed, first.repeated) == (60, 60)
    world.append(messages)
    second = world.follow(replace(QUICK, settle=20_000, batch=500))
    assert (second.landed, second.repeated) == (60, 60)
    assert holds(world)
    stream = world.stream()
    assert stream.waiting() == 0
    stream.close()


def test_arrivals_out_of_order_within_the_settling_time_are_put_in_order(world: World) -> None:
    events = recent(6)
    source = write_transactions(events, "string", world.directory / "source.parquet")
    messages = all_said(events)
    random.Random(1).shuffle(messages)
    world.append(messages)
    done = world.follow(FollowSettings(300_000, 100, until_drained=True))
    assert done.overdue == 0
    assert world.published() == world.batch(source)
    assert holds(world)


def test_what_arrives_too_far_out_of_order_is_counted_and_dated_when_it_could_be_known(
    world: World,
) -> None:
    messages = all_said(recent(7))
    random.Random(2).shuffle(messages)
    overdue = []
    for some in (messages[:40], messages[40:80], messages[80:]):
        world.append(some)
        overdue.append(world.follow().overdue)
    assert overdue[0] < overdue[1] <= 40
    assert holds(world)


POINTS = [
    ("append", False),
    ("append", True),
    ("acknowledge", False),
    ("publish", False),
    ("publish", True),
    ("record_landed", False),
]


@pytest.mark.parametrize(("point", "after"), POINTS)
def test_a_crash_anywhere_changes_nothing(
    world: World, point: str, after: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    events = recent(8)
    source = write_transactions(events, "string", world.directory / "source.parquet")
    world.append(all_said(events))
    owners: dict[str, type] = {
        "append": Landing,
        "acknowledge": ValkeyStream,
        "publish": Recording,
        "record_landed": type(world.held.store),
    }
    real = getattr(owners[point], point)

    def dying(*args: Any, **more: Any) -> Any:
        if after:
            real(*args, **more)
        raise Died

    settings = replace(QUICK, settle=20_000, batch=200)
    with monkeypatch.context() as broken:
        broken.setattr(owners[point], point, dying)
        with pytest.raises(Died):
            world.follow(settings)
    world.follow(settings)
    assert world.batch() == world.batch(source)
    assert holds(world)


BAD = {
    "note": ("x" * 70_000, "bytes, wanted at most"),
    "sold_at": ("", "[source_event_null]"),
    "sale_id": ("", "[source_id_null]"),
    "buyer_id": ("x" * 300, "[source_key_invalid]"),
    "price": ("1.005", "wanted at most 2 decimals [source_value_too_fine]"),
    "pieces": ("many", "pieces: found many, wanted a whole number [source_text_invalid]"),
    "weight": ("nan", "weight: found nan, wanted a number [source_text_invalid]"),
    "is_gift": ("perhaps", "[source_text_invalid]"),
    "was_returned": ("2", "[source_label_invalid]"),
    "heard_at": ("2200-01-01T00:00:00Z", "not to come"),
}


def test_bad_messages_are_put_aside_with_the_reason_and_stop_nothing(world: World) -> None:
    events = recent(9, len(BAD) + 5)
    messages = all_said(events)
    for message, (name, (value, _)) in zip(messages, BAD.items(), strict=False):
        message[name] = value
    world.append(messages)
    done = world.follow(replace(QUICK, settle=20_000, batch=200))
    assert (done.refused, done.landed) == (len(BAD), 5)
    found: Any = world.held.client.xrange(f"{STREAM}:refused")
    aside = [fields for _, fields in found]
    for fields, (_, reason) in zip(aside, BAD.values(), strict=True):
        assert reason in fields[b"_reason"].decode()
    stream = world.stream()
    assert stream.waiting() == 0
    stream.close()


def test_a_group_that_read_elsewhere_is_refused(world: World) -> None:
    world.append(all_said(recent(10, 5)))
    stream = world.stream()
    stream.read(2, 1)
    stream.close()
    with pytest.raises(InputError, match="name another --group") as raised:
        world.follow()
    assert raised.value.problems[0].code == "group_of_other_landing"


def test_one_consumer_holds_a_landing(world: World) -> None:
    held = open_landing(CONTRACT, world.landing, STREAM, GROUP)
    with held, pytest.raises(InputError, match="another consumer is using") as raised:
        world.follow()
    assert raised.value.problems[0].code == "landing_locked"


def test_without_a_stated_arrival_it_is_when_the_stream_got_it(world: World) -> None:
    message = said(1, recent(11, 1)[0])
    del message["heard_at"]
    world.append([message])
    stream = world.stream()
    [found] = stream.read(1, 1)
    stream.close()
    with connect() as engine:
        [row] = Arriving(engine, CONTRACT, [VIEW]).judged([fields_of(found)])
    heard = received(CONTRACT, found, row, now(), now())
    assert heard.arrival == found.at
    assert now() - MINUTE < found.at <= now()
