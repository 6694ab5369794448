"""Reads contract files as typed values: bounded text, strict YAML, every problem at once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from feature_runtime.core.project_functions import FUNCTIONS_FILE
from proviso.contracts.base import ContractError, InputError, Problem
from proviso.contracts.contract import Contract
from proviso.contracts.documents import Document, read_document
from proviso.contracts.inference import inferred
from proviso.contracts.paths import CONTRACT_FILE as CONTRACT_FILE
from proviso.contracts.paths import PLAN_FILE as PLAN_FILE
from proviso.contracts.places import within_project
from proviso.contracts.plan import Plan
from proviso.contracts.problems import problems_of
from proviso.contracts.shorthand import expanded
from proviso.contracts.upgrade import LATER_KEYS, Form, Version1, is_version_1, upgraded
from proviso.contracts.validation.functions import unusable_functions
from proviso.contracts.validation.sources import unusable

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


def parse_contract(file: str, data: Any) -> tuple[Contract, Form]:
    """A contract of version 1 or 2, and the form of its file.

    Raises ContractError with every problem at once.
    """
    if not is_version_1(data):
        return _version_2(file, data)
    problems = [_later_key(file, key) for key in LATER_KEYS if key in data]
    source = None
    try:
        stated = {key: data[key] for key in ("source",) if key in data}
        source = parse_model(file, stated, Version1).source
    except ContractError as error:
        problems += error.problems
    try:
        contract = parse_model(file, upgraded(data, source), Contract)
    except ContractError as error:
        made = f"{file}: sources"
        problems += [problem for problem in error.problems if not problem.path.startswith(made)]
    if problems:
        raise ContractError(problems)
    return contract, Form(source)


def _version_2(file: str, data: Any) -> tuple[Contract, Form]:
    whole = expanded(data)
    form = Form(stated=whole.stated)
    try:
        contract = parse_model(file, whole.data, Contract)
    except ContractError as error:
        raise ContractError(form.told(error.problems)) from error
    return inferred(contract, whole.untyped), form


def _later_key(file: str, key: str) -> Problem:
    wanted, why = "version: 2", "version 1 does not have it"
    return Problem(f"{file}: {key}", "version: 1", wanted, why, code="key_unknown")


def load_model(path: Path, model: type[Model]) -> Model:
    """A typed file. Raises ContractError with every problem at once, each with its position.

    Raises InputError when its directory does not exist.
    """
    document = _document(path)
    with _located(document):
        return parse_model(path.name, document.data, model)


def load_contract(directory: Path) -> Contract:
    """The contract of a directory, whose views have keys. Raises ContractError."""
    return load_contract_file(directory / CONTRACT_FILE)


def load_contract_file(path: Path) -> Contract:
    """A contract of either version, whose views have sources and keys. Raises ContractError.

    Its own functions are loaded from the file beside it. Only what no command can compute with is
    checked; `proviso validate` checks the rest.
    """
    document = _document(path)
    with _located(document):
        contract, form = parse_contract(path.name, document.data)
        contract = with_functions(contract, path.parent)
        if problems := [*unusable(contract), *unusable_functions(contract)]:
            raise ContractError(form.told(problems))
        return within_project(contract, path.parent.parent)


def with_functions(contract: Contract, directory: Path) -> Contract:
    """The contract with its `functions.py`, where it declares functions. Raises ContractError."""
    if not contract.functions:
        return contract
    try:
        return contract.with_functions((directory / FUNCTIONS_FILE).read_bytes())
    except OSError as error:
        found, wanted = (error.strerror or "error").lower(), "the file of the declared functions"
        raise _unreadable(FUNCTIONS_FILE, found, wanted, "functions_unreadable") from error


def load_plan(directory: Path) -> Plan:
    """The plan of a directory. Raises ContractError."""
    return load_model(directory / PLAN_FILE, Plan)


def _document(path: Path) -> Document:
    check_directory(path.parent)
    return read_document(path.name, read_text(path))


@contextmanager
def _located(document: Document) -> Iterator[None]:
    """Problems that are raised in the block get their positions in the document."""
    try:
        yield
    except ContractError as error:
        raise ContractError([*map(document.located, error.problems)]) from error
