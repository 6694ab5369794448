"""`proviso simulate`, `proviso features` and `proviso dataset`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from feature_runtime.core import moments
from proviso.cli.console import emit, moment, note, optional_moment, step
from proviso.cli.options import (
    DryRun,
    End,
    History,
    Json,
    Memory,
    ParquetFile,
    Start,
    Transactions,
)
from proviso.contracts.base import InputError
from proviso.contracts.loading import load_contract
from proviso.history.engines import history_engine
from proviso.history.values import DEFAULT_MEMORY, ViewHistory
from proviso.simulation.ongoing import append_events, simulate_ongoing, whole_until
from proviso.simulation.simulate import simulate as run_simulation


def simulate(
    ctx: typer.Context,
    out: ParquetFile,
    days: Annotated[
        int | None,
        typer.Option("--days", min=1, max=1000, help="Days of data (default: the file's)."),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option("--seed", min=0, help="Selects the made-up data (default: the file's)."),
    ] = None,
    end: Annotated[
        str | None,
        typer.Option(
            "--end", help="End of the data, or `now` (default: the file's; to append: now)."
        ),
    ] = None,
    ahead: Annotated[
        int | None,
        typer.Option("--ahead", min=1, max=1000, help="Days after the end that --append may add."),
    ] = None,
    append: Annotated[
        bool,
        typer.Option(
            "--append",
            help="Add the transactions that have arrived since FILE was written; days and seed are"
            " FILE's. With --ahead, make FILE where it is missing.",
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Make up transactions; the same seed gives the same file."""
    contract = load_contract(ctx.obj)
    if append and (ahead is None or out.exists()):
        with step("simulating"):
            added = append_events(ctx.obj, contract, out, moment("--end", end or "now"))
        emit(asdict(added), as_json, lambda: added.text)
        return
    until = optional_moment("--end", end)
    with step("simulating"):
        if ahead is None:
            made = run_simulation(ctx.obj, contract, out, days, seed, until)
        else:
            made = simulate_ongoing(ctx.obj, contract, out, ahead, days, seed, until)
    emit(asdict(made), as_json, lambda: made.text)


def features(
    ctx: typer.Context,
    transactions: Transactions,
    out: Annotated[Path, typer.Option("--out", help="Directory for <view>.parquet.")],
    start: Annotated[
        str | None, typer.Option("--start", help="Moment of the first run, inclusive.")
    ] = None,
    end: Annotated[
        str | None, typer.Option("--end", help="Moment after the last run, exclusive.")
    ] = None,
    view: Annotated[
        list[str] | None, typer.Option("--view", help="Only this view (repeatable).")
    ] = None,
    update: Annotated[
        bool, typer.Option("--update", help="Add only the runs that the files lack.")
    ] = False,
    backfill: Annotated[
        bool, typer.Option("--backfill", help="Correct the runs from --start to --end.")
    ] = False,
    as_of: Annotated[
        str | None,
        typer.Option(
            "--as-of",
            help="With --update or --backfill: the transactions hold everything that arrived"
            " before this moment (default: up to their last arrival, or as far as a simulated"
            " file goes; a backfill is of now).",
        ),
    ] = None,
    memory: Memory = DEFAULT_MEMORY,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Compute the feature history of every view.

    One row per view, run and entity, in <view>.parquet.
    """
    contract = load_contract(ctx.obj)
    first, last = optional_moment("--start", start), optional_moment("--end", end)
    whole = optional_moment("--as-of", as_of)
    if update and whole is None:
        whole = whole_until(transactions)
    _check_combination(update, backfill, first, last, whole)
    engine = history_engine()
    if update:
        done = engine.update_history(
            contract, transactions, out, whole, view, note, memory, dry_run
        )
    elif backfill and first is not None:
        done = engine.backfill_history(
            contract, transactions, out, first, last, whole, view, note, memory, dry_run
        )
    elif dry_run:
        files = [str(out / f"{v}.parquet") for v in view or contract.view_by_name]
        emit({"would_write": files}, as_json, lambda: "would write " + ", ".join(files))
        return
    else:
        done = engine.compute_history(contract, transactions, out, first, last, view, note, memory)
    would = "would compute " if dry_run else ""
    emit(asdict(done), as_json, lambda: "\n".join(would + _line(v) for v in done.views))


def _check_combination(
    update: bool, backfill: bool, start: int | None, end: int | None, as_of: int | None
) -> None:
    """Raises InputError for options that contradict or need each other."""
    if update and backfill:
        raise _conflict("--update", "also --backfill", "one of them", "a backfill updates as well")
    if update and (start is not None or end is not None):
        wanted, why = "--as-of", "the files say where an update begins"
        raise _conflict("--update", "also --start or --end", wanted, why)
    if backfill and start is None:
        wanted = "the moment of the first run to correct"
        raise InputError.of("--backfill", "no --start", wanted, code="option_missing")
    if as_of is not None and not (update or backfill):
        raise _conflict("--as-of", "neither --update nor --backfill", "one of them")


def _conflict(option: str, found: str, wanted: str, why: str = "") -> InputError:
    return InputError.of(option, found, wanted, why, code="options_conflict")


def _line(done: ViewHistory) -> str:
    span = f"{moments.format_moment(done.start)} to {moments.format_moment(done.end)}"
    kept = f", {done.kept:,} kept" if done.kept else ""
    return f"{done.view}: {done.runs:,} runs, {done.rows:,} rows{kept}, {span}: {done.path}"


def dataset(
    ctx: typer.Context,
    history: History,
    transactions: Transactions,
    start: Start,
    end: End,
    out: ParquetFile,
    memory: Memory = DEFAULT_MEMORY,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Join each transaction to the values available at its moment.

    One row per transaction, with each view's newest row that was readable at its moment.
    """
    contract = load_contract(ctx.obj)
    first, last = moment("--start", start), moment("--end", end)
    if dry_run:
        emit({"would_write": [str(out)]}, as_json, lambda: f"would write {out}")
        return
    with step("joining"):
        done = history_engine().build_dataset(
            contract, history, transactions, first, last, out, memory=memory
        )
    lines = [f"{done.rows:,} rows: {done.path}"]
    lines += [f"{v.view}: {v.statuses}, {v.conflicts} rows refused" for v in done.views]
    emit(asdict(done), as_json, lambda: "\n".join(lines))
