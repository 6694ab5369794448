"""`proviso bench`: measurements that the docs quote."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from feature_runtime import moments
from proviso.bench import materialize as writing
from proviso.bench.quality import requests, table, worth_of_freshness, worth_of_groups
from proviso.cli.console import Json, day, emit, note
from proviso.contracts.contract import Scheduled
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
    bench.callback()(_group)
    app.add_typer(bench, name="bench")


def _group() -> None:
    """Measurements that the docs quote."""
