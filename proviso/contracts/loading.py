"""Reads contract files: bounded, strict YAML; text errors become problems with a path."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from proviso.contracts.base import ContractError, Problem
from proviso.contracts.contract import Contract
from proviso.contracts.plan import Plan

CONTRACT_FILE = "feature_store_contract.yml"
PLAN_FILE = "serving_release_plan.yml"
PAYLOADS_FILE = "online_feature_payloads.jsonl"
SKEW_FILE = "skew_test_cases.csv"
SIMULATION_FILE = "simulation.yml"
MAX_BYTES = 4 * 1024 * 1024

Model = TypeVar("Model", bound=BaseModel)


class _UniqueKeys(yaml.SafeLoader):
    """Safe YAML in which a key stated twice, an alias or a tag of its own is an error."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("found an alias, wanted plain YAML")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                line = node.start_mark.line + 1
                raise yaml.YAMLError(f"found key {key!r} twice below line {line}, wanted it once")
        return super().construct_mapping(node, deep=deep)


def read_text(path: Path) -> str:
    """A bounded text file. Raises ContractError when it is absent, too large or not UTF-8."""
    try:
        if path.stat().st_size > MAX_BYTES:
            size = path.stat().st_size
            raise ContractError([Problem(str(path), f"{size} bytes", f"at most {MAX_BYTES}")])
        return path.read_text(encoding="utf-8")
    except OSError as error:
        why = error.strerror or "error"
        raise ContractError([Problem(str(path), why.lower(), "a readable file")]) from error
    except UnicodeDecodeError as error:
        raise ContractError([Problem(str(path), "bytes that are not UTF-8", "UTF-8 text")]) from error


def read_yaml(path: Path) -> Any:
    """Plain data of a YAML file. Raises ContractError."""
    text = read_text(path)
    try:
        return yaml.load(text, Loader=_UniqueKeys)  # noqa: S506 - a SafeLoader
    except (yaml.YAMLError, ValueError) as error:
        said = " ".join(str(error).split())
        raise ContractError([Problem(path.name, said, "valid YAML")]) from error


def load_model(path: Path, model: type[Model]) -> Model:
    """A typed file. Raises ContractError with every problem at once."""
    data = read_yaml(path)
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise ContractError(problems_of(path.name, data, error)) from error


def load_contract(directory: Path) -> Contract:
    return load_model(directory / CONTRACT_FILE, Contract)


def load_plan(directory: Path) -> Plan:
    return load_model(directory / PLAN_FILE, Plan)


def problems_of(file: str, data: Any, error: ValidationError) -> list[Problem]:
    """pydantic's errors as review comments; list items are named by their `name` where they have one."""
    return [_problem(file, data, detail) for detail in error.errors(include_url=False)]


def _problem(file: str, data: Any, detail: ErrorDetails) -> Problem:
    path = f"{file}: {_path(data, detail['loc'])}".removesuffix(": ")
    if detail["type"] == "missing":
        return Problem(path, "nothing", "a value", "the field is required")
    if detail["type"] == "extra_forbidden":
        return Problem(path, "an unknown key", "only keys that the format knows")
    message = detail["msg"].removeprefix("Value error, ")
    if message.startswith("found ") and ", wanted " in message:
        found, _, wanted = message.removeprefix("found ").partition(", wanted ")
        return Problem(path, found, wanted)
    return Problem(path, repr(detail["input"])[:120], message[:1].lower() + message[1:])


def _path(data: Any, location: tuple[int | str, ...]) -> str:
    text, here = "", data
    for step in location:
        if isinstance(here, list) and isinstance(step, int) and step < len(here):
            here = here[step]
            name = here.get("name") if isinstance(here, dict) else None
            text += f"[{name or step}]"
        elif isinstance(here, dict) and step in here:
            here = here[step]
            text += f".{step}"
        elif not _is_union_branch(step):
            text += f".{step}"
    return text.removeprefix(".")


def _is_union_branch(step: int | str) -> bool:
    """pydantic puts the tried class's name of a union into the location: not a place in the file."""
    return isinstance(step, str) and step in {"Scheduled", "OnEvent", "float", "int"}
