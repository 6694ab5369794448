"""`proviso local`: the embedded stack, and the demonstration that uses it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from proviso.cli.console import Json, emit, note
from proviso.contracts.base import InputError
from proviso.demo.run import Settings, demo
from proviso.local import state
from proviso.local.processes import Stack
from proviso.local.stack import start
from proviso.release.directory import read_release

Run = Annotated[Path, typer.Option("--run", help="Where logs, records and state are kept.")]
RUN = Path("run")


def up(
    release: Annotated[Path, typer.Option("--release", help="Release directory.")],
    run: Run = RUN,
    replay_clock: Annotated[
        bool, typer.Option("--replay-clock", help="t is the request's event_ts: for replays only.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Start Valkey, Triton and the transformer of a release, and leave them running."""
    known = state.read(run)
    if known is not None and any(process.alive for process in known.processes):
        raise InputError.of(run, "a stack that runs", "none", "`proviso local down` stops it")
    with Stack() as processes:
        embedded = start(
            processes, read_release(release), run, replay_clock=replay_clock, leashed=False
        )
        embedded.keep(run)
        processes.release()
    settings = _read(run).settings
    emit(settings, as_json, lambda: "\n".join(f"{k}: {v}" for k, v in settings.items()))


def down(run: Run = RUN, as_json: Json = False) -> None:
    """Stop what `up` or a kept demo has started, and only that."""
    found = state.read(run)
    stopped = found.stop() if found else []
    state.forget(run)
    emit({"stopped": stopped}, as_json, lambda: f"stopped: {', '.join(stopped) or 'nothing runs'}")


def status(run: Run = RUN, as_json: Json = False) -> None:
    """Say what runs; exit 1 when something that was started has ended."""
    found = _read(run)
    alive = {process.name: process.alive for process in found.processes}
    lines = [
        f"{process.name}: {'runs' if process.alive else 'ENDED'}, pid {process.pid}, "
        f"ports {process.ports}, log {process.log}"
        for process in found.processes
    ]
    emit({"processes": alive, **found.settings}, as_json, lambda: "\n".join(lines))
    if not all(alive.values()):
        raise typer.Exit(1)


def demonstrate(
    ctx: typer.Context,
    transactions: Annotated[
        Path | None, typer.Option("--transactions", help="Real transactions instead of simulated.")
    ] = None,
    work: Annotated[Path, typer.Option("--work", help="Where everything is kept.")] = Path(
        "run/demo"
    ),
    report: Annotated[Path, typer.Option("--report", help="Where the page goes.")] = Path("report"),
    sample: Annotated[
        int, typer.Option("--sample", min=300, max=100_000, help="Transactions to replay.")
    ] = 1_000,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the stack up.")] = False,
) -> None:
    """Walk the whole path: data, training, stack, replay, refusals, gates, report."""
    try:
        demo(Settings(ctx.obj, work, report, transactions, sample, keep))
    except KeyboardInterrupt:
        note("interrupted; everything that was started has been stopped")
        sys.exit(130)


def _read(run: Path) -> state.State:
    found = state.read(run)
    if found is None:
        raise InputError.of(run, "no stack", "one that `proviso local up` has started")
    return found


def register(app: typer.Typer) -> None:
    """Adds this station's commands."""
    local = typer.Typer(help="The embedded stack on this machine.", no_args_is_help=True)
    for name, command in (("up", up), ("down", down), ("status", status), ("demo", demonstrate)):
        local.command(name)(command)
    app.add_typer(local, name="local")
