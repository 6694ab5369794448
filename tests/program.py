"""Calls the program `proviso` inside this process, through its own entry point."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import typer
from typer.core import TyperGroup

from proviso.cli.lazy import LazyCommand
from proviso.cli.main import app, app_main


@dataclass(frozen=True)
class Done:
    """A finished call: exit status, stdout, stderr."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one object on stdout."""
        return json.loads(self.out)


def call(*arguments: str | Path) -> Done:
    """What a shell would see of `proviso <arguments>`; any other exception comes through."""
    out, err, code = io.StringIO(), io.StringIO(), 0
    argv = ["proviso", *map(str, arguments)]
    with patch.object(sys, "argv", argv), redirect_stdout(out), redirect_stderr(err):
        try:
            app_main()
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else 0
    return Done(code, out.getvalue(), err.getvalue())


def all_commands() -> Iterator[tuple[str, Any]]:
    """Every command of the program with its words, built."""
    yield from _commands_of(typer.main.get_command(app), ())


def _commands_of(command: Any, words: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    if isinstance(command, TyperGroup):
        for name, one in command.commands.items():
            yield from _commands_of(one, (*words, name))
    else:
        built = command.build() if isinstance(command, LazyCommand) else command
        yield " ".join(words), built


def parse(words: Sequence[str]) -> None:
    """Resolves a command and parses its options, without running it. Raises for wrong use."""
    program: Any = typer.main.get_command(app)
    context = program.context_class(program, info_name="proviso")
    command: Any = program
    rest = list(words)
    while isinstance(command, TyperGroup):
        name, command, rest = command.resolve_command(context, rest)
        context = command.make_context(name, rest, parent=context)
        command, rest = context.command, context._protected_args + context.args  # noqa: SLF001
