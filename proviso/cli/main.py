"""The program `proviso`: global options, and one place where errors become exit codes.

A station is imported only when one of its commands is called: a contract is validated in
a moment, without waiting for libraries that train models.
"""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from proviso import __version__
from proviso.contracts.base import InputError, ValidationFailed

STATIONS = {
    "contracts": ("init", "validate"),
    "history": ("simulate", "features", "dataset"),
    "training": ("train", "score", "certify", "releases"),
    "online": ("materialize", "replay"),
    "follow": ("produce", "landed"),
    "promotion": ("shadow", "load"),
    "schemas": ("coverage", "schemas"),
    "freshness": ("freshness",),
    "catalog": ("catalog",),
    "skew": ("skew",),
    "drift": ("drift",),
    "leakage": ("leakage",),
    "gates": ("gate",),
    "deploy": ("deploy", "undeploy", "rotate-store-password"),
    "render": ("render",),
    "bench": ("bench",),
    "local": ("local",),
}
"""Which module of this package has which commands, in the order of the help."""


class Stations(TyperGroup):
    """A group whose commands are made when they are asked for."""

    def list_commands(self, _ctx: Any) -> list[str]:
        return [name for names in STATIONS.values() for name in names]

    def get_command(self, _ctx: Any, cmd_name: str) -> Any:
        for module, names in STATIONS.items():
            if cmd_name in names:
                return _commands(module).get(cmd_name)
        return None


def _commands(module: str) -> dict[str, Any]:
    station = typer.Typer()
    import_module(f"proviso.cli.{module}").register(station)
    # Two or more commands make a group; a lone one would become the program itself.
    station.command("", hidden=True)(_nothing)
    group: Any = typer.main.get_command(station)
    return dict(group.commands)


def _nothing() -> None:
    """Keeps a station with one command a group."""


app = typer.Typer(
    name="proviso",
    cls=Stations,
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


def app_main() -> None:
    """Entry point: 0 fine, 1 a check says no, 2 wrong use; no traceback for bad input."""
    try:
        app()
    except ValidationFailed as error:
        for problem in error.problems:
            print(problem.line, file=sys.stderr)
        sys.exit(2 if isinstance(error, InputError) else 1)
