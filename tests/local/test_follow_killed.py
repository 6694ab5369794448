"""The real program is killed while it follows, and the one after it leaves no trace of that."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from feature_runtime.core import keys, timeline
from feature_runtime.core.availability import availability
from feature_runtime.core.moments import HOUR, now
from proviso.contracts.loading import load_contract
from tests.parcel_data import Held
from tests.program import Done, call

ROOT = Path(__file__).parents[2]
CONTRACT = load_contract(ROOT / "contracts")
VIEW = CONTRACT.view_by_name["customer_activity_live"]
PROGRAM = Path(sys.executable).with_name("proviso")


@pytest.fixture
def sales(tmp_path: Path) -> Path:
    path = tmp_path / "transactions.parquet"
    assert call("simulate", "--out", path, "--days", "2", "--end", "now").code == 0
    table = pq.read_table(path)
    arrived = [at <= now() for at in table["arrival_ts"].cast("int64").to_pylist()]
    pq.write_table(table.filter(arrived), path)
    return path


def words(held: Held, directory: Path, *more: str) -> list[str]:
    where: list[str | Path] = [
        "--history",
        directory / "history",
        "--landing",
        directory / "landing",
    ]
    store: list[str | Path] = ["--store", held.url, "--store-password-file", held.password_file]
    return ["materialize", "--follow", *map(str, [*where, *store]), *more]


def rows_of(path: Path) -> list[tuple[object, ...]]:
    table = pq.read_table(path)
    return sorted(zip(*(column.to_pylist() for column in table.columns), strict=True), key=repr)


def computed(transactions: Path, out: Path) -> list[tuple[object, ...]]:
    """The rows of all arrivals since 1971; the ids are text in both."""
    span = ("--start", "1971-01-01", "--view", VIEW.name)
    done = call("features", "--transactions", transactions, "--out", out, *span)
    assert done.code == 0, done.err
    return rows_of(out / f"{VIEW.name}.parquet")


def served(held: Held, rows: list[tuple[object, ...]]) -> dict[object, tuple[object, ...]]:
    found: dict[object, tuple[object, ...]] = {}
    schema = CONTRACT.schema_of(VIEW)
    for customer in {str(row[0]) for row in rows}:
        key = keys.timeline_key(keys.entity_key(VIEW.entities, (customer,)), VIEW.name, schema)
        [blob] = held.store.read([key])
        assert blob is not None
        winner, _ = availability(VIEW.times, timeline.unpack(schema, blob), now() + HOUR)
        assert winner is not None
        found[customer] = winner.values
    return found


def produced(held: Held, sales: Path, *more: str) -> Done:
    store = ("--store", held.url, "--store-password-file", held.password_file)
    return call("stream", "produce", "--transactions", sales, *store, *more)


def test_the_program_follows_drains_lands_and_ends_at_a_signal(
    held: Held, sales: Path, tmp_path: Path
) -> None:
    assert produced(held, sales).code == 0
    planned = call(*words(held, tmp_path, "--dry-run", "--json"))
    assert planned.json["views"] == [VIEW.name]
    done = call(*words(held, tmp_path, "--until-drained", "--json"))
    assert done.code == 0, done.err
    assert done.json["landed"] == pq.read_metadata(sales).num_rows
    assert done.json["overdue"] == done.json["refused"] == 0
    landed = tmp_path / "landed.parquet"
    assert call("stream", "export", "--landing", tmp_path / "landing", "--out", landed).code == 0
    wanted = computed(sales, tmp_path / "wanted")
    assert computed(landed, tmp_path / "found") == wanted
    newest = {row[0]: row[3:] for row in sorted(wanted, key=lambda r: r[1:3])}
    assert served(held, wanted) == newest
    program = [str(PROGRAM), *words(held, tmp_path)]
    with subprocess.Popen(program, cwd=ROOT, stderr=subprocess.DEVNULL) as running:
        mark = held.store.watermark(VIEW.name, CONTRACT.schema_of(VIEW))
        assert mark is not None
        while not moved(held, mark.complete):
            assert running.poll() is None
        running.send_signal(signal.SIGTERM)
        assert running.wait(30) == 0


def moved(held: Held, before: int) -> bool:
    mark = held.store.watermark(VIEW.name, CONTRACT.schema_of(VIEW))
    return mark is not None and mark.complete > before


@pytest.mark.long
@pytest.mark.parametrize("parts", [1, 3, 6])
def test_a_killed_program_leaves_no_trace(
    held: Held, sales: Path, tmp_path: Path, parts: int
) -> None:
    held.client.flushdb()
    assert produced(held, sales).code == 0
    landing = tmp_path / "landing"
    program = [str(PROGRAM), *words(held, tmp_path, "--max-batch", "200")]
    for wanted in (parts, 2 * parts):
        with subprocess.Popen(program, cwd=ROOT, stderr=subprocess.DEVNULL) as running:
            while len(list(landing.glob("part-*.parquet"))) < wanted:
                assert running.poll() is None
            os.kill(running.pid, signal.SIGKILL)
    done = call(*words(held, tmp_path, "--until-drained", "--json"))
    assert done.code == 0, done.err
    landed = tmp_path / "landed.parquet"
    assert call("stream", "export", "--landing", landing, "--out", landed).code == 0
    expected = computed(sales, tmp_path / "wanted")
    assert computed(landed, tmp_path / "found") == expected
    newest = {row[0]: row[3:] for row in sorted(expected, key=lambda r: r[1:3])}
    assert served(held, expected) == newest
