"""`proviso local`: the processes of a release on this machine, and the demo that uses them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from proviso.cli.console import emit, note
from proviso.cli.options import GivenTransactions, Json, ReleaseDir, Sources
from proviso.cli.outputs import check_written
from proviso.contracts.base import InputError
from proviso.contracts.loading import load_contract
from proviso.contracts.places import given_sources
from proviso.demo.run import Settings
from proviso.demo.run import demo as run_demo
from proviso.local import state
from proviso.local.processes import Stack
from proviso.local.stack import start
from proviso.release.directory import read_release

Run = Annotated[Path, typer.Option("--run", help="Directory of logs, records and state.")]
RUN = Path("run")


def up(
    release: ReleaseDir,
    run: Run = RUN,
    replay_clock: Annotated[
        bool, typer.Option("--replay-clock", help="For replays: score at the request's event_ts.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Start the processes of a release and leave them running."""
    known = state.read(run)
    if known is not None and any(process.alive for process in known.processes):
        why = "`proviso local down` stops it"
        raise InputError.of(run, "a running stack", "none", why, code="stack_running")
    with Stack() as processes:
        embedded = start(
            processes, read_release(release), run, replay_clock=replay_clock, leashed=False
        )
        embedded.keep(run)
        processes.release()
    settings = _read(run).settings
    emit(settings, as_json, lambda: "\n".join(f"{k}: {v}" for k, v in settings.items()))


def down(run: Run = RUN, as_json: Json = False) -> None:
    """Stop the processes that `up` or a kept demo started."""
    known = state.read(run)
    stopped = known.stop() if known else []
    state.forget(run)
    emit({"stopped": stopped}, as_json, lambda: f"stopped: {', '.join(stopped) or 'nothing runs'}")


def status(run: Run = RUN, as_json: Json = False) -> None:
    """List the processes and addresses. Exit 1 if one has ended."""
    found = _read(run)
    alive = {process.name: process.alive for process in found.processes}
    lines = [f"{name}: {value}" for name, value in found.settings.items()]
    lines += [
        f"{process.name}: {'runs' if process.alive else 'ENDED'}, pid {process.pid}, "
        f"ports {process.ports}, log {process.log}"
        for process in found.processes
    ]
    emit({"processes": alive, **found.settings}, as_json, lambda: "\n".join(lines))
    if not all(alive.values()):
        raise typer.Exit(1)


def demo(
    ctx: typer.Context,
    transactions: GivenTransactions = None,
    source: Sources = None,
    work: Annotated[
        Path, typer.Option("--work", help="Directory of data, releases, logs and evidence.")
    ] = Path("run/demo"),
    report: Annotated[
        Path, typer.Option("--report", help="Directory of the report's page.")
    ] = Path("report"),
    sample: Annotated[
        int, typer.Option("--sample", min=300, max=100_000, help="Rows to replay.")
    ] = 1_000,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the processes running.")] = False,
) -> None:
    """Run the whole path, from data to gates and a report."""
    written = [report / "index.html", *(work / "history").glob("*.parquet")]
    sources = given_sources(load_contract(ctx.obj), transactions, source or ())
    check_written(ctx.obj, written, *(sources.read if sources else ()))
    try:
        run_demo(Settings(ctx.obj, work, report, sources, sample, keep))
    except KeyboardInterrupt:
        note("interrupted; all started processes have been stopped")
        sys.exit(130)


def _read(run: Path) -> state.State:
    found = state.read(run)
    if found is None:
        wanted = "one that `proviso local up` has started"
        raise InputError.of(run, "no stack", wanted, code="no_stack")
    return found
