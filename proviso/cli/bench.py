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

from feature_runtime import moments
from proviso.bench import join as joining
from proviso.bench import join_growth
from proviso.bench import materialize as writing
from proviso.bench.join_data import Size
from proviso.bench.quality import requests, table, worth_of_freshness, worth_of_groups
from proviso.cli.console import Json, day, emit, note
from proviso.contracts.contract import Scheduled
from proviso.contracts.files import replacing
from proviso.contracts.loading import load_contract, load_plan
from proviso.local import valkey
from proviso.local.processes import Stack
from proviso.online.store import OnlineStore
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
    bench.callback()(_group)
    app.add_typer(bench, name="bench")


def _group() -> None:
    """Measurements that the docs quote."""
