"""The tables of `training.yml` and `simulation.yml` list every key that the files may have."""

from __future__ import annotations

import re
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Union, get_args, get_origin

import pytest
from pydantic import BaseModel

from proviso.simulation.spec import Simulation
from proviso.training.spec import TrainingSpec

PAGE = Path(__file__).parents[3] / "docs" / "bring-your-own-data.md"


def models(kind: Any) -> list[tuple[str, type[BaseModel]]]:
    """The models in a type, each with what stands between its key and theirs."""
    origin = get_origin(kind)
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return [("", kind)]
    if origin in (Union, types.UnionType):
        return [found for one in get_args(kind) for found in models(one)]
    if origin is Annotated:
        return models(get_args(kind)[0])
    inside = {list: "[]", dict: ".<name>"}.get(origin) if origin else None
    if inside is None:
        return []
    return [(inside + more, found) for more, found in models(get_args(kind)[-1])]


def keys(model: type[BaseModel], path: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        here = f"{path}{field.alias or name}"
        inside = models(field.annotation)
        if not inside:
            named = get_origin(field.annotation) is dict
            yield f"{here}.<name>" if named else here
        for between, found in inside:
            yield from keys(found, f"{here}{between}.")


def listed(title: str) -> set[str]:
    section = PAGE.read_text(encoding="utf-8").split(f"## {title}\n")[1].split("\n## ")[0]
    cells = re.findall(r"^\| (`.+?) \|", section, re.MULTILINE)
    return {key for cell in cells for key in re.findall(r"`([^`]+)`", cell)}


@pytest.mark.parametrize(
    ("title", "model"), [("training.yml", TrainingSpec), ("simulation.yml", Simulation)]
)
def test_the_page_lists_the_keys_that_the_file_may_have(title: str, model: type[BaseModel]) -> None:
    assert listed(title) == set(keys(model))
