"""Makes a release's leakage certificate again from data, and says in what the two differ."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from feature_runtime.core.moments import parse_duration, parse_moment
from proviso.contracts.base import InputError, Problem
from proviso.release.directory import RELEASE_FILE, Release
from proviso.release.writing import replace_certificate
from proviso.training.card import file_digest
from proviso.training.certificate import bound
from proviso.training.data import Days, Progress, Project, Request, plan_for
from proviso.training.score import check_contract
from proviso.training.train import certified

_CODE = "code"
_RULE = f"{_CODE}.rule"


@dataclass(frozen=True)
class Again:
    """A certificate made again. problems: what is different in the release's own.

    only_code: nothing but the code that judged has changed, so the release may have the new one.
    """

    certificate: Mapping[str, Any]
    problems: tuple[Problem, ...]
    only_code: bool


def recertify(
    project: Project,
    release: Release,
    transactions: Path,
    history: Path | None,
    progress: Progress,
) -> Again:
    """Judges the release's data again. history: None computes it.

    Raises ContractError when a value is not what the rule says, InputError when contract or
    transactions are not those of the release.
    """
    check_contract(release, project.contract)
    plan = plan_for(project.contract, project.plan, release.service.name)
    request = _request(release, transactions, history)
    _, made = certified(replace(project, plan=plan), request, release.directory, progress)
    certificate = bound(made, release.model_file.read_bytes())
    found = release.certificate or {}
    differences = list(_differences("", found, certificate))
    problems = [
        Problem(f"{RELEASE_FILE}: certificate.{path}", _said(here), _said(there))
        for path, here, there in differences
        if path == _RULE or not path.startswith(f"{_CODE}.")
    ]
    only_code = all(path.startswith(f"{_CODE}.") for path, _, _ in differences)
    return Again(certificate, tuple(problems), only_code)


def renew(release: Release, again: Again) -> Release:
    """Gives the release its certificate as judged by today's code. Raises InputError."""
    if not again.only_code:
        why = "a model follows its data and features: train it again"
        wanted = "a certificate that differs in nothing but the code that judged"
        raise InputError.of(release.file, str(again.problems[0]), wanted, why)
    return replace_certificate(release, again.certificate)


def _request(release: Release, transactions: Path, history: Path | None) -> Request:
    """What the card says that the release was trained on. Raises InputError."""
    path = release.file
    try:
        data = release.card["data"]
        digest, delay = str(data["transactions"]), parse_duration(data["label_delay"])
        train, test = _days(data["train_days"]), _days(data["test_days"])
    except (KeyError, TypeError, ValueError) as error:
        raise InputError.of(path, f"{error}", "a card with its data and days") from None
    if not transactions.is_file():
        raise InputError.of(transactions, "no such file", "the transactions of the training")
    found = file_digest(transactions)
    if found != digest:
        raise InputError.of(transactions, found, digest, f"{release.id} was trained on that file")
    return Request(transactions, train, test, delay, history)


def _days(text: Any) -> Days:
    first, last = (parse_moment(f"{day}T00:00:00Z") for day in text)
    return Days(first, last)


def _differences(path: str, found: Any, wanted: Any) -> Iterator[tuple[str, Any, Any]]:
    """Every leaf in which two sections differ."""
    if isinstance(found, Mapping) and isinstance(wanted, Mapping):
        for name in sorted({*found, *wanted}):
            inside = f"{path}.{name}" if path else name
            yield from _differences(inside, found.get(name), wanted.get(name))
    elif found != wanted:
        yield path, found, wanted


def _said(value: Any) -> str:
    return "nothing" if value is None else str(value)[:200]
