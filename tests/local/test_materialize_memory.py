"""A large view passes through the writer: its rows, stamps and journal are never held at once."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from feature_runtime.core.moments import now
from proviso.bench.materialize import prepare
from proviso.contracts.loading import load_contract, load_plan
from proviso.history.segments import stamps_file
from tests.parcel_data import Held, running_store

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "tests" / "peak_memory.py"
FEW, MANY = 40_000, 1_200_000
ENGINE = 512
"""MiB that the engine may use before it spills; all rows as Python objects would take more."""


def peak(held: Held, directory: Path, entities: int) -> int:
    """The peak in MiB of the command that writes a view of so many entities, now."""
    held.client.flushdb()
    contract, plan = load_contract(ROOT / "contracts"), load_plan(ROOT / "contracts")
    view = contract.view_by_name["customer_velocity_1h"]
    prepare(contract, plan, view, entities, now(), directory)
    store = ("--store", held.url, "--store-password-file", held.password_file)
    command: list[str | Path] = [
        *(sys.executable, SCRIPT, "--contracts", ROOT / "contracts", "materialize", *store),
        *("--view", view.name, "--history", directory, "--as-of", "now"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    said, figure = done.stdout.strip().splitlines()
    assert f"{view.name}: {entities} rows" in said
    assert stamps_file(directory, view).is_file()
    return int(figure)


@pytest.mark.long
def test_thirty_times_the_rows_take_no_more_than_the_engine_may_use(tmp_path: Path) -> None:
    with running_store(tmp_path / "store") as held:
        few, many = (peak(held, tmp_path / str(n), n) for n in (FEW, MANY))
    assert many - few < ENGINE
