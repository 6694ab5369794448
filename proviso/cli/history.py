"""`proviso simulate`, `proviso features` and `proviso dataset`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from feature_runtime import moments
from proviso.cli.console import DryRun, Json, emit, moment, note, step
from proviso.contracts.loading import load_contract
from proviso.history.engine import DEFAULT_MEMORY
from proviso.history.features import compute_history
from proviso.history.join import build_dataset
from proviso.simulation.simulate import simulate as run_simulation

Transactions = Annotated[Path, typer.Option("--transactions", help="Transactions (Parquet).")]
Memory = Annotated[str, typer.Option("--memory", help="The engine's bound; the rest spills.")]


def simulate(
    ctx: typer.Context,
    out: Annotated[Path, typer.Option("--out", help="Parquet file to write.")],
    days: Annotated[
        int | None, typer.Option("--days", min=1, max=1000, help="How long (default: the file's).")
    ] = None,
    seed: Annotated[
        int | None, typer.Option("--seed", min=0, help="Which made-up data (default: the file's).")
    ] = None,
    end: Annotated[
        str | None, typer.Option("--end", help="End of the data, or `now` (default: the file's).")
    ] = None,
    as_json: Json = False,
) -> None:
    """Make up transactions by simulation.yml; one seed, one result."""
    until = None if end is None else moment("--end", end)
    with step("simulating"):
        made = run_simulation(ctx.obj, load_contract(ctx.obj), out, days, seed, until)
    emit(asdict(made), as_json, lambda: made.text)


def features(
    ctx: typer.Context,
    transactions: Transactions,
    out: Annotated[Path, typer.Option("--out", help="Directory for <view>.parquet.")],
    start: Annotated[str | None, typer.Option("--start", help="First run, inclusive.")] = None,
    end: Annotated[str | None, typer.Option("--end", help="Last run, exclusive.")] = None,
    view: Annotated[
        list[str] | None, typer.Option("--view", help="Only this view (repeatable).")
    ] = None,
    memory: Memory = DEFAULT_MEMORY,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Compute the feature history of every view: one row per run and entity."""
    contract = load_contract(ctx.obj)
    first = None if start is None else moment("--start", start)
    last = None if end is None else moment("--end", end)
    if dry_run:
        files = [str(out / f"{v}.parquet") for v in view or contract.view_by_name]
        emit({"would_write": files}, as_json, lambda: "would write " + ", ".join(files))
        return
    done = compute_history(contract, transactions, out, first, last, view, note, memory)
    emit(
        asdict(done),
        as_json,
        lambda: "\n".join(
            f"{v.view}: {v.rows:,} rows, {moments.format_moment(v.start)} to"
            f" {moments.format_moment(v.end)}: {v.path}"
            for v in done.views
        ),
    )


def dataset(
    ctx: typer.Context,
    history: Annotated[Path, typer.Option("--history", help="Directory of the feature history.")],
    transactions: Transactions,
    start: Annotated[str, typer.Option("--start", help="First moment, inclusive.")],
    end: Annotated[str, typer.Option("--end", help="Last moment, exclusive.")],
    out: Annotated[Path, typer.Option("--out", help="Parquet file to write.")],
    memory: Memory = DEFAULT_MEMORY,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Join every transaction to the feature values that could be used at its moment."""
    contract = load_contract(ctx.obj)
    first, last = moment("--start", start), moment("--end", end)
    if dry_run:
        emit({"would_write": [str(out)]}, as_json, lambda: f"would write {out}")
        return
    with step("joining"):
        done = build_dataset(contract, history, transactions, first, last, out, memory=memory)
    emit(
        asdict(done),
        as_json,
        lambda: "\n".join(
            [
                f"{done.rows:,} rows: {done.path}",
                *(f"{v.view}: {v.statuses}, {v.conflicts} rows refused" for v in done.views),
            ]
        ),
    )


def register(app: typer.Typer) -> None:
    """Adds this station's commands."""
    app.command()(simulate)
    app.command()(features)
    app.command()(dataset)
