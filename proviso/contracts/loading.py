"""Reads contract files: bounded, strict YAML; text errors become problems with a path."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails
from yaml._yaml import CParser
from yaml.composer import Composer
from yaml.constructor import SafeConstructor
from yaml.resolver import Resolver

from proviso.contracts.base import ContractError, InputError, Problem
from proviso.contracts.contract import Contract
from proviso.contracts.hints import wanted, why_required
from proviso.contracts.paths import CONTRACT_FILE as CONTRACT_FILE
from proviso.contracts.paths import PLAN_FILE as PLAN_FILE
from proviso.contracts.plan import Plan
from proviso.contracts.validation.views import entity_problems

PAYLOADS_FILE = "online_feature_payloads.jsonl"
SKEW_FILE = "skew_test_cases.csv"
SIMULATION_FILE = "simulation.yml"
MAX_BYTES = 1024 * 1024

_UNION_BRANCHES = {"Scheduled", "OnEvent"}
"""pydantic puts the tag of a union into the location: not a place in the file."""

Model = TypeVar("Model", bound=BaseModel)


class _PlainYaml(Composer, CParser, SafeConstructor, Resolver):
    """YAML 1.2's core, as a reviewer reads it: `on` and `no` are words, `010` is not eight.

    A key stated twice, a key that is not text, an alias or a tag of its own is an error. Scanned
    by libyaml, several times as fast; composed here, where aliases can be seen.
    """

    def __init__(self, stream: str) -> None:
        CParser.__init__(self, stream)
        Composer.__init__(self)
        SafeConstructor.__init__(self)
        Resolver.__init__(self)

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("found an alias, wanted plain YAML")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            line = key_node.start_mark.line + 1
            if not isinstance(key, str):
                raise yaml.YAMLError(f"found key {key!r} in line {line}, wanted text")
            if key in seen:
                raise yaml.YAMLError(f"found key {key!r} again in line {line}, wanted it once")
            seen.add(key)
        return super().construct_mapping(node, deep=deep)


_CORE = {
    "bool": ("tf", r"true|false"),
    "null": ("n~", r"null|~|"),
    "int": ("-+0123456789", r"[-+]?(?:0|[1-9][0-9]*)"),
    "float": (
        "-+.0123456789",
        r"[-+]?(?:(?:0|[1-9][0-9]*)(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?",
    ),
}
_DATE = "tag:yaml.org,2002:timestamp"
_PlainYaml.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag == _DATE]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
for _kind, (_first, _pattern) in _CORE.items():
    _PlainYaml.add_implicit_resolver(
        f"tag:yaml.org,2002:{_kind}", re.compile(rf"(?:{_pattern})\Z"), [*_first, ""]
    )


def check_directory(directory: Path) -> None:
    """Raises InputError when there is no such directory."""
    if not directory.is_dir():
        raise InputError.of(directory, "no such directory", "the contract files' directory")


def read_text(path: Path) -> str:
    """A bounded text file. Raises ContractError when it is absent, too large or not UTF-8."""
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise ContractError([Problem(path.name, f"{size} bytes", f"at most {MAX_BYTES}")])
        return path.read_text(encoding="utf-8")
    except OSError as error:
        why = error.strerror or "error"
        raise ContractError([Problem(str(path), why.lower(), "a readable file")]) from error
    except UnicodeDecodeError as error:
        raise ContractError(
            [Problem(path.name, f"byte {error.start} that is not UTF-8", "UTF-8 text")]
        ) from error


def parse_yaml(file: str, text: str) -> Any:
    """Plain data of YAML text. Raises ContractError."""
    try:
        return _PlainYaml(text).get_single_data()
    except RecursionError:
        raise ContractError([Problem(file, "nesting without end", "plain YAML")]) from None
    except (yaml.YAMLError, ValueError) as error:
        raise ContractError([_yaml_problem(file, error)]) from error


def parse_model(file: str, data: Any, model: type[Model]) -> Model:
    """Plain data as a typed value. Raises ContractError with every problem at once."""
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise ContractError(problems_of(file, data, error)) from error


def load_model(path: Path, model: type[Model]) -> Model:
    """A typed file. Raises ContractError with every problem at once.

    Raises InputError when its directory is none.
    """
    check_directory(path.parent)
    return parse_model(path.name, parse_yaml(path.name, read_text(path)), model)


def load_contract(directory: Path) -> Contract:
    """The contract of a directory, whose views have keys. Raises ContractError.

    What else may be wrong with it `proviso validate` says; nothing could be computed from this.
    """
    contract = load_model(directory / CONTRACT_FILE, Contract)
    problems = [p for view in contract.feature_views for p in entity_problems(contract, view)]
    if problems:
        raise ContractError(problems)
    return contract


def load_plan(directory: Path) -> Plan:
    return load_model(directory / PLAN_FILE, Plan)


def problems_of(file: str, data: Any, error: ValidationError) -> list[Problem]:
    """pydantic's errors as review comments; list items go by their name where they have one."""
    return [_problem(file, data, detail) for detail in error.errors(include_url=False)]


def found_and_wanted(message: str) -> tuple[str, str] | None:
    """The two halves of a message of our own, `found X, wanted Y`."""
    found, comma, wanted = message.removeprefix("Value error, ").partition(", wanted ")
    return (found.removeprefix("found "), wanted) if comma else None


def _yaml_problem(file: str, error: Exception) -> Problem:
    said = " ".join(str(error).split())
    own = found_and_wanted(said)
    return Problem(file, *own) if own else Problem(file, said[:300], "valid YAML")


def _problem(file: str, data: Any, detail: ErrorDetails) -> Problem:
    path = f"{file}: {_path(data, detail['loc'])}".removesuffix(": ")
    if detail["type"] == "missing":
        return Problem(path, "nothing", "a value", why_required(str(detail["loc"][-1])))
    if detail["type"] == "extra_forbidden":
        return Problem(path, "an unknown key", "only keys that the format knows")
    own = found_and_wanted(detail["msg"]) if detail["type"] == "value_error" else None
    if own:
        return Problem(path, *own)
    return Problem(path, repr(detail["input"])[:120], wanted(detail))


def _path(data: Any, location: tuple[int | str, ...]) -> str:
    text, here = "", data
    for step in location:
        if isinstance(here, list) and isinstance(step, int) and step < len(here):
            here = here[step]
            text += f"[{_item_name(here) or step}]"
        elif isinstance(here, dict) and step in here:
            here = here[step]
            text += f".{step}"
        elif step not in _UNION_BRANCHES:
            text += f".{step}"
    return text.removeprefix(".")


def _item_name(item: Any) -> str | None:
    """How a reviewer names an item of a list."""
    if not isinstance(item, dict):
        return None
    names = (item.get(key) for key in ("name", "metric", "role"))
    return next((name for name in names if isinstance(name, str)), None)
