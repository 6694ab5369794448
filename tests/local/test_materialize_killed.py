"""A writer killed with SIGKILL at any point loses nothing: who runs next finishes its work.

The real command is killed between two calls of the store, inside one, after the store has done
it and before the writer knows, and between any two changes of its files.
"""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from feature_runtime.core import timeline
from feature_runtime.core.availability import availability, visible_from
from feature_runtime.core.moments import DAY, HOUR, MINUTE, SECOND, now
from proviso.history.duckdb.published import late_intervals
from proviso.history.segments import segments, stamps_file
from tests.parcel_data import Held, Project, all_rows, make
from tests.program import Done, call
from tests.store_proxy import Proxy, port_of, running
from tests.stored_rows import AHEAD, offline_rows, stamps_of

KILLED = -9
PROGRAM = Path(sys.executable).with_name("proviso")
SCRIPT = Path(__file__).parents[1] / "killed_writer.py"

SCHEDULE, DELAY = 6 * HOUR, 20 * MINUTE
"""The shortest of the project's schedules, and more than its delay and the run's duration."""

CALLS, CHANGES = range(1, 52), range(1, 26)
"""More than an undisturbed writer makes; a point after its end kills nobody."""


@dataclass(frozen=True)
class World:
    """A project whose history each test has a copy of, and an empty store."""

    project: Project
    held: Held

    def command(self, as_of: str, url: str = "") -> list[str]:
        """The command line of a writer."""
        return [
            *("--contracts", str(self.project.contracts), "materialize", "--json"),
            *("--history", str(self.project.history), "--as-of", as_of),
            *("--store", url or self.held.url),
            *("--store-password-file", str(self.held.password_file)),
        ]

    def run(self, as_of: str = "now") -> list[dict[str, Any]]:
        """An undisturbed writer; what it says of each view."""
        done: Done = call(*self.command(as_of))
        assert done.code == 0, done.err
        found: list[dict[str, Any]] = done.json["views"]
        return found


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Project:
    directory = tmp_path_factory.mktemp("parcels")
    return make(directory, whole_until(now()), couriers=250, edits=AHEAD)


def whole_until(moment: int) -> int:
    """The moment, or the end of the last run's hours while the run may not be written yet.

    A history that ends just after a run's hour has rows of it, which a writer does not write
    before the source's delay is over; the tests compare with all rows of the history.
    """
    since = moment % SCHEDULE
    return moment if since > DELAY else moment - since - SECOND


@pytest.fixture
def world(made: Project, valkey: Held, tmp_path: Path) -> World:
    return fresh(made, valkey, tmp_path)


def fresh(made: Project, held: Held, directory: Path) -> World:
    """An empty store and a history that nobody has written."""
    held.client.flushdb()
    history = directory / "history"
    shutil.copytree(made.history, history)
    return World(replace(made, history=history), held)


def killed_at_call(world: World, number: int, *, answered: bool, as_of: str = "now") -> int:
    """Kills a writer at a script call; its exit status."""
    proxy = Proxy(port_of(world.held.url), number, answered)
    with running(proxy) as url:
        command = [str(PROGRAM), *world.command(as_of, url)]
        child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        proxy.stopped = child.kill
        _, said = child.communicate()
    assert child.returncode in {0, KILLED}, said.decode()
    return child.returncode


def killed_at_change(world: World, number: int) -> int:
    """Kills a writer before it changes a name; its exit status."""
    command = [sys.executable, str(SCRIPT), str(number), str(world.project.history)]
    done = subprocess.run([*command, *world.command("now")], capture_output=True, check=False)
    assert done.returncode in {0, KILLED}, done.stderr.decode()
    return done.returncode


def assert_whole(world: World) -> None:
    """What a key holds is what offline reads, for ever after the last write; each row once."""
    project, held = world.project, world.held
    for view in project.contract.feature_views:
        mark = held.store.watermark(view.name, project.contract.schema_of(view))
        assert mark is not None
        assert mark.complete > 0
        assert not segments(project.history, view)
        stamps = stamps_of(project, view)
        assert len(stamps) == len(set(stamps))
        times, offline = view.times, offline_rows(project, view)
        plan = all_rows(project, view)
        blobs = held.store.read([held.key(project, view, ids) for ids in offline])
        for (ids, rows), blob in zip(offline.items(), blobs, strict=True):
            schema = project.contract.schema_of(view)
            kept = () if blob is None else timeline.unpack(schema, blob)
            assert set(kept) <= set(rows)
            edges = {e for r in rows for e in (visible_from(times, r), visible_from(times, r) - 1)}
            lowest = mark.merge_clock - project.plan.clock_margin
            for t in {lowest, mark.merge_clock, *(e for e in edges if e >= lowest)}:
                assert availability(times, kept, t) == availability(times, rows, t), (ids, t)
            last = max(visible_from(times, row) for row in rows)
            planned = availability(times, plan[ids], last)[0]
            served = availability(times, kept, last)[0]
            assert (served and served[::2]) == (planned and planned[::2])


