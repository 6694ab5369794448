"""Commands that are built on use, so that a start, a help page and a completion import little."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from importlib import import_module
from inspect import cleandoc
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from proviso.contracts.base import InputError


class OnceCommand(TyperCommand):
    """A command that refuses an option of one value that is given twice."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        refuse_repeated(self, ctx, args)
        return super().parse_args(ctx, args)


def refuse_repeated(command: Any, ctx: Any, args: list[str]) -> None:
    """Raises InputError where an option that takes one value is given more than once.

    The parser would take the last and drop the others. A plain flag may be repeated.
    """
    if ctx.resilient_parsing:
        return
    _, _, given = command.make_parser(ctx).parse_args(args=list(args))
    for option, count in Counter(map(id, given)).items():
        one = next(each for each in given if id(each) == option)
        flag = getattr(one, "is_flag", False) and not one.secondary_opts
        if count > 1 and one.param_type_name == "option" and not (one.multiple or flag):
            name = max(one.opts, key=len)
            found, why = f"{count} times", "only the last one would be used"
            raise InputError.of(name, found, "once", why, code="option_repeated")


class LazyCommand(TyperCommand):
    """A command's name and one line of help; `build` makes the command once it is called."""

    def __init__(
        self, name: str, summary: str, panel: str | None, build: Callable[[], Any]
    ) -> None:
        super().__init__(name=name, help=summary, rich_help_panel=panel)
        self.build = build

    def make_context(
        self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any
    ) -> Any:
        """The context of the built command, which also invokes it and completes its options."""
        return self.build().make_context(info_name, args, parent=parent, **extra)


def target(path: str) -> Any:
    """What `module:name` names in this package."""
    module, name = path.split(":")
    return getattr(import_module(f"proviso.cli.{module}"), name)


def lazy_command(name: str, summary: str, function: str, panel: str | None = None) -> LazyCommand:
    """The command of a function, `module:function` in this package."""

    def build() -> Any:
        return command_of(name, target(function))

    return LazyCommand(name, summary, panel, build)


def command_of(name: str, function: Callable[..., None], summary: str | None = None) -> Any:
    """A command without a group around it; its help is the function's docstring by default."""
    text = summary or _paragraphs(function.__doc__ or "")
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command(name, cls=OnceCommand, help=text)(function)
    return typer.main.get_command(app)


def _paragraphs(docstring: str) -> str:
    """The text with each paragraph on one line; a terminal's width breaks it, not the source's."""
    paragraphs = cleandoc(docstring).split("\n\n")
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)


def group(
    name: str,
    summary: str,
    commands: Iterable[LazyCommand],
    panel: str | None = None,
) -> TyperGroup:
    """A group of commands, in the given order."""
    return TyperGroup(
        name=name,
        help=summary,
        commands=list(commands),
        no_args_is_help=True,
        rich_help_panel=panel,
    )
