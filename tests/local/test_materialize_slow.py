"""Beside a store that slows down, and after runs that were missed, training reads what was served.

A reader asks the real store all the time; afterwards every answer is compared with what offline
says for that moment. What cannot be compared is counted and listed, and nothing else is.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import pytest

from feature_runtime.core import keys, timeline
from feature_runtime.core.availability import Row, Status, availability, visible_from
from feature_runtime.core.moments import DAY, HOUR, SECOND, now
from proviso.contracts.contract import FeatureView
from proviso.history import journal
from proviso.history.duckdb.published import late_intervals
from proviso.history.journal import due, open_journal
from proviso.history.segments import segments
from proviso.history.values import EntityRow, LateInterval
from proviso.online.materialize import Materializer, Written
from proviso.online.sending import BATCH, how_far
from proviso.online.store import OnlineStore
from tests.parcel_data import Held, Ids, Project, all_rows, make
from tests.problems import refused
from tests.store_proxy import Proxy, port_of, running
from tests.stored_rows import AHEAD, offline_rows, stamps_of


class Served(NamedTuple):
    """What an entity's key decided at a moment."""

    ids: Ids
    t: int
    row: Row | None
    status: Status


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return make(tmp_path, now(), couriers=250, edits=AHEAD)


def watch(project: Project, held: Held, view: FeatureView, stop: threading.Event) -> list[Served]:
    """Asks for some entities as pods do, each time at a moment read before, until told to stop."""
    store = OnlineStore(held.url, held.password_file)
    entities, times = sorted(all_rows(project, view))[::40], view.times
    names = [held.key(project, view, ids) for ids in entities]
    schema, served = project.contract.schema_of(view), list[Served]()
    while not stop.wait(0.02):
        t = store.clock()
        for ids, blob in zip(entities, store.read(names), strict=True):
            rows = timeline.unpack(schema, blob) if blob else ()
            served.append(Served(ids, t, *availability(times, rows, t)))
    store.close()
    return served


def missed_since(project: Project, held: Held, view: FeatureView, moment: int) -> None:
    """All that became visible until `moment` has been written once; nothing has been since."""
    key = keys.watermark_key(view.name, project.contract.schema_of(view))
    held.client.hset(key, mapping={"watermark": moment, "merge_clock": moment})
    before = project.writer(held.store, moment)
    rows = [
        EntityRow(ids, row)
        for ids, found in all_rows(project, view).items()
        for row in found
        if visible_from(view.times, row) <= moment
    ]
    before.publish(view, rows)


def written_while_watched(
    project: Project, held: Held, view: FeatureView, proxy: Proxy
) -> tuple[Written, list[Served]]:
    """A writer behind a proxy, and what was served from before its start until all is readable."""
    stop = threading.Event()
    with running(proxy) as url, ThreadPoolExecutor(1) as pool:
        watching = pool.submit(watch, project, held, view, stop)
        store = OnlineStore(url, held.password_file)
        [written] = project.writer(store, None).bring_up([view])
        store.close()
        after = held.store.clock() + project.plan.write_deadline
        while held.store.clock() <= after:
            stop.wait(0.05)
        stop.set()
        return written, watching.result()


def unknown(late: Mapping[Ids, Sequence[LateInterval]], one: Served) -> bool:
    return any(gap.start <= one.t <= gap.end for gap in late.get(one.ids, ()))


@pytest.mark.parametrize("held_calls", [(), (12, 30)], ids=["steady", "slows down"])
def test_what_training_reads_is_what_was_served(
    project: Project, held: Held, held_calls: tuple[int, ...]
) -> None:
    view = project.contract.feature_views[1]
    missed_since(project, held, view, now() - 2 * DAY)
    seconds = 1.3 * project.plan.write_deadline / SECOND
    proxy = Proxy(port_of(held.url), hold=dict.fromkeys(held_calls, seconds))
    written, served = written_while_watched(project, held, view, proxy)
    assert written.rows > 2 * BATCH
    assert proxy.calls > max((0, *held_calls))
    late = late_intervals(project.contract, project.history, view)
    assert written.late_batches == len({gap.end for gaps in late.values() for gap in gaps})
    assert written.late_batches >= len(held_calls)
    times, offline = view.times, offline_rows(project, view)
    wrong = [
        one
        for one in served
        if availability(times, offline[one.ids], one.t) != (one.row, one.status)
    ]
    assert [one for one in wrong if not unknown(late, one)] == []
    assert len(wrong) >= len(held_calls)
    assert len({(one.ids, one.row) for one in served}) > len({one.ids for one in served})


def test_runs_that_were_missed_were_not_readable_as_planned(project: Project, held: Held) -> None:
    view = project.contract.feature_views[0]
    outage = now() - 20 * HOUR
    missed_since(project, held, view, outage)
    began = held.store.clock()
    project.writer(held.store, None).bring_up([view])
    times = view.times
    for ids, rows in offline_rows(project, view).items():
        readable = [visible_from(times, row) for row in rows]
        assert not [t for t in readable if outage < t < began]
        kept = held.rows(project, view, ids)
        assert kept[-1] == max(rows, key=lambda r: (r.event_ts, r.created_ts))


def test_rows_that_come_again_keep_their_stamp(project: Project, held: Held) -> None:
    view = project.contract.feature_views[0]
    rows = [EntityRow(ids, found[-1]) for ids, found in all_rows(project, view).items()]
    writer = project.writer(held.store, None)
    first = writer.publish(view, rows)
    before, stamps = offline_rows(project, view), stamps_of(project, view)
    again = writer.publish(view, rows)
    assert (first.rows, again.rows, again.changed) == (len(rows), 0, 0)
    assert offline_rows(project, view) == before
    assert stamps_of(project, view) == stamps
    assert len(stamps) == len(rows)
    [written] = writer.bring_up([view])
    assert written.rows == 0


def test_a_second_writer_is_refused_while_one_is_at_work(project: Project, held: Held) -> None:
    view = project.contract.feature_views[0]
    writer: Materializer = project.writer(held.store, None)
    with (
        open_journal(project.contract, project.history, view),
        refused("history_writer_active"),
    ):
        writer.bring_up([view])
    assert writer.bring_up([view])[0].rows > 0


def test_a_store_that_lost_its_scripts_gets_them_again(project: Project, held: Held) -> None:
    held.client.script_flush()
    assert project.writer(held.store, None).bring_up(project.contract.feature_views)[0].rows > 0


def test_small_batches_are_folded_now_and_then(
    project: Project, held: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "FEW_SEGMENTS", 4)
    view = project.contract.feature_views[0]
    rows = [EntityRow(ids, found[-1]) for ids, found in all_rows(project, view).items()]
    writer = project.writer(held.store, None)
    left = []
    for at in range(10):
        writer.publish(view, rows[at::10])
        left.append(len(segments(project.history, view)))
    assert left == [1, 2, 3, 0, 1, 2, 3, 0, 1, 2]
    assert len(stamps_of(project, view)) == len(rows)


@pytest.mark.parametrize(
    ("count", "added", "kept", "wanted"),
    [(255, 10**6, 0, False), (256, 10, 20, True), (256, 10, 21, False), (4096, 1, 10**9, True)],
)
def test_folding_waits_until_it_pays(count: int, added: int, kept: int, wanted: bool) -> None:
    assert due(count, added, kept) is wanted


def test_a_long_write_says_how_far_it_is() -> None:
    assert how_far(12_000, 48_000, 2.0) == "12,000 of 48,000 (25%) rows, 6,000 rows/s"
    assert how_far(500, None, 2.0) == "500 rows, 250 rows/s"
