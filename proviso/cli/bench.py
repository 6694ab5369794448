"""`proviso bench`: measurements that the docs quote."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from feature_runtime.core import moments
from proviso.bench import drift as drifting
from proviso.bench import join as joining
from proviso.bench import join_growth
from proviso.bench import materialize as writing
from proviso.bench.join_data import Size
from proviso.bench.quality import requests, table, worth_of_freshness, worth_of_groups
from proviso.bench.sweep_report import as_data, as_text, write_report
from proviso.bench.sweep_run import Sweep, run_sweep
from proviso.cli.console import day, emit, note
from proviso.cli.options import Json, Rounds, Sources, Transactions
from proviso.cli.outputs import check_written
from proviso.contracts.base import InputError
from proviso.contracts.contract import Scheduled
from proviso.contracts.files import replacing_together
from proviso.contracts.loading import load_contract, load_plan
from proviso.contracts.places import place_sources
from proviso.local import triton, valkey
from proviso.local.processes import Stack
from proviso.online.store import OnlineStore
from proviso.release.directory import Release, read_release
from proviso.training.project import load_project

Weeks = Annotated[
    list[str], typer.Option("--week", help="First training day of a judged week (repeatable).")
]


def quality(
    ctx: typer.Context,
    week: Weeks,
    transactions: Transactions = None,
    source: Sources = None,
    freshness: Annotated[
        bool, typer.Option("--freshness", help="Vary the schedule instead of the features.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Measure the worth of each feature group or schedule."""
    sources = place_sources(load_contract(ctx.obj), transactions, source or ())
    project = load_project(ctx.obj, None, sources.contract)
    firsts = [day("--week", text) for text in week]
    weeks = requests(sources.observed, firsts, project.contract.observations_of().label.delay)
    measure = worth_of_freshness if freshness else worth_of_groups
    lines = list(measure(project, weeks, note))
    emit({"lines": [asdict(line) for line in lines]}, as_json, lambda: table(lines, weeks))


def materialize(
    ctx: typer.Context,
    entities: Annotated[int, typer.Option("--entities", min=1_000, help="Rows to write.")] = 50_000,
    rounds: Rounds = 5,
    as_json: Json = False,
) -> None:
    """Measure a timeline's cost against a plain SET.

    Each round writes to a private store that it starts and stops.
    """
    contract, plan = load_contract(ctx.obj), load_plan(ctx.obj)
    view = next(v for v in contract.feature_views if isinstance(v.publication, Scheduled))
    with tempfile.TemporaryDirectory(prefix="proviso-bench-") as work:
        load = writing.prepare(contract, plan, view, entities, moments.now(), Path(work))
        speeds = writing.measure(load, lambda: _private_store(Path(work) / "store"), rounds, note)
    emit(speeds.figures(), as_json, lambda: writing.table(speeds))


