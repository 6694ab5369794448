"""What a writer at T leaves in the store decides like the whole history, from T on."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from feature_runtime.core.availability import availability, visible_from
from feature_runtime.core.moments import DAY, HOUR, MINUTE, SECOND
from proviso.contracts.base import InputError
from proviso.contracts.contract import FeatureView, Scheduled
from proviso.history.files import history_file
from proviso.online.materialize import Written
from proviso.online.store import OnlineStore, Watermark
from tests.parcel_data import Held, Ids, Project, all_rows, make, running_store
from tests.program import call

LAST = 1_780_272_000 * SECOND
"""2026-06-01T00:00:00Z, where the simulated days end."""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return make(tmp_path_factory.mktemp("parcels"), LAST, couriers=25)


def bring_up(project: Project, held: Held, as_of: int) -> list[Written]:
    return project.writer(held.store, as_of).bring_up(project.contract.feature_views)


def schedule_of(view: FeatureView) -> Scheduled:
    assert isinstance(view.publication, Scheduled)
    return view.publication


def an_entity(project: Project, view: FeatureView, run: int) -> Ids:
    """One with a row of this run and of the one before."""
    both = {run, run - schedule_of(view).schedule}
    rows = all_rows(project, view)
    return next(ids for ids, its in rows.items() if both <= {row.event_ts for row in its})


def mark_of(held: Held, project: Project, view: FeatureView) -> Watermark:
    mark = held.store.watermark(view.name, project.contract.schema_of(view))
    assert mark is not None
    return mark


def assert_decides_like_history(project: Project, held: Held, lowest: int) -> int:
    """For every entity and many t from `lowest` to the watermark; returns how many were asked."""
    chance, asked = random.Random(3), 0
    for view in project.contract.feature_views:
        times, upto = view.times, mark_of(held, project, view).complete
        assert upto >= lowest
        for ids, rows in all_rows(project, view).items():
            kept = held.rows(project, view, ids)
            edges = {t for row in rows for t in (visible_from(times, row), row.event_ts)}
            near = {t + step for t in edges for step in (-1, 0, 1)}
            spread = {chance.randint(lowest, upto) for _ in range(5)} | {lowest, upto}
            for t in sorted(spread | {t for t in near if lowest <= t <= upto}):
                assert availability(times, kept, t) == availability(times, rows, t), (ids, t)
                asked += 1
    return asked


def test_a_run_is_written_once_it_has_started_and_wins_once_it_is_visible(
    project: Project, held: Held
) -> None:
    view, run = project.contract.feature_views[0], LAST - DAY
    times, ids = view.times, an_entity(project, view, run)
    start = run + view.source_delay
    visible = start + schedule_of(view).duration
    bring_up(project, held, start - 1)
    assert run not in {row.event_ts for row in held.rows(project, view, ids)}
    bring_up(project, held, start)
    rows = held.rows(project, view, ids)
    assert run in {row.event_ts for row in rows}
    found = [availability(times, rows, t)[0] for t in (start, visible - 1, visible)]
    assert [row.event_ts if row else None for row in found] == [run - 6 * HOUR] * 2 + [run]


@pytest.mark.parametrize(
    "as_of",
    [
        pytest.param(LAST - DAY - 1, id="before a run"),
        pytest.param(LAST - DAY + 15 * MINUTE, id="at a run's start"),
        pytest.param(LAST - DAY + 18 * MINUTE, id="while it runs"),
        pytest.param(LAST - DAY + 20 * MINUTE, id="at its visibility"),
        pytest.param(LAST - DAY + 30 * MINUTE + 30 * SECOND, id="a margin after another's"),
        pytest.param(LAST - DAY + 5 * HOUR + 7, id="between runs"),
        pytest.param(LAST - 3 * DAY + HOUR, id="when little is known"),
        pytest.param(LAST + 10 * MINUTE, id="at the end"),
    ],
)
def test_the_store_decides_like_the_history(project: Project, held: Held, as_of: int) -> None:
    bring_up(project, held, as_of)
    assert assert_decides_like_history(project, held, as_of - project.plan.clock_margin) > 1_000


def test_writers_may_come_in_any_order(project: Project, held: Held) -> None:
    moments = [LAST - DAY + k * 7 * HOUR for k in range(3)]
    for as_of in (*moments, *reversed(moments)):
        bring_up(project, held, as_of)
    assert_decides_like_history(project, held, max(moments) - project.plan.clock_margin)
    held.client.flushdb()
    for as_of in reversed(moments):
        bring_up(project, held, as_of)
    assert_decides_like_history(project, held, max(moments) - project.plan.clock_margin)


def test_a_second_writer_changes_nothing(project: Project, held: Held) -> None:
    first = bring_up(project, held, LAST - DAY)
    second = bring_up(project, held, LAST - DAY)
    assert all(view.changed > 0 for view in first)
    assert [view.rows for view in second] == [view.rows for view in first]
    assert [(view.changed, view.conflicts) for view in second] == [(0, 0)] * len(second)


def test_the_watermark_is_the_end_of_what_is_written_and_never_falls(
    project: Project, held: Held
) -> None:
    late, early = LAST - DAY + 18 * MINUTE, LAST - 2 * DAY
    for as_of in (late, early):
        written = bring_up(project, held, as_of)
        for view, one in zip(project.contract.feature_views, written, strict=True):
            assert one.complete == late + schedule_of(view).duration
            assert mark_of(held, project, view) == Watermark(one.complete, late)


def test_the_watermark_knows_no_more_than_the_history(project: Project, held: Held) -> None:
    written = bring_up(project, held, LAST + 3 * DAY)
    for view, one in zip(project.contract.feature_views, written, strict=True):
        newest = max(row.event_ts for rows in all_rows(project, view).values() for row in rows)
        following = newest + schedule_of(view).schedule + view.delay_to_readable
        assert one.complete == following - 1 < LAST + 3 * DAY


def test_runs_that_are_left_out_are_absent(project: Project, held: Held) -> None:
    view, run = project.contract.feature_views[0], LAST - DAY
    writer = project.writer(held.store, run + HOUR)
    writer.bring_up([view], [(view.name, run)])
    ids = an_entity(project, view, run)
    assert [row.event_ts for row in held.rows(project, view, ids)] == [run - 6 * HOUR]


def test_one_run_is_published_alone_and_its_clock_is_known(project: Project, held: Held) -> None:
    view, run = project.contract.feature_views[0], LAST - DAY
    start = run + view.source_delay
    bring_up(project, held, start - HOUR)
    before = mark_of(held, project, view).complete
    count = project.writer(held.store, start).publish_run(view, run)
    rows = all_rows(project, view)
    assert count == sum(row.event_ts == run for its in rows.values() for row in its)
    assert mark_of(held, project, view) == Watermark(before, start)


def test_repeats_with_other_values_are_counted_and_change_nothing(
    held: Held, tmp_path: Path
) -> None:
    project = make(tmp_path, LAST, couriers=5)
    view, as_of = project.contract.feature_views[0], LAST - HOUR
    bring_up(project, held, as_of)
    entities = list(all_rows(project, view))
    before = {ids: held.rows(project, view, ids) for ids in entities}
    path = history_file(project.history, view)
    table = pq.read_table(path)
    name = view.features[0].name
    column = table.schema.get_field_index(name)
    altered = [value + 1 for value in table[name].to_pylist()]
    pq.write_table(table.set_column(column, table.schema.field(column), [altered]), path)
    written = bring_up(project, held, as_of)[0]
    assert written.conflicts == written.rows > 0
    assert written.changed == 0
    assert {ids: held.rows(project, view, ids) for ids in entities} == before


def test_a_key_outlives_its_lookback_by_two_margins(project: Project, held: Held) -> None:
    as_of = LAST - DAY + 18 * MINUTE
    earliest = held.store.clock()
    bring_up(project, held, as_of)
    latest = held.store.clock()
    for view in project.contract.feature_views:
        for ids in all_rows(project, view):
            rows = held.rows(project, view, ids)
            if rows:
                left = rows[-1].event_ts + view.temporal_join_lookback - as_of
                left += 2 * project.plan.clock_margin
                expires = held.client.pexpiretime(held.key(project, view, ids).decode())
                assert (earliest + left) // 1000 <= expires <= (latest + left) // 1000


def test_a_wrong_password_is_not_repeated(held: Held, tmp_path: Path) -> None:
    wrong = tmp_path / "password"
    wrong.write_text("not-the-password\n")
    codes = {wrong: "store_password_rejected", None: "store_password_missing"}
    for password_file, code in codes.items():
        with pytest.raises(InputError) as refused:
            OnlineStore(held.url, password_file)
        assert refused.value.problems[0].code == code
        assert "not-the-password" not in str(refused.value)


@pytest.mark.parametrize("url", ["redis://:hunter2@localhost:1", "http://:hunter2@localhost"])
def test_a_password_in_the_url_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(InputError) as refused:
        OnlineStore(url)
    assert refused.value.problems[0].code == "store_password_in_url"
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    "url", ["", "localhost:6379", "http://localhost", "redis://localhost:port", "redis://h:70000"]
)
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(InputError) as refused:
        OnlineStore(url)
    assert refused.value.problems[0].code == "store_url_invalid"


def test_a_password_file_must_be_text_that_can_be_read(held: Held, tmp_path: Path) -> None:
    (tmp_path / "bytes").write_bytes(b"\xff\xfe")
    for name, code in (("none", "file_unreadable"), ("bytes", "password_file_invalid")):
        with pytest.raises(InputError) as refused:
            OnlineStore(held.url, tmp_path / name)
        assert refused.value.problems[0].code == code


def test_a_store_that_goes_away_is_an_error_of_ours(project: Project, tmp_path: Path) -> None:
    with running_store(tmp_path) as lost:
        bring_up(project, lost, LAST)
        lost.client.shutdown(nosave=True)
        for use in (lost.store.clock, lambda: bring_up(project, lost, LAST)):
            with pytest.raises(InputError, match=r"online store 127\.0\.0\.1:\d+:") as raised:
                use()
            assert raised.value.problems[0].code == "store_unreachable"


DAMAGE = {"other bytes": b"nothing of ours", "torn": None}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_key_is_named_and_all_others_are_written(
    project: Project, held: Held, damage: str
) -> None:
    view = next(v for v in project.contract.feature_views if len(v.entities) == 1)
    ids = an_entity(project, view, LAST - schedule_of(view).schedule)
    bring_up(project, held, LAST - 2 * DAY)
    key = held.key(project, view, ids)
    [stored] = held.store.read([key])
    assert stored is not None
    held.store.replace(key, DAMAGE[damage] or stored[:-2])
    command: list[str | Path] = [
        "--contracts",
        project.contracts,
        "materialize",
        "--history",
        project.history,
    ]
    command += ["--store", held.url, "--store-password-file", held.password_file]
    done = call(*command, "--as-of", "2026-06-01T00:00:00Z", "--json")
    assert done.code == 1
    [error] = json.loads(done.err.splitlines()[-1])["errors"]
    assert error["code"] == "timeline_of_other_schema"
    assert f"{view.entities[0]}:{ids[0]}" not in done.err  # the plan hashes entity keys
    [refused] = [one for view in done.json["views"] for one in view["refused"]]
    assert refused["name"] in error["path"]
    others = [other for other in all_rows(project, view) if other != ids]
    newest = [rows[-1].event_ts for other in others if (rows := held.rows(project, view, other))]
    assert max(newest) > LAST - 2 * DAY
    held.store.remove([key])
    assert call(*command, "--as-of", "2026-06-01T00:00:00Z").code == 0
    assert_decides_like_history(project, held, LAST - MINUTE)
