"""One customer with two events a second: the others are written as ever, and so is he.

Batch, as of a moment, and following a stream, against a real Valkey: what the busy key decides is
what the history as published decides, at every moment.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from feature_runtime.core import keys, timeline
from feature_runtime.core.availability import Row, availability
from feature_runtime.core.moments import MINUTE, SECOND, format_moment
from proviso.contracts.contract import Contract, FeatureView, OnEvent
from proviso.history.duckdb.arriving import Arriving
from proviso.history.duckdb.engine import connect, names
from proviso.history.duckdb.features import compute_history
from proviso.history.duckdb.relation import history_relation
from proviso.history.values import Event, Ids
from proviso.online.materialize import Clocks, Materializer, Written
from proviso.online.stream.follower import Followed, Follower, FollowSettings
from proviso.online.stream.landing import open_landing, snapshot
from proviso.online.stream.valkey import ValkeyProducer, ValkeyStream
from tests.history_data import contract, event, write_transactions
from tests.parcel_data import Held

MARGIN, DEADLINE = MINUTE, 30 * SECOND
HOT: Ids = ("hot",)


def with_delay(delay: int) -> tuple[Contract, FeatureView]:
    """The test contract, whose view on event is readable `delay` after an arrival."""
    made = contract()
    views = [
        view.model_copy(
            update={
                "source_delay": 0,
                "publication": view.publication.model_copy(update={"delay": delay}),
            }
        )
        if isinstance(view.publication, OnEvent)
        else view
        for view in made.feature_views
    ]
    changed = made.model_copy(update={"feature_views": views})
    return changed, changed.view_by_name["buyer_stream"]


CONTRACT, VIEW = with_delay(MINUTE)


def sale(buyer: str, at: int, late: int = 0) -> Event:
    return event(buyer=buyer, shop="s1", at=at - late, late=late)


def sales(now: int, hot: int, spacing: int) -> list[Event]:
    """`hot` sales of one buyer up to now, every seventh late, and one of each other in 4 s."""
    first = now - hot * spacing
    made = [sale("hot", first + n * spacing, 9 * SECOND * (n % 7 == 3)) for n in range(1, hot + 1)]
    made += [sale(f"b{n}", first + n * 4 * SECOND) for n in range(hot * spacing // (4 * SECOND))]
    return sorted(made, key=lambda one: one.arrival_ts)


@dataclass(frozen=True)
class Shop:
    """A history with a busy buyer, and its store. now: the store's clock when it was made."""

    held: Held
    history: Path
    now: int
    contract: Contract = CONTRACT
    view: FeatureView = VIEW

    def write(self, as_of: int | None) -> Written:
        writer = Materializer(
            self.contract, self.history, self.held.store, Clocks(as_of, MARGIN, DEADLINE)
        )
        [written] = writer.bring_up([self.view])
        return written

    def key(self, ids: Ids) -> tuple[Row, ...]:
        schema = self.contract.schema_of(self.view)
        name = keys.timeline_key(keys.entity_key(self.view.entities, ids), self.view.name, schema)
        [blob] = self.held.store.read([name])
        return () if blob is None else timeline.unpack(schema, blob)

    def published(self) -> Mapping[Ids, list[Row]]:
        """What training reads, by entity."""
        found: dict[Ids, list[Row]] = defaultdict(list)
        features = names(*(feature.name for feature in self.view.features))
        source = history_relation(self.contract, self.history, self.view)
        with connect() as engine:
            engine.execute(f"select buyer_id, _event_us, _created_us, {features} from ({source})")
            for buyer, happened, created, *values in engine.fetchall():
                found[buyer,].append(Row(happened, created, tuple(values), happened))
        return found

    def holds(self, since: int) -> None:
        """Every key decides like the history as published, from a margin before `since` on."""
        for ids, rows in self.published().items():
            stored = self.key(ids)
            for t in range(since - MARGIN, since + 3 * MINUTE, SECOND // 2):
                wanted = availability(self.view.times, rows, t)
                assert availability(self.view.times, stored, t) == wanted, (ids, t - since)


def shop(held: Held, directory: Path, hot: int, spacing: int = SECOND // 2) -> Shop:
    now = held.store.clock()
    source = write_transactions(sales(now, hot, spacing), "string", directory / "sales.parquet")
    history = directory / "history"
    compute_history(CONTRACT, source, history, 0, 2**52, [VIEW.name])
    return Shop(held, history, now)


def test_a_live_run_publishes_the_last_row_of_each_slice_of_the_busy_key(
    held: Held, tmp_path: Path
) -> None:
    made = shop(held, tmp_path, hot=480, spacing=SECOND // 4)
    before = made.published()
    written = made.write(None)
    assert (written.refused, written.busy, written.conflicts) == ((), (), 0)
    after = made.published()
    assert written.coalesced > 100
    assert len(after[HOT]) + written.coalesced == len(before[HOT])
    assert len(made.key(HOT)) <= timeline.BUSY_ROWS
    assert {ids: len(rows) for ids, rows in before.items() if ids != HOT} == {
        ids: len(rows) for ids, rows in after.items() if ids != HOT
    }
    made.holds(written_at(made))
    again = made.write(None)
    assert (again.rows, again.coalesced, again.changed) == (0, 0, 0)


def written_at(made: Shop) -> int:
    """The greatest merge clock."""
    mark = made.held.store.watermark(made.view.name, made.contract.schema_of(made.view))
    assert mark is not None
    return mark.merge_clock


def test_a_writer_that_dies_with_a_busy_key_is_finished_by_the_next(
    held: Held, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows that gave way stand in the journal, too; the batch is sent again as it was."""
    made = shop(held, tmp_path, hot=480, spacing=SECOND // 4)

    def dying(*_: Any) -> None:
        raise RuntimeError

    with monkeypatch.context() as broken:
        broken.setattr(type(held.store), "merge", dying)
        with pytest.raises(RuntimeError):
            made.write(None)
    written = made.write(None)
    assert (written.resent, written.coalesced, written.refused) == (1, 0, ())
    assert len(made.key(HOT)) <= timeline.BUSY_ROWS
    made.holds(written_at(made) + MARGIN)


def test_as_of_a_moment_the_busy_key_holds_all_its_rows(held: Held, tmp_path: Path) -> None:
    made = shop(held, tmp_path, hot=240)
    written = made.write(made.now)
    assert (written.refused, written.coalesced) == ((), 0)
    assert written.busy == ("buyer:hot",)
    assert timeline.BUSY_ROWS < len(made.key(HOT)) <= 240
    made.holds(made.now)


def test_a_key_over_the_bound_is_named_and_all_others_are_written(
    held: Held, tmp_path: Path
) -> None:
    made = shop(held, tmp_path, hot=timeline.MAX_ROWS * 2 + 400, spacing=SECOND // 20)
    written = made.write(made.now)
    [refused] = written.refused
    assert (refused.name, refused.code) == ("buyer:hot", timeline.FULL)
    others = {ids: rows for ids, rows in made.published().items() if ids != HOT}
    assert len(others) > 20
    assert all(made.key(ids) for ids in others)
    kept = made.key(HOT)
    assert timeline.MAX_ROWS >= len(kept) > 0
    assert written.complete < made.now + MINUTE
    for t in range(made.now - MARGIN, written.complete + 1, SECOND // 2):
        wanted = availability(VIEW.times, made.published()[HOT], t)
        assert availability(VIEW.times, kept, t) == wanted


def message(number: int, one: Event) -> dict[str, str]:
    return {
        "sale_id": str(number),
        "sold_at": format_moment(one.event_ts),
        "heard_at": format_moment(one.arrival_ts),
        "price": "1.00",
        "pieces": "1",
        "weight": "0.5",
        "is_gift": "true",
        **{name: str(value) for name, value in one.ids.items()},
    }


@pytest.mark.parametrize("settle", [0, 100_000])
def test_a_follower_publishes_the_busy_key_by_slices_and_the_others_at_once(
    held: Held, tmp_path: Path, settle: int
) -> None:
    """Forty stated arrivals a second of one buyer, where a slice is two seconds."""
    owner, view = with_delay(MINUTE)
    made = Shop(held, tmp_path / "history", held.store.clock(), owner, view)
    said: list[str] = []
    stopped, longest = threading.Event(), [0]
    done: list[Followed] = []
    follow = threading.Thread(
        target=lambda: done.append(followed(made, tmp_path, settle, said, stopped))
    )
    follow.start()
    producer = ValkeyProducer(held.url, held.password_file, "sales")
    began = held.store.clock()
    for number in range(240):
        at = began + number * SECOND // 40  # however long this takes
        batch = [sale("hot", at, 9 * SECOND * (number % 7 == 3))]
        batch += [sale(f"b{number}", at)] if number % 8 == 0 else []
        producer.append([message(number * 2 + n, one) for n, one in enumerate(batch)])
        longest[0] = max(longest[0], len(made.key(HOT)))
        time.sleep(0.025)
    producer.close()
    stopped.set()
    follow.join(200)
    [counts] = done
    assert (counts.landed, counts.refused_rows, counts.waited) == (270, 0, 0)
    assert (counts.late_batches, counts.conflicts) == (0, 0)
    assert counts.busy_keys >= 1
    assert counts.coalesced > 50
    assert counts.rows + counts.coalesced == 270
    assert longest[0] <= 3 * timeline.BUSY_ROWS
    assert not [line for line in said if "interrupted" in line]
    named = [line for line in said if "buyer:hot is busy" in line]
    assert 1 <= len(named) <= counts.busy_keys
    snapshot(tmp_path / "landing", tmp_path / "landed.parquet")
    compute_history(owner, tmp_path / "landed.parquet", made.history, 0, 2**52, [view.name])
    published = made.published()
    for ids, rows in published.items():
        stored = made.key(ids)
        clock = held.store.clock()
        for t in range(clock - SECOND, clock + 70 * SECOND, SECOND // 4):
            assert availability(view.times, stored, t) == availability(view.times, rows, t)
        if ids != HOT:
            assert rows == on_time(rows, view)


def on_time(rows: Sequence[Row], view: FeatureView) -> list[Row]:
    """The rows with the created_ts of the plan: their arrival is their event time here."""
    return [row._replace(created_ts=row.event_ts + view.delay_to_readable) for row in rows]


def followed(
    made: Shop, directory: Path, settle: int, said: list[str], stopped: threading.Event
) -> Followed:
    writer = Materializer(
        made.contract, made.history, made.held.store, Clocks(None, SECOND, SECOND)
    )
    stream: Any = ValkeyStream(made.held.url, made.held.password_file, "sales", "group", "one")
    settings = FollowSettings(settle, 1_000, until_drained=False)
    with (
        open_landing(made.contract, directory / "landing", "sales", "group") as landing,
        connect() as engine,
    ):
        arriving = Arriving(engine, made.contract, [made.view])
        follower = Follower(writer, [made.view], stream, landing, arriving, settings, said.append)
        return follower.run(lambda: stopped.is_set() and follower.done.landed == 270)
