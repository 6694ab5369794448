"""A made-up world that goes on: what is there stays, and what comes is what had to come."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feature_runtime.core.moments import DAY, HOUR, SECOND
from proviso.contracts.base import InputError
from proviso.contracts.contract import Contract
from proviso.contracts.loading import load_contract
from proviso.contracts.starter import write_template
from proviso.history.duckdb.incremental import update_history
from proviso.simulation.ongoing import append_events, simulate_ongoing, whole_until
from proviso.simulation.simulate import simulate
from tests.program import call

START = 1_700_000_000_000_000
DAYS, AHEAD = 6, 3


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small world, of another contract than the example."""
    directory = tmp_path_factory.mktemp("ongoing") / "project"
    write_template(directory)
    return directory


@pytest.fixture(scope="module")
def contract(project: Path) -> Contract:
    return load_contract(project)


def _begin(project: Path, contract: Contract, out: Path) -> pa.Table:
    simulate_ongoing(project, contract, out, AHEAD, days=DAYS, seed=5, end=START)
    return pq.read_table(out)


@given(steps=st.lists(st.integers(0, AHEAD * DAY), min_size=1, max_size=4))
@settings(max_examples=25, deadline=None)
def test_two_steps_give_the_bytes_of_one(
    project: Path, contract: Contract, steps: list[int]
) -> None:
    with tempfile.TemporaryDirectory() as directory:
        in_steps, at_once = Path(directory) / "steps", Path(directory) / "once"
        first = _begin(project, contract, in_steps)
        _begin(project, contract, at_once)
        before = first
        for moment in sorted(START + step for step in steps):
            append_events(project, contract, in_steps, moment)
            after = pq.read_table(in_steps)
            assert after.slice(0, before.num_rows).equals(before)
            before = after
        append_events(project, contract, at_once, START + max(steps))
        assert in_steps.read_bytes() == at_once.read_bytes()


def test_exactly_what_has_arrived_since_is_added(
    project: Path, contract: Contract, tmp_path: Path
) -> None:
    source = contract.observations_of()
    assert source.arrival_timestamp is not None
    first = _begin(project, contract, tmp_path / "f")
    done = append_events(project, contract, tmp_path / "f", START + DAY)
    rows = pq.read_table(tmp_path / "f")
    added = rows.slice(first.num_rows)
    arrival = pc.cast(added[source.arrival_timestamp], pa.int64()).to_pylist()
    assert done.added == added.num_rows > 100
    assert min(arrival) > START
    assert max(arrival) <= START + DAY
    assert arrival == sorted(arrival)
    ids = rows[source.id].to_pylist()
    assert len(set(ids)) == len(ids)


def test_a_late_event_of_before_the_end_comes_with_the_next_append(
    project: Path, contract: Contract, tmp_path: Path
) -> None:
    first = _begin(project, contract, tmp_path / "f")
    append_events(project, contract, tmp_path / "f", START + HOUR)
    events = pq.read_table(tmp_path / "f")[contract.observations_of().event_timestamp]
    new = pc.cast(events, pa.int64()).to_pylist()[first.num_rows :]
    assert min(new) <= START


def test_the_history_grows_with_the_file_and_is_that_of_the_whole_file(
    project: Path, contract: Contract, tmp_path: Path
) -> None:
    out, grown = tmp_path / "f", tmp_path / "grown"
    _begin(project, contract, out)
    for moment in (START, START + 90 * SECOND, START + HOUR, START + DAY):
        append_events(project, contract, out, moment)
        update_history(contract, out, grown, whole_until(out), memory="300MB")
    update_history(contract, out, tmp_path / "whole", whole_until(out), memory="300MB")
    for view in contract.view_by_name:
        one, other = grown / f"{view}.parquet", tmp_path / "whole" / f"{view}.parquet"
        assert pq.read_table(one).to_pylist() == pq.read_table(other).to_pylist()


def test_nothing_happens_when_nothing_has_arrived(
    project: Path, contract: Contract, tmp_path: Path
) -> None:
    _begin(project, contract, tmp_path / "f")
    before = (tmp_path / "f").read_bytes()
    assert append_events(project, contract, tmp_path / "f", START).added == 0
    assert (tmp_path / "f").read_bytes() == before


@pytest.mark.parametrize(
    ("end", "code", "wanted"),
    [
        (START + AHEAD * DAY + 1, "simulation_past_horizon", "at most 2023-11-17T22:13:20Z"),
        (START - 1, "simulation_end_before_file", "at least 2023-11-14T22:13:20Z"),
    ],
)
def test_an_end_outside_of_the_world_is_refused(
    project: Path, contract: Contract, tmp_path: Path, end: int, code: str, wanted: str
) -> None:
    _begin(project, contract, tmp_path / "f")
    with pytest.raises(InputError) as refused:
        append_events(project, contract, tmp_path / "f", end)
    [problem] = refused.value.problems
    assert (problem.code, problem.wanted) == (code, wanted)


def test_a_file_of_another_making_is_refused(
    project: Path, contract: Contract, tmp_path: Path
) -> None:
    out = tmp_path / "f"
    first = _begin(project, contract, out)
    changed = first.replace_schema_metadata(pq.read_schema(out).metadata)
    column = changed.schema.get_field_index(contract.observations_of().id)
    changed = changed.set_column(
        column, contract.observations_of().id, pc.add(first[contract.observations_of().id], 1)
    )
    pq.write_table(changed, out)
    before = out.read_bytes()
    assert _code(project, contract, out) == "simulation_world_mismatch"
    assert out.read_bytes() == before
    simulate(project, contract, out, days=2)
    assert _code(project, contract, out) == "simulation_not_ongoing"
    out.write_text("no Parquet")
    assert _code(project, contract, out) == "parquet_unreadable"
    assert whole_until(out) is None


def _code(project: Path, contract: Contract, out: Path) -> str:
    """The code with which an append is refused."""
    with pytest.raises(InputError) as refused:
        append_events(project, contract, out, START + HOUR)
    [problem] = refused.value.problems
    return problem.code


def test_the_command_makes_a_file_once_and_then_adds_to_it(project: Path, tmp_path: Path) -> None:
    out = tmp_path / "f"
    common = ("--contracts", project, "simulate", "--append", "--out", out)
    refused = call(*common)
    assert refused.code == 2
    assert "[file_not_found]" in refused.err
    sizes = []
    for end in ("2026-01-10T00:00:00Z", "2026-01-10T06:00:00Z", "2026-01-10T06:00:00Z"):
        assert call(*common, "--ahead", "1", "--days", "3", "--end", end).code == 0
        sizes.append(pq.read_metadata(out).num_rows)
    assert sizes[0] < sizes[1] == sizes[2]
    assert whole_until(out) == 1_768_024_800_000_001
