"""`simulate`, `features` and `dataset` as a user calls them, on the project of `proviso init`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import typer
from typer.testing import CliRunner

from proviso.cli import history
from proviso.contracts.base import InputError
from proviso.contracts.starter import write_template


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("parcels")
    write_template(directory / "contracts")
    return directory


@pytest.fixture(scope="module")
def app(project: Path) -> typer.Typer:
    program = typer.Typer()

    @program.callback()
    def options(ctx: typer.Context) -> None:
        ctx.obj = project / "contracts"

    history.register(program)
    return program


def _call(app: typer.Typer, *arguments: str) -> Any:
    result = CliRunner().invoke(app, [*arguments, "--json"], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_a_project_goes_from_nothing_to_a_dataset(app: typer.Typer, project: Path) -> None:
    source, work = project / "deliveries.parquet", project / "history"
    end = "2026-01-20T12:00:00Z"
    made = _call(app, "simulate", "--days", "9", "--seed", "5", "--end", end, "--out", str(source))
    done = _call(app, "features", "--transactions", str(source), "--out", str(work))
    assert made["rows"] == done["transactions"] == pq.read_metadata(source).num_rows
    assert {view["view"] for view in done["views"]} == {p.stem for p in work.iterdir()}
    where = ["--history", str(work), "--transactions", str(source)]
    span = ["--start", "2026-01-18", "--end", end, "--out", str(project / "dataset.parquet")]
    joined = _call(app, "dataset", *where, *span)
    assert joined["rows"] == pq.read_metadata(project / "dataset.parquet").num_rows > 0
    assert all(view["statuses"]["OK"] > 0 for view in joined["views"])


def test_a_dry_run_writes_nothing(app: typer.Typer, project: Path) -> None:
    out = project / "nothing"
    said = _call(app, "features", "--transactions", "x", "--out", str(out), "--dry-run")
    assert len(said["would_write"]) == 2
    assert not out.exists()


def test_a_moment_that_is_none_is_wrong_use(app: typer.Typer, project: Path) -> None:
    with pytest.raises(InputError, match="--end: found 'tomorrow', wanted a moment"):
        _call(app, "simulate", "--end", "tomorrow", "--out", str(project / "x"))
