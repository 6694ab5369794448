"""What leaked is counted by the rule, on a history small enough to be judged by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from feature_runtime.core.availability import Row
from feature_runtime.core.moments import DAY, HOUR, MINUTE
from proviso.contracts.loading import load_plan
from proviso.history.arrays import EncoderInputs, read_inputs
from proviso.history.duckdb.join import build_dataset
from proviso.history.values import EntityRow
from proviso.leakage.incident import changed_values
from proviso.leakage.joins import Believed, Join, believed, leaked
from proviso.training.data import Project, plan_for
from proviso.training.spec import TrainingSpec
from tests.history_data import ZERO, contract, event, write_history, write_transactions

CONTRACTS = Path("contracts")
ASKED = (60, 65, 72, 75, 150, 185)
"""Minutes after ZERO at which the buyer buys."""

LEAKS = {
    # 1:00, 1:05 and 1:12 take run 1:00, readable from 1:15; 2:30 takes a correction of 5:00;
    # 3:05 takes run 3:00, written at 3:02 but not to be read before 3:10.
    Join.NAIVE: [True, True, True, False, True, True],
    # At 1:00 run 1:00 is not before, so run 0:00 is taken.
    Join.BEFORE: [False, True, True, False, True, True],
    # At 1:05 run 1:00 is less than ten minutes old, so run 0:00 is taken.
    Join.SOURCE_DELAY: [False, False, True, False, True, True],
    Join.EXACT: [False] * 6,
}


@pytest.fixture
def project() -> Project:
    shop = contract()
    return Project(shop, plan_for(shop, load_plan(CONTRACTS), "returns_v1"), TrainingSpec())


@pytest.fixture
def history(project: Project, tmp_path: Path) -> Path:
    """Hourly runs readable after fifteen minutes, one corrected much later, one written early."""
    views = project.contract.view_by_name
    hourly = [
        _row("b1", 0, 15 * MINUTE, 0),
        _row("b1", HOUR, HOUR + 15 * MINUTE, 1),
        _row("b1", 2 * HOUR, 2 * HOUR + 15 * MINUTE, 2),
        _row("b1", 2 * HOUR, 5 * HOUR, 3),
        _row("b1", 3 * HOUR, 3 * HOUR + 2 * MINUTE, 4),
    ]
    write_history(project.contract, views["buyer_hourly"], hourly, tmp_path / "history")
    daily = [EntityRow(("s1",), Row(ZERO, ZERO + 10 * MINUTE, (0.5,)))]
    write_history(project.contract, views["shop_daily"], daily, tmp_path / "history")
    return tmp_path / "history"


def _row(buyer: str, at: int, created: int, count: int) -> EntityRow:
    return EntityRow((buyer,), Row(ZERO + at, ZERO + created, (count, 0, 1.0, 0.0, 0, False)))


def _joined(
    project: Project, history: Path, join: Join, work: Path
) -> tuple[Believed, EncoderInputs]:
    sales = [event(at=ZERO + minutes * MINUTE) for minutes in ASKED]
    path = write_transactions(sales, "string", work / "sales.parquet")
    seen = believed(project, history, join, work / join.name)
    views, dataset = ["buyer_hourly", "shop_daily"], work / f"{join.name}.parquet"
    build_dataset(seen.project.contract, seen.history, path, ZERO, ZERO + DAY, dataset, views)
    return seen, read_inputs(dataset, project.contract, project.service)


@pytest.mark.parametrize("join", Join)
def test_exactly_the_rows_leak_that_nobody_could_have_read(
    project: Project, history: Path, tmp_path: Path, join: Join
) -> None:
    seen, inputs = _joined(project, history, join, tmp_path)
    found = leaked(project.contract, seen, inputs)
    assert found["buyer_hourly"].tolist() == LEAKS[join]
    assert not found["shop_daily"].any()


def test_what_a_wrong_join_believes_shows_no_leak(
    project: Project, history: Path, tmp_path: Path
) -> None:
    """A count by the dataset's own columns, or by the blind contract, would find nothing."""
    seen, inputs = _joined(project, history, Join.NAIVE, tmp_path)
    assert seen.project.contract.view_by_name["buyer_hourly"].source_delay == 0
    for view in ("buyer_hourly", "shop_daily"):
        assert (inputs.created_ts[view] == inputs.event_ts[view]).all()
        assert (inputs.created_ts[view] <= inputs.at).all()
    assert leaked(project.contract, seen, inputs)["buyer_hourly"].any()


def test_a_leak_shows_in_the_values(project: Project, history: Path, tmp_path: Path) -> None:
    values = {}
    for join in Join:
        _, inputs = _joined(project, history, join, tmp_path)
        values[join] = inputs
    counts = {join: inputs.values[:, 0].tolist() for join, inputs in values.items()}
    assert counts[Join.NAIVE] == [1, 1, 1, 1, 3, 4]
    assert counts[Join.BEFORE] == [0, 1, 1, 1, 3, 4]
    assert counts[Join.SOURCE_DELAY] == [0, 0, 1, 1, 3, 3]
    assert counts[Join.EXACT] == [0, 0, 0, 1, 2, 2]
    changed = changed_values(values[Join.NAIVE], values[Join.EXACT])
    assert changed[:, 0].tolist() == [True, True, True, False, True, True]
    assert not np.any(changed[:, 1:])


def test_a_wrong_join_leaves_the_history_as_it_is(
    project: Project, history: Path, tmp_path: Path
) -> None:
    before = {path.name: path.read_bytes() for path in history.iterdir()}
    believed(project, history, Join.NAIVE, tmp_path / "copy")
    assert {path.name: path.read_bytes() for path in history.iterdir()} == before
