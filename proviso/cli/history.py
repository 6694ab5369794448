"""`proviso simulate` and `proviso features`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from feature_runtime.core import moments
from proviso.cli.console import emit, moment, note, optional_moment, optional_span, step
from proviso.cli.options import (
    DryRun,
    Json,
    Memory,
    ParquetFile,
    Sources,
    Transactions,
)
from proviso.cli.outputs import check_written
from proviso.contracts.base import InputError
from proviso.contracts.loading import PLAN_FILE, load_contract, load_plan
from proviso.contracts.places import place_sources
from proviso.history.clock import source_clock
from proviso.history.engines import history_engine
from proviso.history.quarantine import Quarantined, quarantine_file
from proviso.history.values import DEFAULT_MEMORY, HistorySummary, SourceClock, ViewHistory
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
            help="Add the rows that have arrived since FILE was written; days and seed are"
            " FILE's. With --ahead, make FILE where it is missing.",
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Make up rows; the same seed gives the same file."""
    contract = load_contract(ctx.obj)
    check_written(ctx.obj, [out])
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
    out: Annotated[Path, typer.Option("--out", help="Directory for <view>.parquet.")],
    transactions: Transactions = None,
    source: Sources = None,
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
            help="The clock: nothing later is used. With --update or --backfill: the rows"
            " hold everything that arrived before it (default: up to their last arrival, or as far"
            " as a simulated file goes; a backfill is of now).",
        ),
    ] = None,
    memory: Memory = DEFAULT_MEMORY,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Compute the feature history of every view.

    One row per view, run and entity, in <view>.parquet.
    """
    sources = place_sources(load_contract(ctx.obj), transactions, source or ())
    contract, transactions = sources.contract, sources.observed
    first, last = optional_span(start, end)
    whole = optional_moment("--as-of", as_of)
    _check_combination(update, backfill, first, last)
    files = [out / f"{name}.parquet" for name in view or contract.view_by_name]
    check_written(ctx.obj, files, *sources.read)
    clock = _clock(ctx.obj, transactions, whole, grows=update or backfill)
    if update and whole is None and transactions is not None:
        whole = whole_until(transactions)
    engine = history_engine()
    if update:
        done = engine.update_history(
            contract, transactions, out, whole, view, note, memory, dry_run, clock
        )
    elif backfill and first is not None:
        done = engine.backfill_history(
            contract, transactions, out, first, last, whole, view, note, memory, dry_run, clock
        )
    elif dry_run:
        names = [str(path) for path in files]
        emit({"would_write": names}, as_json, lambda: "would write " + ", ".join(names))
        return
    else:
        done = engine.compute_history(
            contract, transactions, out, first, last, view, note, memory, clock
        )
    would = "would compute " if dry_run else ""
    lines = [*(would + _line(one) for one in done.views), *_set_aside(done)]
    lines += [_quarantined(one, out) for one in done.quarantined if one.rows or one.copies]
    emit(asdict(done), as_json, lambda: "\n".join(lines))


def _clock(
    contracts: Path, transactions: Path | None, as_of: int | None, *, grows: bool
) -> SourceClock:
    """The clock that the rows are read by.

    A history that grows may have been computed after --as-of, so only a later one moves its clock.
    """
    margin = load_plan(contracts).clock_margin if (contracts / PLAN_FILE).exists() else 0
    if as_of is not None and not grows:
        return SourceClock(as_of, margin)
    return source_clock(transactions, margin, as_of)


def _set_aside(done: HistorySummary) -> list[str]:
    """A line of the rows that were set aside, if there are any."""
    if not done.set_aside or done.latest is None:
        return []
    latest = moments.format_moment(done.latest)
    example = done.set_aside_example
    return [f"set aside: {done.set_aside:,} rows later than {latest}, such as {example}"]


def _quarantined(found: Quarantined, out: Path) -> str:
    return f"{found.text}: {quarantine_file(out, found.source)}"


def _check_combination(update: bool, backfill: bool, start: int | None, end: int | None) -> None:
    """Raises InputError for options that contradict or need each other."""
    if update and backfill:
        raise _conflict("--update", "also --backfill", "one of them", "a backfill updates as well")
    if update and (start is not None or end is not None):
        wanted, why = "--as-of", "the files say where an update begins"
        raise _conflict("--update", "also --start or --end", wanted, why)
    if backfill and start is None:
        wanted = "the moment of the first run to correct"
        raise InputError.of("--backfill", "no --start", wanted, code="option_missing")


def _conflict(option: str, found: str, wanted: str, why: str = "") -> InputError:
    return InputError.of(option, found, wanted, why, code="options_conflict")


def _line(done: ViewHistory) -> str:
    span = f"{moments.format_moment(done.start)} to {moments.format_moment(done.end)}"
    kept = f", {done.kept:,} kept" if done.kept else ""
    return f"{done.view}: {done.runs:,} runs, {done.rows:,} rows{kept}, {span}: {done.path}"
