"""`proviso bench`: measurements that the docs quote."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from feature_runtime.core import moments
from proviso.bench import join as joining
from proviso.bench import join_growth
from proviso.bench import materialize as writing
from proviso.bench import sweep_analyzer as analyzer
from proviso.bench import sweep_report as reporting
from proviso.bench.join_data import Size
from proviso.bench.quality import requests, table, worth_of_freshness, worth_of_groups
from proviso.bench.sweep import EMBEDDED, Contender
from proviso.bench.sweep import sweep as measured_in_turn
from proviso.bench.sweep_choice import budget_of, choose, stated_setting
from proviso.bench.sweep_input import write_inputs
from proviso.bench.sweep_settings import Setting, max_batch_size, own_setting, release_with
from proviso.bench.sweep_target import contender_at
from proviso.cli.console import Json, day, emit, note, step
from proviso.contracts.base import InputError
from proviso.contracts.contract import Scheduled
from proviso.contracts.files import replacing
from proviso.contracts.loading import load_contract, load_plan
from proviso.contracts.plan import Plan
from proviso.local import triton, valkey
from proviso.local.processes import Stack
from proviso.online.store import OnlineStore
from proviso.release.directory import Release, read_release
from proviso.training.data import Project
from proviso.training.spec import load_spec

Transactions = Annotated[Path, typer.Option("--transactions", help="Transactions (Parquet).")]
Weeks = Annotated[
    list[str], typer.Option("--week", help="First training day of a judged week (repeatable).")
]


def quality(
    ctx: typer.Context,
    transactions: Transactions,
    week: Weeks,
    freshness: Annotated[
        bool, typer.Option("--freshness", help="Vary the schedule instead of the features.")
    ] = False,
) -> None:
    """Say what each group of features is worth, or how often they should be computed."""
    contract, plan = load_contract(ctx.obj), load_plan(ctx.obj)
    project = Project(contract, plan, load_spec(ctx.obj, contract, plan))
    firsts = [day("--week", text) for text in week]
    weeks = requests(transactions, firsts, contract.source.label.delay)
    measure = worth_of_freshness if freshness else worth_of_groups
    print(table(list(measure(project, weeks, note)), weeks))


def materialize(
    ctx: typer.Context,
    entities: Annotated[int, typer.Option("--entities", min=1_000, help="Rows to write.")] = 50_000,
    rounds: Annotated[int, typer.Option("--rounds", min=1, max=50, help="How often.")] = 5,
    as_json: Json = False,
) -> None:
    """Say what the timeline costs against plain SET, on private stores of its own."""
    contract, plan = load_contract(ctx.obj), load_plan(ctx.obj)
    view = next(v for v in contract.feature_views if isinstance(v.publication, Scheduled))
    with tempfile.TemporaryDirectory(prefix="proviso-bench-") as work:
        load = writing.prepare(contract, plan, view, entities, moments.now(), Path(work))
        speeds = writing.measure(load, lambda: _private_store(Path(work) / "store"), rounds, note)
    emit(speeds.figures(), as_json, lambda: writing.table(speeds))


def join(
    labels: Annotated[int, typer.Option("--labels", min=1, help="Questions.")] = 1_000_000,
    rows: Annotated[int, typer.Option("--rows", min=100, help="Rows of history.")] = 10_000_000,
    entities: Annotated[int, typer.Option("--entities", min=1, help="Customers.")] = 50_000,
    rounds: Annotated[int, typer.Option("--rounds", min=1, max=50, help="How often.")] = 3,
    memory: Annotated[
        str | None, typer.Option("--memory", help="The engine's bound (4GB; in --growth 1GB).")
    ] = None,
    growth: Annotated[
        bool, typer.Option("--growth", help="A tenth of the rows to three times as many instead.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option("--out", help="Directory for the table, figures and picture.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Say how fast and how right the point-in-time join is, beside others on the same data."""
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


