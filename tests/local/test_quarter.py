"""A whole quarter of real input: bounded memory, every row, and the demonstration on it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from feature_runtime.core.availability import Row
from feature_runtime.core.moments import HOUR
from proviso.contracts.contract import Contract, FeatureView, Scheduled
from proviso.contracts.loading import load_contract
from proviso.history.duckdb.engine import connect
from proviso.history.duckdb.scalars import EngineScalars
from proviso.history.files import history_file
from proviso.history.oracle import naive_history
from proviso.history.values import EntityRow, Event
from tests.handbook import HANDBOOK, ROOT

pytestmark = [pytest.mark.long, pytest.mark.timeout(1800)]

PROVISO = str(Path(sys.executable).with_name("proviso"))
MEMORY = "2GB"
PEAK = 5 * 2**29
"""Bytes that the process may take: the engine's bound, and half a GiB that is not the engine's."""
SPOTS = 5
"""Entities of each view whose whole quarter is computed anew."""


@dataclass(frozen=True)
class Quarter:
    """The Handbook's transactions and the history that was computed from them."""

    contract: Contract
    transactions: Path
    history: Path
    peak: int

    def entities(self, view: FeatureView) -> list[str]:
        """A view's entities, in order."""
        [key] = self.contract.join_keys(view)
        found = pc.unique(pq.read_table(self.transactions, columns=[key])[key]).to_pylist()
        return sorted(found)


@pytest.fixture(scope="module")
def handbook() -> Path:
    if not HANDBOOK.is_file():
        pytest.skip(f"{HANDBOOK.name} is not here; PROVISO_HANDBOOK may say where it is")
    return HANDBOOK


@pytest.fixture(scope="module")
def quarter(handbook: Path, tmp_path_factory: pytest.TempPathFactory) -> Quarter:
    """Computed by the program, in a process of its own: its memory can be told from ours."""
    out = tmp_path_factory.mktemp("quarter")
    command = [
        *(PROVISO, "--contracts", str(ROOT / "contracts"), "features"),
        *("--transactions", str(handbook), "--out", str(out), "--memory", MEMORY),
    ]
    with subprocess.Popen(command) as process:
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return Quarter(load_contract(ROOT / "contracts"), handbook, out, used.ru_maxrss * 1024)


@pytest.fixture(params=["customer_velocity_1h", "customer_profile_6h", "merchant_risk_daily"])
def view(request: pytest.FixtureRequest, quarter: Quarter) -> FeatureView:
    return quarter.contract.view_by_name[request.param]


def microseconds(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return column.cast(pa.timestamp("us")).cast(pa.int64())


def every(view: FeatureView) -> int:
    assert isinstance(view.publication, Scheduled)
    return view.publication.schedule


def events(quarter: Quarter, key: str, ids: Sequence[str]) -> list[Event]:
    """Transactions of some entities, read without the code under test."""
    table = pq.read_table(quarter.transactions, filters=[(key, "in", ids)])
    delay = quarter.contract.observations_of().label.delay
    moments = microseconds(table["event_ts"]).to_pylist()
    return [
        Event(
            ids={"customer_id": row["customer_id"], "merchant_id": row["merchant_id"]},
            event_ts=at,
            arrival_ts=at,
            columns={"amount": round(row["amount"] * 100), "is_fraud": bool(row["is_fraud"])},
            known={"is_fraud": at + delay},
        )
        for at, row in zip(moments, table.to_pylist(), strict=True)
    ]


def stored(quarter: Quarter, view: FeatureView, key: str, ids: Sequence[str]) -> list[EntityRow]:
    """Rows of some entities, in the order of their file."""
    table = pq.read_table(history_file(quarter.history, view), filters=[(key, "in", ids)])
    planned = [microseconds(table[name]).to_pylist() for name in ("event_ts", "created_ts")]
    values = [table[feature.name].to_pylist() for feature in view.features]
    return [
        EntityRow((entity,), Row(event_ts, created_ts, features))
        for entity, event_ts, created_ts, features in zip(
            table[key].to_pylist(), *planned, zip(*values, strict=True), strict=True
        )
    ]


def span(quarter: Quarter, view: FeatureView) -> tuple[int, int]:
    """The runs [start, end) that the whole file gives."""
    moments = microseconds(pq.read_table(quarter.transactions, columns=["event_ts"])["event_ts"])
    return -(-pc.min(moments).as_py() // every(view)) * every(view), pc.max(moments).as_py() + 1


def test_the_memory_stays_within_its_bound(quarter: Quarter) -> None:
    assert quarter.peak < PEAK


def test_every_run_has_a_row_of_every_entity_seen_so_far(
    quarter: Quarter, view: FeatureView
) -> None:
    """The population is a year, so an entity once seen stays until the end."""
    [key] = quarter.contract.join_keys(view)
    start, end = span(quarter, view)
    table = pq.read_table(quarter.transactions, columns=[key, "event_ts"])
    table = table.set_column(1, "event_ts", microseconds(table["event_ts"]))
    seen = table.group_by(key).aggregate([("event_ts", "min")])["event_ts_min"].to_pylist()
    first_runs = (max(start, -(-moment // every(view)) * every(view)) for moment in seen)
    # An event within the source delay after a run is not in it: its moment is after the run's.
    wanted = sum(len(range(run, end, every(view))) for run in first_runs)
    assert pq.read_metadata(history_file(quarter.history, view)).num_rows == wanted
    if every(view) == HOUR:
        assert wanted > 10_500_000


def test_whole_entities_equal_the_naive_history(quarter: Quarter, view: FeatureView) -> None:
    [key] = quarter.contract.join_keys(view)
    everybody = quarter.entities(view)
    ids = everybody[:: len(everybody) // SPOTS][:SPOTS]
    with connect() as engine:
        wanted = naive_history(
            EngineScalars(engine, quarter.contract),
            quarter.contract,
            view,
            events(quarter, key, ids),
            *span(quarter, view),
        )
    assert len(wanted) > SPOTS
    assert stored(quarter, view, key, ids) == wanted


def test_the_demonstration_passes_on_real_input(handbook: Path, tmp_path: Path) -> None:
    options = ["--work", str(tmp_path / "work"), "--report", str(tmp_path / "report")]
    done = subprocess.run(
        [PROVISO, "local", "demo", "--transactions", str(handbook), *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert [f"[{step}/9] done" in done.stdout for step in range(1, 10)] == [True] * 9
