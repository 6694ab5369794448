"""The validator: checks the contract's four files, alone and against each other.

All problems of all files are reported at once. A check that needs a contract which cannot be read
neither passes nor fails: it is NOT JUDGED.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from proviso.checks.skew.case_rules import skew_problems
from proviso.checks.skew.cases import parse_cases
from proviso.contracts.base import ContractError, Problem
from proviso.contracts.contract import Contract
from proviso.contracts.documents import Document, read_document
from proviso.contracts.loading import (
    CONTRACT_FILE,
    PAYLOADS_FILE,
    PLAN_FILE,
    SKEW_FILE,
    Model,
    check_directory,
    parse_contract,
    parse_model,
    read_text,
    with_functions,
)
from proviso.contracts.payloads import parse_payloads
from proviso.contracts.plan import Plan
from proviso.contracts.plan_forms import deprecations
from proviso.contracts.validation.contract import contract_problems
from proviso.contracts.validation.payloads import payload_problems
from proviso.contracts.validation.plan import plan_problems, signatures_missing

CHECKS = (
    "validate_feature_store_contract",
    "validate_online_payloads",
    "validate_skew_test_cases",
    "validate_serving_release_plan",
)
ALL_PASSED = "All Chapter 19 feature store and model serving checks passed."


@dataclass(frozen=True)
class Lab:
    """The four files: plain data of the two YAML files, text of the other two.

    directory: where the contract's `functions.py` lies, if it declares functions.
    """

    contract: Any
    plan: Any
    payloads: str
    skew_cases: str
    directory: Path | None = None


@dataclass(frozen=True)
class Check:
    """One check's outcome.

    judged: False where it needs a contract that cannot be read. warnings: what is accepted and is
    to be mended: an older form of a file, and what a draft lacks.
    """

    name: str
    problems: tuple[Problem, ...]
    judged: bool = True
    warnings: tuple[Problem, ...] = ()

    @property
    def passed(self) -> bool:
        return self.judged and not self.problems

    def __str__(self) -> str:
        if self.problems:
            return f"FAIL {self.name}"
        return f"PASS {self.name}" if self.judged else f"NOT JUDGED {self.name}"


def validate(directory: Path, today: date | None = None) -> list[Problem]:
    """Every problem of the four files in `directory`; empty when they pass."""
    return [problem for check in checks(directory, today) for problem in check.problems]


def checks(directory: Path, today: date | None = None) -> tuple[Check, ...]:
    """The four checks of a directory, in the seed's order; `today` is UTC's unless given.

    Raises InputError when there is no such directory.
    """
    check_directory(directory)
    files = {name: _read(directory / name) for name in _FILES}
    unread = {name: text for name, text in files.items() if isinstance(text, ContractError)}
    texts = {name: text for name, text in files.items() if isinstance(text, str)}
    contract, plan = (_document(file, texts, unread) for file in (CONTRACT_FILE, PLAN_FILE))
    payloads, cases = texts.get(PAYLOADS_FILE, ""), texts.get(SKEW_FILE, "")
    lab = Lab(contract.data, plan.data, payloads, cases, directory)
    judged = judge(lab, today or datetime.now(UTC).date(), unread)
    return tuple(_located(_located(check, contract), plan) for check in judged)


def judge(
    lab: Lab, today: date, unread: dict[str, ContractError] | None = None
) -> tuple[Check, ...]:
    """The four checks of files already read; `unread` names those that could not be."""
    broken = unread or {}
    contract, contract_wrong = _contract(lab, today, broken)
    plan, plan_wrong = _typed(PLAN_FILE, lab.plan, Plan, broken)
    if plan:
        plan_wrong = [*plan_problems(contract, plan, today)]
    readable = contract is not None
    pending = {file: _pending(file, plan, broken) for file in (PAYLOADS_FILE, SKEW_FILE)}
    unsigned = signatures_missing(plan) if plan else ()
    warnings = (*deprecations(lab.plan), *unsigned)
    evidence = (
        Check(check, () if pending[file] else tuple(problems), readable, pending[file])
        for check, file, problems in (
            (CHECKS[1], PAYLOADS_FILE, _payloads(contract, lab.payloads, broken)),
            (CHECKS[2], SKEW_FILE, _skew(contract, lab.skew_cases, broken)),
        )
    )
    return (
        Check(CHECKS[0], tuple(contract_wrong)),
        *evidence,
        Check(CHECKS[3], tuple(plan_wrong), readable, warnings),
    )


_FILES = (CONTRACT_FILE, PAYLOADS_FILE, SKEW_FILE, PLAN_FILE)


def _read(path: Path) -> str | ContractError:
    try:
        return read_text(path)
    except ContractError as error:
        return error


def _document(file: str, texts: dict[str, str], unread: dict[str, ContractError]) -> Document:
    """A YAML file; one that cannot be parsed joins the unread."""
    try:
        return read_document(file, texts.get(file, ""))
    except ContractError as error:
        unread[file] = error
        return Document(file, None)


def _located(check: Check, document: Document) -> Check:
    """The check with positions at the problems of the document's file."""
    problems, warnings = (
        tuple(map(document.located, found)) for found in (check.problems, check.warnings)
    )
    return replace(check, problems=problems, warnings=warnings)


def _contract(
    lab: Lab, today: date, unread: dict[str, ContractError]
) -> tuple[Contract | None, list[Problem]]:
    """The contract where it can be read, and what is wrong with it."""
    if CONTRACT_FILE in unread:
        return None, unread[CONTRACT_FILE].problems
    try:
        contract, form = parse_contract(CONTRACT_FILE, lab.contract)
        contract = with_functions(contract, lab.directory or Path())
    except ContractError as error:
        return None, error.problems
    return contract, form.told(contract_problems(contract, today))


def _typed(
    file: str, data: Any, model: type[Model], unread: dict[str, ContractError]
) -> tuple[Model | None, list[Problem]]:
    if file in unread:
        return None, unread[file].problems
    try:
        return parse_model(file, data, model), []
    except ContractError as error:
        return None, error.problems


def _pending(file: str, plan: Plan | None, unread: dict[str, ContractError]) -> tuple[Problem, ...]:
    """The warning of an evidence file that a draft lacks: what it shows has not been measured."""
    codes = {problem.code for problem in unread[file].problems} if file in unread else set()
    if plan is None or not plan.unsigned or codes != {"file_not_found"}:
        return ()
    wanted, why = "rows of real values before the first sign-off", "the plan is not signed yet"
    return (Problem(file, "no such file", wanted, why, "evidence_pending"),)


def _payloads(
    contract: Contract | None, text: str, unread: dict[str, ContractError]
) -> Iterator[Problem]:
    if PAYLOADS_FILE in unread:
        yield from unread[PAYLOADS_FILE].problems
        return
    lines, problems = parse_payloads(text)
    yield from problems
    if contract and not problems:
        yield from payload_problems(contract, lines)


def _skew(
    contract: Contract | None, text: str, unread: dict[str, ContractError]
) -> Iterator[Problem]:
    if SKEW_FILE in unread:
        yield from unread[SKEW_FILE].problems
        return
    rows, problems = parse_cases(text)
    yield from problems
    if contract and not problems:
        yield from skew_problems(contract, rows)
