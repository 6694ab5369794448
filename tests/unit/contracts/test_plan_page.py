"""docs/plan.md lists every key of the plan, and what it says about who obeys a key is so."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import BaseModel

from proviso.contracts.metrics import METRICS
from proviso.contracts.plan import Plan

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs/plan.md").read_text(encoding="utf-8")
TO_COME = {"release driver", "operation"}
SOURCES = {
    "validate": ROOT / "proviso/contracts",
    "pod": ROOT / "proviso/contracts/section.py",
}
"""Where to look for what is no room of the control plane."""
READ_AS = {"error_budget.availability_percent": "error_share"}
"""Keys that are read through a property of the plan."""


def keys_of(model: type[BaseModel], path: str = "") -> Iterator[str]:
    """Every key that a file may state, `rollback.triggers[].metric`."""
    for name, field in model.model_fields.items():
        here = f"{path}.{name}".removeprefix(".")
        nested = model_in(field.annotation)
        if nested is None:
            yield here
        else:
            yield from keys_of(nested, here if nested is field.annotation else f"{here}[]")


def model_in(annotation: Any) -> type[BaseModel] | None:
    """The model that a field holds, one or a list of them."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for a in get_args(annotation) if (found := model_in(a))), None)


def obeyed_by() -> dict[str, set[str]]:
    """The page's table: for each key the rooms that obey it."""
    table = PAGE.partition("| obeyed by |\n")[2].partition("\n\n")[0]
    found: dict[str, set[str]] = {}
    for row in table.splitlines()[1:]:
        cells = [cell.strip() for cell in row.strip("|").split("|")]
        for key in re.findall(r"`([^`]+)`", cells[0]):
            assert key not in found
            found[key] = set(cells[-1].split(", "))
    return found


@cache
def source(room: str) -> str:
    path = SOURCES.get(room, ROOT / "proviso" / room)
    assert path.exists(), room
    files = [path] if path.is_file() else sorted(path.rglob("*.py"))
    return "\n".join(f.read_text(encoding="utf-8") for f in files)


def test_every_key_of_the_plan_is_on_the_page_and_no_other() -> None:
    assert list(obeyed_by()) == sorted(obeyed_by(), key=list(obeyed_by()).index)
    assert set(obeyed_by()) == set(keys_of(Plan))


@pytest.mark.parametrize("key", sorted(obeyed_by()))
def test_the_rooms_that_obey_a_key_read_it(key: str) -> None:
    name = READ_AS.get(key, key.rpartition(".")[2])
    for room in obeyed_by()[key] - TO_COME:
        assert re.search(rf"\.{name}\b", source(room)) or room == "validate", (key, room)


@pytest.mark.parametrize("key", [key for key, rooms in obeyed_by().items() if rooms <= TO_COME])
def test_a_key_that_waits_for_its_reader_has_none_yet(key: str) -> None:
    """When one comes, the page must say so."""
    for path in (ROOT / "proviso").rglob("*.py"):
        if path.parent.name != "contracts":
            code = re.sub(r'"""[^"]*"""', "", path.read_text(encoding="utf-8"))
            assert f"plan.{key}" not in code, path


def test_the_page_lists_every_metric_and_those_that_are_always_monitored() -> None:
    table = PAGE.partition("| covers | metrics |\n")[2].partition("\n\n")[0]
    rows = dict(re.findall(r"\| (\w+) \| (.+) \|", table))
    for covers, cell in rows.items():
        names = {name for name, metric in METRICS.items() if metric.covers == covers}
        assert names == set(re.findall(r"`(\w+)`", cell)) - {"at_or_above", "below"}
        always = {name for name in names if METRICS[name].always}
        assert always == set(re.findall(r"\*\*`(\w+)`\*\*", cell))
    assert rows.keys() == {metric.covers for metric in METRICS.values()}
