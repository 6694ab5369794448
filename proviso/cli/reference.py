"""docs/cli.md, written from the commands themselves: `python -m proviso.cli.reference`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperGroup

from proviso.cli.deprecated import SPELLINGS
from proviso.cli.lazy import LazyCommand
from proviso.cli.main import app
from proviso.contracts.files import replacing

PAGE = Path("docs/cli.md")
_MARK = "<!-- generated from here on by python -m proviso.cli.reference -->"


def page(text: str) -> str:
    """The page with its generated part replaced."""
    head, mark, _ = text.partition(_MARK)
    if not mark:
        raise ValueError(f"{PAGE}: no line {_MARK}")
    return "\n".join([head + mark, "", *_old_names(), *_reference()]).rstrip() + "\n"


def _old_names() -> Iterator[str]:
    yield from ("## Old names", "", "| old | now |", "|---|---|")
    for spelling in SPELLINGS:
        old = f"{spelling.old} {spelling.flag}".strip()
        yield f"| `proviso {old}` | `proviso {spelling.new}` |"
    yield from ("| `proviso schemas` with options | `proviso schemas list` |", "")


def _reference() -> Iterator[str]:
    program: Any = typer.main.get_command(app)
    yield from ("## Commands", "", "Options before the command:", "")
    yield from _options(program)
    for command in program.commands.values():
        yield from _section("proviso", command)


def _section(parent: str, command: Any) -> Iterator[str]:
    built = command.build() if isinstance(command, LazyCommand) else command
    words = f"{parent} {command.name}"
    if isinstance(built, TyperGroup):
        for one in built.commands.values():
            yield from _section(words, one)
        return
    arguments = [(p.metavar or p.name).upper() for p in built.params if not _is_option(p)]
    yield from (f"### {' '.join([words, *arguments])}", "", *_escaped(built.help).splitlines(), "")
    yield from _options(built)


def _options(command: Any) -> Iterator[str]:
    yield from ("| option | |", "|---|---|")
    for param in filter(_is_option, command.params):
        names = "`, `".join([*param.opts, *param.secondary_opts])
        yield f"| `{names}` | {_escaped(param.help)}{_facts(param)} |"
    yield ""


def _escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")


def _is_option(param: Any) -> bool:
    return str(param.param_type_name) == "option"


def _facts(param: Any) -> str:
    """Whether it is required, its default, and its bounds."""
    facts = ["required"] if param.required else []
    if not param.required and param.default not in (None, "", False, True, ()):
        facts.append(f"default {getattr(param.default, 'value', param.default)}")
    if param.min is not None and param.max is not None:
        facts.append(f"{param.min:,} to {param.max:,}")
    elif param.min is not None:
        facts.append(f"at least {param.min:,}")
    return f" ({'; '.join(facts)})" if facts else ""


if __name__ == "__main__":
    with replacing(PAGE) as temporary:
        temporary.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
