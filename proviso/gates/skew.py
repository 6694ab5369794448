"""Skew at the gate: the rows of the skew test and of the replay, judged with today's signatures.

A signature may have ended since the test said that it passed, so the rows decide and not the
evidence's own word. Rows count only with the digest that their evidence has of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from proviso.checks.signing import critical_features, read_signatures, unsigned
from proviso.checks.skew_evidence import KIND, TEST_FILE, said_of
from proviso.checks.skew_rows import parse_rows
from proviso.contracts.base import InputError
from proviso.gates.evidence import Desk
from proviso.gates.files import read_evidence
from proviso.gates.register import Subject
from proviso.gates.verdict import Finding
from proviso.replay.evidence import SKEW_FILE

_SHOWN = 20


def skew_findings(subject: Subject, desk: Desk) -> Iterator[Finding]:
    """The sampled skew test."""
    try:
        evidence = desk.read(KIND)
        if TEST_FILE not in evidence.files:
            said = "; ".join(evidence.reasons) or f"no digest of {TEST_FILE}"
            raise InputError.of(desk.where / f"{KIND}.json", said, "a finished skew test")
        small = _too_small(subject, evidence.figures.get("strata"))
        if small:
            raise InputError.of(desk.where / f"{KIND}.json", small, "a sample of every view")
    except InputError as error:
        yield Finding("skew", False, str(error)[:2_000])
        return
    yield from _judged("skew", subject, desk, desk.where / TEST_FILE)


def replayed_rows(subject: Subject, desk: Desk, stated: str) -> Iterator[Finding]:
    """The rows that a replay left, which must be those of its `stated` digest."""
    try:
        desk.check_file(SKEW_FILE, stated)
    except InputError as error:
        yield Finding("replayed values", False, str(error)[:2_000])
        return
    yield from _judged("replayed values", subject, desk, desk.where / SKEW_FILE)


def _judged(check: str, subject: Subject, desk: Desk, path: Path) -> Iterator[Finding]:
    try:
        rows = parse_rows(path, read_evidence(path, "rows of skew evidence"))
        if not rows:
            raise InputError.of(path, "no rows", "values that were compared")
        signatures = read_signatures(path)
    except InputError as error:
        yield Finding(check, False, str(error)[:2_000])
        return
    critical = critical_features(subject.contract)
    blocking = unsigned(rows, signatures, desk.now, critical)
    for row in blocking[:_SHOWN]:
        yield Finding(check, False, said_of(row))
    if len(blocking) > _SHOWN:
        yield Finding(check, False, f"and {len(blocking) - _SHOWN} more rows in REVIEW")
    if not blocking:
        review = sum(row["verdict"] != "PASS" for row in rows)
        said = f"{review} signed by their owners" if review else "all PASS"
        yield Finding(check, True, f"{len(rows)} values compared, {said}")


def _too_small(subject: Subject, strata: object) -> str:
    """Which views a test did not look at closely enough, or ''."""
    counts = strata if isinstance(strata, dict) else {}
    views: Sequence[str] = [view.name for view in subject.release.service.views]
    missing = [view for view in views if not counts.get(view)]
    return f"no entity of {', '.join(missing)}" if missing else ""
