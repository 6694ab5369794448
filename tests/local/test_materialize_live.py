"""A live writer stamps what it writes, offline reads the stamps, and the command says all of it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from feature_runtime.core.availability import Status, availability, visible_from
from feature_runtime.core.moments import DAY, format_moment, now
from proviso.contracts.contract import FeatureView
from proviso.history.duckdb.join import build_dataset
from proviso.history.segments import segments, stamps_file
from proviso.online.materialize import Written
from proviso.online.sending import BATCH
from tests.parcel_data import Held, Ids, Project, all_rows, asked_at, make
from tests.program import call

ROOT = Path(__file__).parents[2]


class Stamped(NamedTuple):
    """A line of the stamps on disk."""

    ids: Ids
    event_ts: int
    planned_ts: int
    created_ts: int
    acknowledged_ts: int | None


@pytest.fixture(params=[0, 2 * DAY], ids=["ends now", "ended two days ago"])
def fresh(request: pytest.FixtureRequest, tmp_path: Path) -> Project:
    """A history that a live writer can use."""
    return make(tmp_path, now() - int(request.param), couriers=15)


def bring_up(project: Project, held: Held) -> list[Written]:
    return project.writer(held.store, None).bring_up(project.contract.feature_views)


def stamps_of(project: Project, view: FeatureView) -> list[Stamped]:
    assert not segments(project.history, view)
    return stamped(project, view, pq.read_table(stamps_file(project.history, view)))


def journal_of(project: Project, view: FeatureView) -> list[Stamped]:
    """What has been written down and not folded yet."""
    found = []
    for segment in segments(project.history, view):
        table = pq.read_table(segment.path)
        moment = pa.array([segment.acknowledged] * table.num_rows, pa.int64())
        found += stamped(project, view, table.append_column("acknowledged_ts", moment))
    return found


def stamped(project: Project, view: FeatureView, table: pa.Table) -> list[Stamped]:
    moments = ("event_ts", "planned_ts", "created_ts", "acknowledged_ts")
    keys = [table[key].to_pylist() for key in project.contract.join_keys(view)]
    times = [table[name].cast("int64").to_pylist() for name in moments]
    return [Stamped(ids, *rest) for ids, *rest in zip(zip(*keys, strict=True), *times, strict=True)]


def test_what_is_written_late_is_readable_from_its_stamp_on(fresh: Project, held: Held) -> None:
    earliest = held.store.clock()
    written = bring_up(fresh, held)
    latest = held.store.clock() + fresh.plan.write_deadline
    assert all(one.rows > 0 and one.late_batches == 0 for one in written)
    for view in fresh.contract.feature_views:
        times = view.times
        for ids, its in all_rows(fresh, view).items():
            rows = held.rows(fresh, view, ids)
            planned = {row.event_ts: row.created_ts for row in its}
            for row in rows:
                stamp = max(planned[row.event_ts], earliest + fresh.plan.write_deadline)
                assert stamp <= row.created_ts <= max(planned[row.event_ts], latest)
            assert availability(times, rows, earliest)[1] is Status.MISSING_KEY
            if rows:
                assert availability(times, rows, rows[-1].created_ts)[0] == rows[-1]


def test_stamps_are_kept_beside_the_history(fresh: Project, held: Held) -> None:
    bring_up(fresh, held)
    for view in fresh.contract.feature_views:
        planned = {
            (ids, row.event_ts): row.created_ts
            for ids, rows in all_rows(fresh, view).items()
            for row in rows
        }
        found = stamps_of(fresh, view)
        assert found
        for one in found:
            assert one.planned_ts == planned[one.ids, one.event_ts] < one.created_ts
            assert one.acknowledged_ts is not None
            assert one.acknowledged_ts <= one.created_ts
            created = {row.created_ts for row in held.rows(fresh, view, one.ids)}
            assert one.created_ts in created


def test_a_second_live_writer_writes_nothing_again(fresh: Project, held: Held) -> None:
    bring_up(fresh, held)
    before = [stamps_of(fresh, view) for view in fresh.contract.feature_views]
    again = bring_up(fresh, held)
    assert [(one.rows, one.changed) for one in again] == [(0, 0)] * len(again)
    assert [stamps_of(fresh, view) for view in fresh.contract.feature_views] == before


def test_offline_reads_the_stamp(fresh: Project, held: Held, tmp_path: Path) -> None:
    bring_up(fresh, held)
    view = fresh.contract.feature_views[0]
    one = stamps_of(fresh, view)[-1]
    moments = [one.created_ts - 1, one.created_ts]
    asked = asked_at(fresh, {"courier_id": one.ids[0]}, moments, tmp_path / "asked.parquet")
    out = tmp_path / "dataset.parquet"
    build_dataset(fresh.contract, fresh.history, asked, moments[0], moments[1] + 1, out)
    table = pq.read_table(out)
    events, created = (
        table[f"{view.name}__{name}"].cast("int64").to_pylist()
        for name in ("event_ts", "created_ts")
    )
    assert (events[1], created[1]) == (one.event_ts, one.created_ts)
    assert events[0] != one.event_ts


def test_a_key_that_is_refused_is_written_by_the_run_after_it_is_mended(
    held: Held, tmp_path: Path
) -> None:
    """What the store did not take is in no journal; nothing else waits for it."""
    fresh = make(tmp_path, now(), couriers=110)
    view = fresh.contract.feature_views[1]
    entities = all_rows(fresh, view)
    assert len(entities) > BATCH
    last = max(entities)
    held.client.set(held.key(fresh, view, last), b"pv1 of another schema")
    for rows in (len(entities) - 1, 0):
        written = bring_up(fresh, held)[1]
        assert (written.rows, written.complete) == (rows, 0)
        assert [(one.code, one.rows) for one in written.refused] == [
            ("timeline_of_other_schema", 1)
        ]
    kept = {one.ids: one.created_ts for one in stamps_of(fresh, view)}
    assert kept.keys() == entities.keys() - {last}
    for ids, created in kept.items():
        assert created in {row.created_ts for row in held.rows(fresh, view, ids)}
    held.client.delete(held.key(fresh, view, last))
    written = bring_up(fresh, held)[1]
    assert (written.resent, written.rows, written.refused) == (0, 1, ())
    assert written.complete > 0
    after = {one.ids: one.created_ts for one in stamps_of(fresh, view)}
    assert {ids: created for ids, created in after.items() if ids != last} == kept
    assert after[last] in {row.created_ts for row in held.rows(fresh, view, last)}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return make(tmp_path_factory.mktemp("parcels"), now(), couriers=5)


def materialize(project: Project, held: Held, *options: str | Path) -> list[str | Path]:
    store = ("--store", held.url, "--store-password-file", held.password_file)
    where = ("--contracts", project.contracts, "materialize", "--history", project.history)
    return [*where, *store, *options]


def test_the_command_writes_and_says_what(project: Project, held: Held) -> None:
    arguments = materialize(project, held, "--as-of", "now", "--json")
    planned = call(*arguments, "--dry-run")
    assert (planned.code, held.client.dbsize()) == (0, 0)
    done = call(*arguments)
    assert done.code == 0, done.err
    assert {one["view"] for one in done.json["views"]} == set(planned.json["views"])
    assert held.client.dbsize() > len(done.json["views"])
    assert re.search(r"courier_load_6h: \d+ rows", done.err)
    for one in done.json["views"]:
        said = format_moment(one["readable_from"])
        assert f"all of them can be read from {said}" in done.err
        view = project.contract.view_by_name[one["view"]]
        stored = [row for ids in all_rows(project, view) for row in held.rows(project, view, ids)]
        assert one["readable_from"] == max(visible_from(view.times, row) for row in stored)
    assert all(stamps_of(project, view) for view in project.contract.feature_views)


def test_the_command_writes_one_view_alone(project: Project, held: Held) -> None:
    done = call(*materialize(project, held, "--as-of", "now", "--view", "courier_load_6h"))
    assert (done.code, "courier_zone_daily" in done.out) == (0, False)
    assert not list(held.client.scan_iter("fs:*courier_zone_daily*"))


def test_the_command_takes_a_moment(project: Project, held: Held) -> None:
    done = call(*materialize(project, held, "--as-of", "2018-06-20"))
    assert done.code == 0, done.err
    assert "courier_load_6h: 0 rows, 0 keys changed" in done.out


def test_a_release_of_another_schema_is_wrong_use(held: Held, tmp_path: Path) -> None:
    contracts = tmp_path / "contracts"
    contracts.mkdir()
    for path in (ROOT / "contracts").iterdir():
        text = path.read_text().replace("population: P365D", "population: P364D")
        (contracts / path.name).write_text(text)
    done = call(
        *("--contracts", contracts, "materialize", "--history", tmp_path, "--as-of", "now"),
        *("--store", held.url, "--release", ROOT / "model_repository" / "2.5.0"),
    )
    assert done.code == 2
    said = re.search(r"view \w+: found schema (\w{16}), wanted (\w{16})", done.err)
    assert said is not None, done.err
    assert said[1] != said[2]


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--as-of", "yesterday", "--as-of: found 'yesterday', wanted a moment"),
        ("--history", "nowhere", "file_not_found"),
        ("--store-password-file", "nowhere", "file_unreadable"),
        ("--store", "redis://127.0.0.1:1", "store_unreachable"),
        ("--view", "courier", "--view: found 'courier', wanted one of courier_load_6h"),
        ("--release", "nowhere", "release_unreadable"),
    ],
)
def test_wrong_use_is_told_apart(
    project: Project, held: Held, option: str, value: str, said: str
) -> None:
    words = [*materialize(project, held, "--as-of", "2026-05-31")]
    if option in words:  # an option stands once
        words[words.index(option) + 1] = value
    else:
        words += [option, value]
    done = call(*words)
    assert (done.code, said in done.err) == (2, True), done.err
