"""`proviso dataset`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from proviso.cli.console import emit, optional_moment, span, step
from proviso.cli.options import (
    DryRun,
    End,
    History,
    Json,
    Memory,
    ParquetFile,
    Sources,
    Start,
    Transactions,
)
from proviso.cli.outputs import check_written
from proviso.contracts.base import InputError
from proviso.contracts.contract import Contract
from proviso.contracts.loading import load_contract
from proviso.contracts.places import place_sources
from proviso.contracts.section import consumed_views
from proviso.history.engines import history_engine
from proviso.history.values import DEFAULT_MEMORY
from proviso.release.directory import Release, read_release
from proviso.training.data import Project
from proviso.training.encoded import Observed, write_encoded
from proviso.training.project import load_project


def dataset(
    ctx: typer.Context,
    history: History,
    start: Start,
    end: End,
    out: ParquetFile,
    transactions: Transactions = None,
    source: Sources = None,
    service: Annotated[
        str | None,
        typer.Option("--service", help="Only the views of this feature service."),
    ] = None,
    encoded: Annotated[
        bool,
        typer.Option("--encoded", help="The vectors that the pod would build, by name, instead."),
    ] = False,
    release: Annotated[
        Path | None,
        typer.Option("--release", help="With --encoded: use this release's vocabularies."),
    ] = None,
    learn_until: Annotated[
        str | None,
        typer.Option(
            "--learn-until", help="With --encoded: learn vocabularies from rows before this moment."
        ),
    ] = None,
    memory: Memory = DEFAULT_MEMORY,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Join each row to the values available at its moment.

    One row for each, with each view's newest row that was readable at its moment; with
    --encoded the model's input, and why serving would reject the row.
    """
    _check_encoded(encoded, release, learn_until)
    sources = place_sources(load_contract(ctx.obj), transactions, source or ())
    contract = sources.contract
    first, last = span(start, end)
    releases = [release] if release is not None else []
    check_written(ctx.obj, [out], *sources.read, history=history, releases=releases)
    if dry_run:
        emit({"would_write": [str(out)]}, as_json, lambda: f"would write {out}")
        return
    if encoded:
        until = optional_moment("--learn-until", learn_until)
        frozen = None if release is None else read_release(release)
        name = service or (None if frozen is None else frozen.service.name)
        project = load_project(ctx.obj, name, contract)
        observed = Observed(history, sources.observed, first, last, until, memory)
        _write_encoded(project, frozen, observed, out, as_json)
        return
    views = None if service is None else _views_of(contract, service)
    with step("joining"):
        done = history_engine().build_dataset(
            contract, history, sources.observed, first, last, out, views, memory=memory
        )
    lines = [f"{done.rows:,} rows: {done.path}"]
    lines += [f"{v.view}: {v.statuses}, {v.conflicts} rows refused" for v in done.views]
    lines += [done.quarantined.text] if done.quarantined else []
    emit(asdict(done), as_json, lambda: "\n".join(lines))


def _check_encoded(encoded: bool, release: Path | None, learn_until: str | None) -> None:
    """Raises InputError for options that mean nothing together."""
    options = {"--release": release, "--learn-until": learn_until}
    given = [name for name, value in options.items() if value is not None]
    if given and not encoded:
        raise _conflict(given[0], "no --encoded", "--encoded", "only vectors need vocabularies")
    if len(given) > 1:
        wanted, why = "one of them", "a release's vocabularies are frozen"
        raise _conflict("--release", "also --learn-until", wanted, why)


def _views_of(contract: Contract, service: str) -> list[str]:
    """The views that a service consumes. Raises InputError."""
    known = {one.name: one for one in contract.feature_services}
    if service not in known:
        wanted = f"one of {sorted(known)}"
        raise InputError.of("--service", service, wanted, code="service_unknown")
    return [view.name for view in consumed_views(contract, known[service])]


def _write_encoded(
    project: Project, frozen: Release | None, observed: Observed, out: Path, as_json: bool
) -> None:
    with step("joining and encoding"):
        done = write_encoded(project, frozen, observed, out)
    lines = [f"{done.rows:,} rows, {done.rejected:,} of them rejected: {done.path}"]
    lines += [f"{n}: {len(values)} values learnt" for n, values in done.vocabularies.items()]
    emit(asdict(done), as_json, lambda: "\n".join(lines))


def _conflict(option: str, found: str, wanted: str, why: str) -> InputError:
    return InputError.of(option, found, wanted, why, code="options_conflict")
