"""A whole quarter of real input: bounded memory, the right rows, and the demonstration on it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from feature_runtime.moments import DAY, HOUR, parse_moment
from proviso.contracts.loading import load_contract
from proviso.history.engine import connect
from proviso.history.features import compute_history
from proviso.history.oracle import Event, naive_history
from tests.local.test_handbook import HANDBOOK, ROOT

pytestmark = [pytest.mark.long, pytest.mark.timeout(1800)]

SPOT = "C00042"
START, END = parse_moment("2018-06-20T00:00:00Z"), parse_moment("2018-06-22T00:00:00Z")


@pytest.fixture(scope="module")
def handbook() -> Path:
    if not HANDBOOK.is_file():
        pytest.skip(f"{HANDBOOK.name} is not here; PROVISO_HANDBOOK may say where it is")
    return HANDBOOK


def events_of(handbook: Path, customer: str) -> list[Event]:
    """One customer's transactions, read without the code under test."""
    table = pq.read_table(handbook, filters=[("customer_id", "=", customer)])
    at = np.asarray(table["event_ts"].cast("timestamp[us]").cast("int64"))
    cents = np.rint(np.asarray(table["amount"]) * 100).astype(int)
    return [
        Event(
            ids={"customer_id": customer, "merchant_id": merchant},
            event_ts=int(at[i]),
            arrival_ts=int(at[i]),
            label=bool(label),
            label_known=int(at[i]) + 7 * DAY,
            columns={"amount": int(cents[i])},
        )
        for i, (merchant, label) in enumerate(
            zip(table["merchant_id"].to_pylist(), table["is_fraud"].to_pylist(), strict=True)
        )
    ]


def test_a_quarter_fits_into_two_gigabytes_and_equals_the_naive_rows(
    handbook: Path, tmp_path: Path
) -> None:
    contract = load_contract(ROOT / "contracts")
    done = compute_history(contract, handbook, tmp_path, memory="2GB")
    rows = {view.view: view.rows for view in done.views}
    assert 10_500_000 < rows["customer_velocity_1h"] < 11_000_000
    view = contract.view_by_name["customer_velocity_1h"]
    with connect() as engine:
        wanted = naive_history(engine, contract, view, events_of(handbook, SPOT), START, END)
    table = pq.read_table(
        tmp_path / "customer_velocity_1h.parquet", filters=[("customer_id", "=", SPOT)]
    )
    moments = table["event_ts"].cast("int64")
    table = table.filter(pc.and_(pc.greater_equal(moments, START), pc.less(moments, END)))
    found = [tuple(row[f.name] for f in view.features) for row in table.to_pylist()]
    assert len(found) == (END - START) // HOUR
    assert found == [row.row.values for row in wanted]


def test_the_demonstration_passes_on_real_input(handbook: Path, tmp_path: Path) -> None:
    program = str(Path(sys.executable).with_name("proviso"))
    options = ["--work", str(tmp_path / "work"), "--report", str(tmp_path / "report")]
    done = subprocess.run(
        [program, "local", "demo", "--transactions", str(handbook), *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "[8/8] done" in done.stdout
