"""`proviso leakage`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from proviso.cli.console import Json, day, duration, emit, note, step
from proviso.contracts.base import InputError
from proviso.contracts.loading import load_contract, load_plan
from proviso.leakage.delays import raised_delays
from proviso.leakage.incident import incident
from proviso.leakage.report import Findings, as_data, as_text, write_report
from proviso.leakage.source import delayed_arrivals, last_request
from proviso.simulation.simulate import simulate_transactions
from proviso.simulation.spec import load_simulation
from proviso.training.data import Days, Project, Request, plan_for
from proviso.training.spec import load_spec

Day = Annotated[str | None, typer.Option(help="YYYY-MM-DD; give all four days or none.")]


def register(app: typer.Typer) -> None:
    """Adds this station's commands."""
    app.command()(leakage)


def leakage(
    ctx: typer.Context,
    out: Annotated[Path, typer.Option("--out", help="Directory for leakage.html and .json.")],
    transactions: Annotated[
        Path | None, typer.Option(help="Transactions (Parquet); default: simulated.")
    ] = None,
    train_start: Day = None,
    train_end: Day = None,
    test_start: Day = None,
    test_end: Day = None,
    label_delay: Annotated[
        str | None, typer.Option(help="After which a label counts as known (default: contract's).")
    ] = None,
    arrival_lag: Annotated[
        str, typer.Option(help="How long a simulated transaction typically takes to arrive.")
    ] = "PT10M",
    source_delays: Annotated[
        str | None, typer.Option(help="Also raise source_delay: PT0M,PT10M,PT30M,PT60M.")
    ] = None,
    service: Annotated[
        str | None, typer.Option(help="Feature service to train for; default: the plan's.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Show what a join that ignores time claims, and what its model gets when it is served."""
    project = _project(ctx.obj, service)
    delays = [duration("--source-delays", d) for d in (source_delays or "").split(",") if d]
    days = _days(train_start, train_end, test_start, test_end)
    lag = duration("--arrival-lag", arrival_lag)
    delay = project.contract.source.label.delay
    if label_delay is not None:
        delay = duration("--label-delay", label_delay)
    out.mkdir(parents=True, exist_ok=True)
    with _transactions(ctx.obj, project, transactions, lag, out) as source:
        request = _request(project, source, days, delay)
        with step("four joins"):
            outcomes = incident(project, request, out / "work", note)
        raised = []
        if delays:
            with step("raising source_delay"):
                raised = list(raised_delays(project, request, delays, out / "work", note))
        used = lag if transactions is None else None
        data = as_data(Findings(project, request, used, outcomes, raised))
    write_report(data, out)
    emit({**data, "page": str(out / "leakage.html")}, as_json, lambda: as_text(data))


def _project(directory: Path, service: str | None) -> Project:
    contract, plan = load_contract(directory), load_plan(directory)
    chosen = plan_for(contract, plan, service or plan.service)
    return Project(contract, chosen, load_spec(directory, contract, chosen))


def _days(*texts: str | None) -> tuple[Days, Days] | None:
    given = [text for text in texts if text is not None]
    if not given:
        return None
    if len(given) < len(texts):
        raise InputError.of("days", f"{len(given)} of four", "all four days or none")
    names = ("--train-start", "--train-end", "--test-start", "--test-end")
    moments = [day(name, text) for name, text in zip(names, given, strict=True)]
    return Days(*moments[:2]), Days(*moments[2:])


def _request(
    project: Project, source: Path, days: tuple[Days, Days] | None, label_delay: int
) -> Request:
    if days is None:
        return last_request(project, source, label_delay)
    return Request(source, *days, label_delay)


@contextmanager
def _transactions(
    directory: Path, project: Project, given: Path | None, lag: int, out: Path
) -> Iterator[Path]:
    """The file that was given, or one that is simulated and lives as long as this."""
    if given is not None:
        yield given
        return
    with TemporaryDirectory(prefix=".proviso-simulated-", dir=out) as work:
        made = Path(work) / "transactions.parquet"
        spec = delayed_arrivals(load_simulation(directory, project.contract), lag)
        with step("simulating"):
            simulate_transactions(project.contract, spec, made)
        yield made
