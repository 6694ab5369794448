"""Skew at the gate: the rows of the skew test and of the replay, judged with today's signatures.

A signature may have expired since the test passed, so the rows are judged again and the evidence's
own verdict is not used. Rows count only with the digest that their evidence has of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from proviso.checks.registry import Check
from proviso.checks.skew.evidence import describe_row
from proviso.checks.skew.rows import parse_rows
from proviso.checks.skew.signing import critical_features, read_signatures, unsigned
from proviso.contracts.base import InputError
from proviso.gates.evidence import EvidenceFolder
from proviso.gates.files import read_evidence
from proviso.gates.register import Subject
from proviso.gates.verdict import Finding
from proviso.history.values import UNSEEN
from proviso.replay.evidence import SKEW_FILE

_SHOWN = 20


def signed_rows_findings(
    subject: Subject, folder: EvidenceFolder, check: Check[Any]
) -> Iterator[Finding]:
    """A check whose rows owners may sign: a sample of every view, each row PASS or signed."""
    path = folder.directory / check.file
    try:
        evidence = folder.read(check.name)
    except InputError as error:
        yield Finding.refused_by(check.finding, error)
        return
    if check.signed_rows not in evidence.files:
        said = "; ".join(evidence.reasons) or f"no digest of {check.signed_rows}"
        reason = f"{path}: found {said}, wanted a finished test"
        yield Finding.refused(check.finding, "check_unfinished", reason)
    elif small := _too_small(subject, evidence.figures.get("strata")):
        reason = f"{path}: found {small}, wanted a sample of every view"
        yield Finding.refused(check.finding, "sample_incomplete", reason)
    else:
        yield from _row_findings(
            check.finding, subject, folder, folder.directory / check.signed_rows
        )


def replayed_rows(subject: Subject, folder: EvidenceFolder, stated: str) -> Iterator[Finding]:
    """The rows that a replay left, which must be those of its `stated` digest."""
    try:
        folder.check_file(SKEW_FILE, stated)
    except InputError as error:
        yield Finding.refused_by("replayed values", error)
        return
    yield from _row_findings("replayed values", subject, folder, folder.directory / SKEW_FILE)


def _row_findings(
    check: str, subject: Subject, folder: EvidenceFolder, path: Path
) -> Iterator[Finding]:
    try:
        rows = parse_rows(path, read_evidence(path, "rows of skew evidence"))
        if not rows:
            raise InputError.of(path, "no rows", "compared values", code="evidence_invalid")
        signatures = read_signatures(path)
    except InputError as error:
        yield Finding.refused_by(check, error)
        return
    critical = critical_features(subject.contract)
    blocking = unsigned(rows, signatures, folder.now, critical)
    for row in blocking[:_SHOWN]:
        yield Finding.refused(check, "skew_row_unsigned", describe_row(row))
    if len(blocking) > _SHOWN:
        said = f"and {len(blocking) - _SHOWN} more rows in REVIEW"
        yield Finding.refused(check, "skew_row_unsigned", said)
    if not blocking:
        review = sum(row["verdict"] != "PASS" for row in rows)
        said = f"{review} signed by their owners" if review else "all PASS"
        yield Finding.passed(check, f"{len(rows)} values compared, {said}")


def _too_small(subject: Subject, strata: object) -> str:
    """The views of which the test has no entity, in words; '' when it has some of each."""
    counts = strata if isinstance(strata, dict) else {}
    views: Sequence[str] = [view.name for view in subject.release.service.views]
    missing = [view for view in views if not _known(counts.get(view))]
    return f"no entity of {', '.join(missing)}" if missing else ""


def _known(sizes: object) -> int:
    """How many entities of a view's sample the history knows, by the sizes of its strata."""
    counts = sizes if isinstance(sizes, dict) else {}
    return sum(n for name, n in counts.items() if name != UNSEEN and isinstance(n, int))
