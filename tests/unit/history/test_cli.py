"""`simulate`, `features` and `dataset` as a user calls them, on the project of `proviso init`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from proviso.contracts.loading import CONTRACT_FILE
from proviso.contracts.starter import write_template
from tests.parcel_project import project_text
from tests.program import call


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("parcels")
    write_template(directory / "contracts")
    return directory


def _call(project: Path, *arguments: str) -> Any:
    done = call("--contracts", project / "contracts", *arguments, "--json")
    assert done.code == 0, done.err
    return done.json


def test_a_project_goes_from_nothing_to_a_dataset(project: Path) -> None:
    source, work = project / "deliveries.parquet", project / "history"
    end = "2026-01-20T12:00:00Z"
    made = _call(
        project, "simulate", "--days", "9", "--seed", "5", "--end", end, "--out", str(source)
    )
    done = _call(project, "features", "--transactions", str(source), "--out", str(work))
    assert made["rows"] == done["transactions"] == pq.read_metadata(source).num_rows
    assert {view["view"] for view in done["views"]} == {p.stem for p in work.iterdir()}
    where = ["--history", str(work), "--transactions", str(source)]
    span = ["--start", "2026-01-18", "--end", end, "--out", str(project / "dataset.parquet")]
    joined = _call(project, "dataset", *where, *span)
    assert joined["rows"] == pq.read_metadata(project / "dataset.parquet").num_rows > 0
    assert all(view["statuses"]["OK"] > 0 for view in joined["views"])


def test_a_dry_run_writes_nothing(project: Path) -> None:
    out = project / "nothing"
    said = _call(project, "features", "--transactions", "x", "--out", str(out), "--dry-run")
    assert len(said["would_write"]) == 2
    assert not out.exists()


def test_the_short_contract_means_what_the_whole_one_of_version_1_does(
    project: Path, tmp_path: Path
) -> None:
    whole, source = tmp_path / "contracts", tmp_path / "deliveries.parquet"
    write_template(whole)
    (whole / CONTRACT_FILE).write_text(project_text(CONTRACT_FILE))
    _call(project, "simulate", "--days", "9", "--seed", "5", "--out", str(source))
    histories = []
    for contracts in (project / "contracts", whole):
        out = tmp_path / f"of-{contracts.parent.name}"
        where = ["--transactions", str(source), "--out", str(out), "--json"]
        assert call("--contracts", contracts, "features", *where).code == 0
        histories.append({p.name: pq.read_table(p).to_pylist() for p in sorted(out.iterdir())})
    assert histories[0].keys() == histories[1].keys()
    assert histories[0] == histories[1]