def test_a_writer_killed_before_it_keeps_an_acknowledgement_is_finished_by_the_next(
    world: World,
) -> None:
    assert killed_at_change(world, 8) == KILLED
    assert [view["resent"] for view in world.run()] == [0, 1]
    assert_whole(world)
    assert [view["rows"] for view in world.run()] == [0, 0]


def test_a_killed_writers_batch_is_sent_again_and_what_nobody_knows_is_listed(world: World) -> None:
    project = world.project
    view = project.contract.feature_views[0]
    assert killed_at_call(world, 2, answered=True) == KILLED
    [batch] = segments(project.history, view)
    stamp = min(pq.read_table(batch.path)["created_ts"].cast("int64").to_pylist())
    while world.held.store.clock() <= stamp:
        pass
    written = world.run()[0]
    assert (written["resent"], written["late_batches"]) == (1, 1)
    late = late_intervals(project.contract, project.history, view)
    offline = offline_rows(project, view)
    assert late
    for ids, gaps in late.items():
        for gap in gaps:
            assert any(
                r.event_ts == gap.event_ts and r.created_ts == gap.start for r in offline[ids]
            )
            assert gap.start <= stamp + MINUTE
            assert stamp < gap.end <= world.held.store.clock()
    assert_whole(world)
    assert [view["rows"] for view in world.run()] == [0, 0]


def test_an_emptied_store_is_written_whole_again(world: World) -> None:
    """What a journal knows was in another store."""
    assert killed_at_call(world, 30, answered=True) == KILLED
    world.held.client.flushdb()
    world.run()
    for view in world.project.contract.feature_views:
        names = [world.held.key(world.project, view, ids) for ids in all_rows(world.project, view)]
        assert all(world.held.store.read(names))


AS_OF = "2026-05-30T00:20:00Z"
LAST = 1_780_272_000 * SECOND


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return make(tmp_path_factory.mktemp("old"), LAST - DAY, couriers=250)


def everything(held: Held) -> dict[bytes, Any]:
    """All of a store: bytes of timelines, fields of watermarks."""
    found: dict[bytes, Any] = {}
    for key in held.client.scan_iter(count=1_000):
        kind = held.client.type(key)
        found[key] = held.client.get(key) if kind == b"string" else held.client.hgetall(key)
    return found


@pytest.mark.parametrize(
    "number", [25, *(pytest.param(n, marks=pytest.mark.long) for n in (4, 9, 33))]
)
def test_a_replays_writer_is_finished_to_the_byte(
    old: Project, valkey: Held, tmp_path: Path, number: int
) -> None:
    world = fresh(old, valkey, tmp_path)
    world.run(AS_OF)
    wanted = everything(valkey)
    valkey.client.flushdb()
    assert killed_at_call(world, number, answered=False, as_of=AS_OF) == KILLED
    assert everything(valkey) != wanted
    world.run(AS_OF)
    assert everything(valkey) == wanted
    assert not stamps_file(world.project.history, old.contract.feature_views[0]).exists()


@pytest.mark.long
@pytest.mark.parametrize("number", CHANGES)
def test_killed_before_any_change_of_a_file(world: World, number: int) -> None:
    killed_at_change(world, number)
    world.run()
    assert_whole(world)
    assert [view["rows"] for view in world.run()] == [0, 0]


@pytest.mark.long
@pytest.mark.parametrize("answered", [False, True])
@pytest.mark.parametrize("number", CALLS[::4])
def test_killed_at_any_call_of_the_store(world: World, number: int, answered: bool) -> None:
    killed_at_call(world, number, answered=answered)
    world.run()
    assert_whole(world)
    assert [view["rows"] for view in world.run()] == [0, 0]


@pytest.mark.long
@pytest.mark.parametrize("seed", range(8))
def test_killed_again_and_again(world: World, seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(6):
        if chance.random() < 0.5:
            killed_at_change(world, chance.choice(CHANGES[:20]))
        else:
            killed_at_call(world, chance.choice(CALLS[:40]), answered=chance.random() < 0.5)
    world.run()
    assert_whole(world)
    assert [view["rows"] for view in world.run()] == [0, 0]