def join(
    labels: Annotated[
        int, typer.Option("--labels", min=1, help="Observed rows to join.")
    ] = 1_000_000,
    rows: Annotated[int, typer.Option("--rows", min=100, help="Rows of the history.")] = 10_000_000,
    entities: Annotated[
        int, typer.Option("--entities", min=1, help="Entities of the history.")
    ] = 50_000,
    rounds: Rounds = 3,
    memory: Annotated[
        str | None,
        typer.Option(
            "--memory", help="Memory limit of the engine (default: 4GB; with --growth 1GB)."
        ),
    ] = None,
    growth: Annotated[
        bool,
        typer.Option("--growth", help="Measure from a tenth of the rows to three times as many."),
    ] = False,
    out: Annotated[
        Path | None, typer.Option("--out", help="Directory for the table, figures and picture.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Measure the point-in-time join beside others."""
    size = Size(labels, rows, entities)
    if growth:
        benches = join_growth.grow(size, rounds, memory or "1GB", note)
        text, pictures = join_growth.growth_table(benches), join_growth.growth_picture(benches)
    else:
        benches = [joining.compare(size, rounds, memory or "4GB", note)]
        text, pictures = joining.table(benches[0]), ""
    figures = {"benches": [asdict(bench) for bench in benches]}
    if out is not None:
        name = "join-growth" if growth else "join"
        contents = {"md": f"{text}\n", "json": json.dumps(figures, indent=1), "svg": pictures}
        _write(out, name, contents)
    emit(figures, as_json, lambda: text)


def drift(
    rounds: Annotated[
        int, typer.Option("--rounds", min=1, max=10_000, help="Checks of each kind.")
    ] = 50,
    as_json: Json = False,
) -> None:
    """Measure how often the drift check is right."""
    lines = list(drifting.measure(rounds, note))
    emit({"lines": [asdict(line) for line in lines]}, as_json, lambda: drifting.table(lines))


def sweep(
    ctx: typer.Context,
    release: Annotated[
        Path | None,
        typer.Option(
            "--release",
            help="Release directory (default: the plan's version in model_repository).",
        ),
    ] = None,
    target: Annotated[
        str | None,
        typer.Option("--target", help="gRPC of a deployed predictor, HOST:PORT, to compare with."),
    ] = None,
    via: Annotated[
        str, typer.Option("--via", help="How the target is reached, as the results name it.")
    ] = "deployed",
    concurrency: Annotated[
        str, typer.Option("--concurrency", help="Concurrent requests: one number or several.")
    ] = "1,4,16,64",
    delay_us: Annotated[
        str, typer.Option("--delay-us", help="Longest waits for a batch (us).")
    ] = "0,500,2000",
    rounds: Rounds = 3,
    seconds: Annotated[
        float, typer.Option("--seconds", min=0.3, max=300, help="Length of a measurement (s).")
    ] = 3.0,
    rest_ms: Annotated[
        float | None,
        typer.Option("--rest-ms", min=0, help="p95 of the path beside the predictor (ms)."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Directory for sweep.html, .md and .json.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Measure the predictor's rate and latency by batching."""
    plan = load_plan(ctx.obj)
    directory = release or Path("model_repository") / plan.model_version
    if out is not None:
        written = [out / f"sweep.{ending}" for ending in ("html", "md", "json")]
        check_written(ctx.obj, written, releases=[directory])
    chosen = read_release(directory)
    asked = Sweep(
        release=chosen,
        plan=plan,
        concurrencies=_numbers("--concurrency", concurrency, range(1, 1025)),
        delays=_numbers("--delay-us", delay_us, range(1_000_001)),
        rounds=rounds,
        seconds=seconds,
        rest_ms=rest_ms,
        target=target,
        via=via,
    )
    with tempfile.TemporaryDirectory(prefix="proviso-sweep-") as work, Stack() as stack:
        found = run_sweep(asked, partial(_embedded, stack), Path(work), note)
    if out is not None:
        write_report(found, out)
    emit(as_data(found), as_json, lambda: as_text(found))


def _numbers(option: str, text: str, allowed: range) -> list[int]:
    """Distinct whole numbers between commas, sorted."""
    wanted = f"numbers from {allowed[0]} to {allowed[-1]}, as in 1,4,16"
    try:
        numbers = sorted({int(part) for part in text.split(",")})
    except ValueError:
        raise InputError.of(option, repr(text), wanted, code="invalid_numbers") from None
    if not all(number in allowed for number in numbers):
        raise InputError.of(option, repr(text), wanted, code="invalid_numbers")
    return numbers


def _embedded(stack: Stack, release: Release, log: Path) -> str:
    """Starts a predictor of the release on this machine; returns its gRPC address."""
    made = triton.configure(release.directory, log)
    stack.start(made.process, made.ready, timeout=120)
    return made.grpc_address


def _write(out: Path, name: str, contents: dict[str, str]) -> None:
    """Writes `<name>.<ending>` for every content that is not empty."""
    with replacing_together() as files:
        for ending, content in contents.items():
            if content:
                files.write_text(out / f"{name}.{ending}", content)


@contextmanager
def _private_store(directory: Path) -> Iterator[OnlineStore]:
    with Stack() as stack:
        made = valkey.configure(directory)
        stack.start(made.process, made.ready)
        store = OnlineStore(made.url, made.password_file)
        yield store
        store.close()
    shutil.rmtree(directory)
