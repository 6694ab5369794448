"""The program `proviso`: global options, and the place where errors become exit codes."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup
from typer.exceptions import TyperException

from feature_runtime.core.masking import masked
from proviso import __version__
from proviso.cli.console import note
from proviso.cli.deprecated import current_spelling, mark_old_name
from proviso.cli.failures import file_problem, print_problems, usage_problem
from proviso.cli.lazy import refuse_repeated
from proviso.cli.registry import commands
from proviso.contracts.base import InputError, ValidationFailed


class Program(TyperGroup):
    """The commands of the registry; a deprecated spelling is translated before it is resolved."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.commands = {command.name: command for command in commands()}

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        refuse_repeated(self, ctx, args)
        return super().parse_args(ctx, args)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        words, deprecated = current_spelling(args)
        if deprecated is not None and not ctx.resilient_parsing:
            note(f"deprecated: use proviso {deprecated.new}")
            mark_old_name(ctx)
        return super().resolve_command(ctx, words)

    def make_context(self, *args: Any, **settings: Any) -> Any:
        with _masked_usage():
            return super().make_context(*args, **settings)

    def invoke(self, ctx: Any) -> Any:
        with _masked_usage():
            return super().invoke(ctx)


@contextmanager
def _masked_usage() -> Iterator[None]:
    """A wrong command line is repeated without the credentials of its URLs."""
    try:
        yield
    except TyperException as error:
        error.message = masked(error.message)
        raise


app = typer.Typer(
    name="proviso",
    cls=Program,
    help="Feature store, model release and serving from one contract and one plan.",
    no_args_is_help=True,
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
    """Entry point: exit 0 done, 1 a check says no, 2 wrong use; no traceback for bad input."""
    as_json = "--json" in sys.argv
    try:
        sys.exit(app(prog_name="proviso", standalone_mode=not as_json))
    except ValidationFailed as error:
        print_problems(error.problems, as_json)
        sys.exit(2 if isinstance(error, InputError) else 1)
    except TyperException as error:
        print_problems([usage_problem(error)], as_json)
        sys.exit(error.exit_code)
    except OSError as error:
        print_problems([file_problem(error)], as_json)
        sys.exit(2)


if __name__ == "__main__":
    app_main()
