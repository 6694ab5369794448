"""`proviso bench`: measurements that the docs quote."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from proviso.bench.quality import requests, table, worth_of_freshness, worth_of_groups
from proviso.cli.console import day, note
from proviso.contracts.loading import load_contract, load_plan
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


def register(app: typer.Typer) -> None:
    """Adds this station's commands."""
    bench = typer.Typer(help="Measurements that the docs quote.", no_args_is_help=True)
    bench.command("quality")(quality)
    bench.callback()(_group)
    app.add_typer(bench, name="bench")


def _group() -> None:
    """Measurements that the docs quote."""
