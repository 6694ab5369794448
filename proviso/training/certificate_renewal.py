"""Makes a release's leakage certificate again from its data and compares the two."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from feature_runtime.core.moments import parse_duration
from proviso.contracts.base import InputError, Problem
from proviso.contracts.contract import Contract
from proviso.contracts.places import observed_place
from proviso.release.directory import RELEASE_FILE, Release
from proviso.release.writing import replace_certificate
from proviso.training.certificate import with_model
from proviso.training.data import Progress, Project, Request, plan_for
from proviso.training.data_digest import observed_digest
from proviso.training.score import check_contract
from proviso.training.train import certified
from proviso.training.weeks import parse_days

_CODE = "code"
_RULE = f"{_CODE}.rule"


@dataclass(frozen=True)
class Recertified:
    """A certificate made again. problems: where the release's own certificate differs.

    only_code: only code digests differ, so the release may get the new certificate.
    """

    certificate: Mapping[str, Any]
    problems: tuple[Problem, ...]
    only_code: bool


def certify_again(
    project: Project,
    release: Release,
    transactions: Path | None,
    history: Path | None,
    progress: Progress,
) -> Recertified:
    """Certifies the release's data again. transactions: None: the contract's location. history:
    None computes it.

    Raises ContractError when a value differs from the rule's, InputError when contract or
    transactions are not those of the release.
    """
    check_contract(release, project.contract)
    plan = plan_for(project.contract, project.plan, release.service.name)
    request = _request(release, project.contract, transactions, history)
    _, made = certified(replace(project, plan=plan), request, release.directory, progress)
    certificate = with_model(made, release.model_file.read_bytes())
    differences = list(_differences("", release.certificate or {}, certificate))
    problems = [
        Problem(
            f"{RELEASE_FILE}: certificate.{path}",
            _text(actual),
            _text(expected),
            code="certificate_differs",
        )
        for path, actual, expected in differences
        if path == _RULE or not path.startswith(f"{_CODE}.")
    ]
    only_code = all(path.startswith(f"{_CODE}.") for path, _, _ in differences)
    return Recertified(certificate, tuple(problems), only_code)


def renew(release: Release, again: Recertified) -> Release:
    """Replaces the release's certificate by the new one. Raises InputError."""
    if not again.only_code:
        why = "data or features have changed: train the model again"
        wanted = "a certificate that differs only in code digests"
        found, code = str(again.problems[0]), "certificate_not_renewable"
        raise InputError.of(release.file, found, wanted, why, code=code)
    return replace_certificate(release, again.certificate)


def _request(
    release: Release, contract: Contract, transactions: Path | None, history: Path | None
) -> Request:
    """The training request that the card states. Raises InputError."""
    path = release.file
    try:
        data = release.card["data"]
        digest, delay = str(data["transactions"]), parse_duration(data["label_delay"])
        train, test = parse_days(data["train_days"]), parse_days(data["test_days"])
    except (KeyError, TypeError, ValueError) as error:
        wanted = "a card with its data and days"
        raise InputError.of(path, f"{error}", wanted, code="card_invalid") from None
    actual = observed_digest(contract, transactions)
    if actual != digest:
        why, code = f"{release.id} was trained on these rows", "transactions_digest_mismatch"
        shown = observed_place(contract, transactions)
        raise InputError.of(shown, actual, digest, why, code=code)
    return Request(transactions, train, test, delay, history)


def _differences(path: str, actual: Any, expected: Any) -> Iterator[tuple[str, Any, Any]]:
    """Every leaf in which two sections differ."""
    if isinstance(actual, Mapping) and isinstance(expected, Mapping):
        for name in sorted({*actual, *expected}):
            inside = f"{path}.{name}" if path else name
            yield from _differences(inside, actual.get(name), expected.get(name))
    elif actual != expected:
        yield path, actual, expected


def _text(value: Any) -> str:
    return "nothing" if value is None else str(value)[:200]
