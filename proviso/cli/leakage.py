"""`proviso leakage`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from proviso.cli.console import day, duration, emit, note
from proviso.cli.options import FeatureService, GivenTransactions, Json, Sources
from proviso.cli.outputs import check_written
from proviso.contracts.base import InputError
from proviso.contracts.loading import load_contract
from proviso.contracts.places import given_sources
from proviso.leakage.report import as_text
from proviso.leakage.study import Study, run_study
from proviso.training.project import load_project
from proviso.training.weeks import Days

Day = Annotated[str | None, typer.Option(help="YYYY-MM-DD; give all four days or none.")]


def leakage(
    ctx: typer.Context,
    out: Annotated[Path, typer.Option("--out", help="Directory for leakage.html and .json.")],
    transactions: GivenTransactions = None,
    source: Sources = None,
    train_start: Day = None,
    train_end: Day = None,
    test_start: Day = None,
    test_end: Day = None,
    label_delay: Annotated[
        str | None,
        typer.Option(help="Time after an event until its label is known (default: contract's)."),
    ] = None,
    arrival_lag: Annotated[
        str, typer.Option(help="Typical time until a simulated row arrives.")
    ] = "PT10M",
    source_delays: Annotated[
        str | None,
        typer.Option(help="Also train with raised source_delay, as in PT0M,PT10M,PT30M,PT60M."),
    ] = None,
    service: FeatureService = None,
    as_json: Json = False,
) -> None:
    """Compare joins that ignore time with the exact one."""
    written = [out / f"leakage.{ending}" for ending in ("html", "json")]
    sources = given_sources(load_contract(ctx.obj), transactions, source or ())
    check_written(ctx.obj, written, *(sources.read if sources else ()))
    project = load_project(ctx.obj, service, sources.contract if sources else None)
    delay = project.contract.observations_of().label.delay
    study = Study(
        contracts=ctx.obj,
        simulated=sources is None,
        transactions=sources.observed if sources else None,
        arrival_lag=duration("--arrival-lag", arrival_lag),
        days=_days(train_start, train_end, test_start, test_end),
        label_delay=delay if label_delay is None else duration("--label-delay", label_delay),
        source_delays=[
            duration("--source-delays", d) for d in (source_delays or "").split(",") if d
        ],
    )
    data = run_study(project, study, out, note)
    emit({**data, "page": str(out / "leakage.html")}, as_json, lambda: as_text(data))


def _days(*texts: str | None) -> tuple[Days, Days] | None:
    given = [text for text in texts if text is not None]
    if not given:
        return None
    if len(given) < len(texts):
        found, wanted = f"{len(given)} of four", "all four days or none"
        raise InputError.of("--train-start ... --test-end", found, wanted, code="option_missing")
    names = ("--train-start", "--train-end", "--test-start", "--test-end")
    moments = [day(name, text) for name, text in zip(names, given, strict=True)]
    return Days(*moments[:2]), Days(*moments[2:])
