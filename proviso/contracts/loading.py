"""Reads contract files as typed values: bounded text, strict YAML, every problem at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from proviso.contracts.base import ContractError, InputError, Problem
from proviso.contracts.contract import Contract
from proviso.contracts.documents import Document, read_document
from proviso.contracts.paths import CONTRACT_FILE as CONTRACT_FILE
from proviso.contracts.paths import PLAN_FILE as PLAN_FILE
from proviso.contracts.plan import Plan
from proviso.contracts.problems import problems_of
from proviso.contracts.validation.columns import column_problems
from proviso.contracts.validation.views import entity_problems

PAYLOADS_FILE = "online_feature_payloads.jsonl"
SKEW_FILE = "skew_test_cases.csv"
SIMULATION_FILE = "simulation.yml"
MAX_BYTES = 1024 * 1024

Model = TypeVar("Model", bound=BaseModel)


def check_directory(directory: Path) -> None:
    """Raises InputError when there is no such directory."""
    if not directory.is_dir():
        wanted = "the contract files' directory"
        raise InputError.of(directory, "no such directory", wanted, code="directory_missing")


def read_text(path: Path) -> str:
    """A bounded text file. Raises ContractError when it is absent, too large or not UTF-8."""
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            found, wanted = f"{size} bytes", f"at most {MAX_BYTES}"
            raise _unreadable(path.name, found, wanted, "file_too_large")
        return path.read_text(encoding="utf-8")
    except OSError as error:
        found = (error.strerror or "error").lower()
        absent = isinstance(error, FileNotFoundError)
        code = "file_not_found" if absent else "file_unreadable"
        raise _unreadable(str(path), found, "a readable file", code) from error
    except UnicodeDecodeError as error:
        found = f"byte {error.start} that is not UTF-8"
        raise _unreadable(path.name, found, "UTF-8 text", "file_not_utf8") from error


def _unreadable(path: str, found: str, wanted: str, code: str) -> ContractError:
    return ContractError([Problem(path, found, wanted, code=code)])


def parse_yaml(file: str, text: str) -> Any:
    """Plain data of YAML text. Raises ContractError."""
    return read_document(file, text).data


def parse_model(file: str, data: Any, model: type[Model]) -> Model:
    """Plain data as a typed value. Raises ContractError with every problem at once."""
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise ContractError(problems_of(file, data, error)) from error


def load_model(path: Path, model: type[Model]) -> Model:
    """A typed file. Raises ContractError with every problem at once, each with its position.

    Raises InputError when its directory does not exist.
    """
    return _load(path, model)[0]


def load_contract(directory: Path) -> Contract:
    """The contract of a directory, whose views have keys. Raises ContractError.

    Only what no command can compute with is checked; `proviso validate` checks the rest.
    """
    contract, document = _load(directory / CONTRACT_FILE, Contract)
    problems = [p for view in contract.feature_views for p in entity_problems(contract, view)]
    problems += [] if problems else column_problems(contract)
    if problems:
        raise ContractError([*map(document.located, problems)])
    return contract


def load_plan(directory: Path) -> Plan:
    """The plan of a directory. Raises ContractError."""
    return load_model(directory / PLAN_FILE, Plan)


def _load(path: Path, model: type[Model]) -> tuple[Model, Document]:
    check_directory(path.parent)
    document = read_document(path.name, read_text(path))
    try:
        return parse_model(path.name, document.data, model), document
    except ContractError as error:
        raise ContractError([*map(document.located, error.problems)]) from error