def sweep(
    ctx: typer.Context,
    release: Annotated[
        Path | None,
        typer.Option("--release", help="Default: the plan's version in model_repository."),
    ] = None,
    target: Annotated[
        str | None,
        typer.Option("--target", help="A deployed predictor's gRPC as HOST:PORT, beside ours."),
    ] = None,
    via: Annotated[
        str, typer.Option("--via", help="How the target is reached; named with its figures.")
    ] = "deployed",
    concurrency: Annotated[
        str, typer.Option("--concurrency", help="Requests at once, one number or several.")
    ] = "1,4,16,64",
    delay_us: Annotated[
        str, typer.Option("--delay-us", help="Longest waits for a batch to try, in us.")
    ] = "0,500,2000",
    rounds: Annotated[int, typer.Option("--rounds", min=1, max=50, help="How often.")] = 3,
    seconds: Annotated[
        float, typer.Option("--seconds", min=0.3, max=300, help="Length of one measurement.")
    ] = 3.0,
    rest_ms: Annotated[
        float | None,
        typer.Option("--rest-ms", min=0, help="What the path beside the predictor takes, p95."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Directory for sweep.html, .md and .json.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Say what the predictor takes and how late it is, by concurrency and batching setting."""
    analyzer.check_home()
    plan = load_plan(ctx.obj)
    chosen = read_release(release or Path("model_repository") / plan.model_version)
    counts = _numbers("--concurrency", concurrency, range(1, 1025))
    delays = _numbers("--delay-us", delay_us, range(1_000_001))
    with tempfile.TemporaryDirectory(prefix="proviso-sweep-") as folder, Stack() as stack:
        work = Path(folder)
        served = [contender_at(target, chosen.triton_model, via)] if target else []
        settings = [served[0].setting] if served else _settings(delays, chosen, plan)
        with step(f"starting {len(settings)} predictors"):
            ours = [_embedded(stack, chosen, s, work / str(i)) for i, s in enumerate(settings)]
        inputs = work / "inputs.json"
        about = write_inputs(chosen, inputs)

        def measure(contender: Contender, count: int) -> analyzer.Measured:
            load = analyzer.Load(contender.address, chosen.triton_model, inputs, count, seconds)
            return analyzer.measure(load, note)

        curves = measured_in_turn([*ours, *served], counts, rounds, measure, note)
    budget = budget_of(plan, rest_ms)
    choice = None if target else choose(curves, budget, plan)
    name, notes = f"{chosen.model} ({chosen.id})", tuple(_doubts(ours[0], served))
    found = reporting.Found(
        name, budget, curves, choice, rounds, seconds, about, joining.machine(), notes
    )
    if out is not None:
        reporting.write_report(found, out)
    emit(reporting.as_data(found), as_json, lambda: reporting.as_text(found))


def _numbers(option: str, text: str, allowed: range) -> list[int]:
    """Different whole numbers between commas, rising."""
    wanted = f"numbers from {allowed[0]} to {allowed[-1]}, as in 1,4,16"
    try:
        found = sorted({int(part) for part in text.split(",")})
    except ValueError:
        raise InputError.of(option, repr(text), wanted) from None
    if not all(number in allowed for number in found):
        raise InputError.of(option, repr(text), wanted)
    return found


def _settings(delays: list[int], release: Release, plan: Plan) -> list[Setting]:
    """Off, on without a delay, on with the delays, and what release and plan say."""
    on = {Setting(True, delay) for delay in (0, *delays)}
    found = {Setting(False), *on, own_setting(release), stated_setting(plan)}
    return sorted(found, key=lambda setting: (setting.dynamic, setting.delay_us))


def _embedded(stack: Stack, release: Release, setting: Setting, work: Path) -> Contender:
    """Starts a predictor on this machine. Its log goes with the sweep's directory."""
    copy = release_with(release, setting, work / "release")
    made = triton.configure(copy.directory, work / "predictor.log")
    stack.start(made.process, made.ready, timeout=120)
    return Contender(EMBEDDED, setting, made.grpc_address, copy.id, max_batch_size(copy))


def _doubts(ours: Contender, served: list[Contender]) -> Iterator[str]:
    """In what the deployed predictor differs from the one beside it."""
    for theirs in served:
        yield (
            f"[{theirs.where}] is at {theirs.address} and says: {theirs.release}, batching"
            f" {theirs.setting.name}, max_batch_size {theirs.max_batch_size}."
        )
        if theirs.release != ours.release:
            yield f"It is NOT the release beside it, which is {ours.release}."
        if theirs.max_batch_size != ours.max_batch_size:
            yield f"The one beside it has max_batch_size {ours.max_batch_size}."


def _write(out: Path, name: str, contents: dict[str, str]) -> None:
    """Files of one name; what is empty is left out."""
    out.mkdir(parents=True, exist_ok=True)
    for ending, content in contents.items():
        if content:
            with replacing(out / f"{name}.{ending}") as unfinished:
                unfinished.write_text(content, encoding="utf-8")


@contextmanager
def _private_store(directory: Path) -> Iterator[OnlineStore]:
    with Stack() as stack:
        made = valkey.configure(directory)
        stack.start(made.process, made.ready)
        store = OnlineStore(made.url, made.password_file)
        yield store
        store.close()
    shutil.rmtree(directory)


def register(app: typer.Typer) -> None:
    """Adds this station's commands."""
    bench = typer.Typer(help="Measurements that the docs quote.", no_args_is_help=True)
    bench.command("quality")(quality)
    bench.command("materialize")(materialize)
    bench.command("join")(join)
    bench.command("sweep")(sweep)
    bench.callback()(_group)
    app.add_typer(bench, name="bench")


def _group() -> None:
    """Measurements that the docs quote."""
