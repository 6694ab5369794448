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


TIMEOUTS = {f"{part}_timeout" for part in ("request", "store", "predictor", "function", "answer")}
"""Codes that `deadline_exceeded` makes of what was waited for."""


def codes(table: str) -> list[str]:
    """The codes of a table's first column."""
    cells = [row.split("|")[1] for row in table.splitlines() if row.startswith("| `")]
    return [code for cell in cells for code in re.findall(r"`([a-z0-9_]+)`", cell)]


def tables() -> list[list[str]]:
    """The codes of each table of the page, in order."""
    text = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")
    return [codes(section) for section in text.split("\n## ")[1:]]


def documented() -> set[str]:
    """Every code of the page."""
    return {code for table in tables() for code in table}


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
    assert sorted((found | TIMEOUTS) - documented()) == []


def test_every_explained_code_stands_in_the_source_and_once_in_a_table() -> None:
    paths = [*SOURCES, *(path for path in (ROOT / "scripts").iterdir() if path.is_file())]
    text = "\n".join(path.read_text("utf-8") for path in paths)
    assert sorted(code for code in documented() - TIMEOUTS if code not in text) == []
    assert [code for table in tables() for code in set(table) if table.count(code) > 1] == []


def test_a_row_explains_a_code_itself() -> None:
    text = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")
    commands = text.split("\n## ")[1]
    meanings = [row.split("|")[2] for row in re.findall(r"^\| `.*", commands, re.MULTILINE)]
    assert sorted({m for m in meanings if meanings.count(m) > 1}) == []
    assert "as above" not in text
