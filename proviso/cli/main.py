"""The program `proviso`: global options, and one place where errors become exit codes."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from proviso import __version__
from proviso.cli import contracts, gates, history, local, online, training
from proviso.contracts.base import InputError, Refused

app = typer.Typer(
    name="proviso",
    help="A model goes to production provided that time, features and budgets hold.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _version(value: bool) -> None:
    if value:
        print(f"proviso {__version__}")
        raise typer.Exit


@app.callback()
def options(
    ctx: typer.Context,
    contracts_dir: Annotated[
        Path, typer.Option("--contracts", help="Directory of the contract files.")
    ] = Path("contracts"),
    _show: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Options that hold for every command stand before it."""
    ctx.obj = contracts_dir


for station in (contracts, history, training, online, gates, local):
    station.register(app)


def app_main() -> None:
    """Entry point: 0 fine, 1 a check says no, 2 wrong use; no traceback for bad input."""
    try:
        app()
    except Refused as error:
        for problem in error.problems:
            print(problem, file=sys.stderr)
        sys.exit(2 if isinstance(error, InputError) else 1)
