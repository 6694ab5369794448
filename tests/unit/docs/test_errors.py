"""docs/errors.md: every code that the source raises is explained there, and no other."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[3]
SOURCES = sorted(
    path for folder in ("proviso", "transformer") for path in (ROOT / folder).rglob("*.py")
)
CODE = re.compile(r"[a-z][a-z0-9]*(?:_[a-z0-9]+)+")
FIRST = {"event", "bad_input", "too_large", "wrong_release"}
"""Constructors of errors whose first argument is the code."""


def documented() -> list[str]:
    """Every code of the page's tables, in order."""
    text = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")
    cells = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    return [code for cell in cells for code in re.findall(r"`([a-z0-9_]+)`", cell)]


def raised(tree: ast.AST) -> Iterator[str]:
    """The codes that a module gives to its errors, where it states them as text."""
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        stated = [keyword.value for keyword in call.keywords if keyword.arg == "code"]
        name = getattr(call.func, "attr", getattr(call.func, "id", ""))
        if name in FIRST and call.args:
            stated.append(call.args[0])
        if name == "Problem" and len(call.args) > 4:
            stated.append(call.args[4])
        if name == "unavailable" and len(call.args) > 1:
            stated.append(call.args[1])
        for value in stated:
            if isinstance(value, ast.Constant) and CODE.fullmatch(str(value.value)):
                yield str(value.value)


def test_every_code_that_is_raised_is_explained() -> None:
    found = {code for path in SOURCES for code in raised(ast.parse(path.read_text("utf-8")))}
    assert len(found) > 100
    assert sorted(found - set(documented())) == []


def test_every_explained_code_stands_in_the_source_once_on_the_page() -> None:
    paths = [*SOURCES, *(path for path in (ROOT / "scripts").iterdir() if path.is_file())]
    text = "\n".join(path.read_text("utf-8") for path in paths)
    codes = documented()
    assert sorted(code for code in set(codes) if code not in text) == []
    assert sorted({code for code in codes if codes.count(code) > 1}) == []
