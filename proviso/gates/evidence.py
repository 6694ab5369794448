"""The evidence folder of a release: which files the gate accepts, and what each of them proves.

Evidence of a check counts when it is there, is of this release, was made not longer ago than the
plan's `evidence_valid_for`, lies beside the very files that it speaks of, and passed.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from feature_runtime.core.identity import digest
from feature_runtime.core.moments import format_duration, format_moment
from proviso.checks.evidence import Evidence, parse_evidence
from proviso.checks.registry import Check
from proviso.contracts.base import InputError
from proviso.contracts.plan import Plan
from proviso.gates.files import read_evidence
from proviso.gates.verdict import Finding


@dataclass(frozen=True)
class EvidenceFolder:
    """Evidence of one release in one directory, judged at `now` (microseconds, wall clock)."""

    directory: Path
    release: str
    plan: Plan
    now: int

    def read(self, kind: str) -> Evidence:
        """A check's evidence, whether it passed or not. Raises InputError when it cannot count."""
        path = self.directory / f"{kind}.json"
        evidence = parse_evidence(path, read_evidence(path, f"what `proviso check {kind}` writes"))
        if evidence.kind != kind:
            found = f"evidence of {evidence.kind[:100]}"
            raise InputError.of(path, found, kind, code="evidence_kind_mismatch")
        self.check_release(path, evidence.release)
        self.check_age(path, evidence.made_at)
        for name, wanted in evidence.files.items():
            self.check_file(name, wanted)
        return evidence

    def check_release(self, path: Path, release: str) -> None:
        """Raises InputError when evidence is of another release."""
        if release != self.release:
            found = f"evidence of {release[:100]}"
            raise InputError.of(path, found, self.release, code="evidence_release_mismatch")

    def check_age(self, path: Path, made_at: int) -> None:
        """Raises InputError when evidence is expired, or dated after now."""
        oldest = self.now - self.plan.evidence_valid_for
        found = f"made at {format_moment(made_at)}"
        if made_at < oldest:
            wanted = f"from {format_moment(oldest)} on"
            lasts = f"evidence lasts {format_duration(self.plan.evidence_valid_for)}"
            raise InputError.of(path, found, wanted, lasts, code="evidence_expired")
        if made_at > self.now + self.plan.clock_margin:
            raise InputError.of(path, found, "a moment of the past", code="evidence_from_future")

    def check_file(self, name: str, wanted: str) -> None:
        """Raises InputError when a file beside the evidence is not the one that it speaks of."""
        path = self.directory / name
        if path.parent != self.directory:
            found = f"a file named {name[:100]!r}"
            wanted = "one in this directory"
            raise InputError.of(self.directory, found, wanted, code="evidence_file_outside")
        actual = digest(read_evidence(path, "the file that the evidence speaks of"))
        if actual != wanted:
            why = "the file changed after it was measured"
            raise InputError.of(path, actual, wanted, why, code="evidence_file_changed")


def evidence_finding(folder: EvidenceFolder, check: Check[Any]) -> Finding:
    """What a check's evidence comes to: it passed, and its figures are within the plan's bounds."""
    try:
        evidence = folder.read(check.name)
    except InputError as error:
        return Finding.refused_by(check.finding, error)
    if not evidence.passed:
        return Finding.refused(check.finding, "check_failed", *evidence.reasons)
    bounds = check.bounds(folder.plan)
    violations = [reason for bound in bounds if (reason := bound.violation(evidence.figures))]
    if violations:
        return Finding.refused(check.finding, "figure_out_of_bounds", *violations)
    figures = ", ".join(f"{b.figure} {evidence.figures[b.figure]:g}" for b in bounds)
    warned = f"; warning: {'; '.join(evidence.warnings)}" if evidence.warnings else ""
    said = figures or check.when_passed or "passed"
    return Finding.passed(check.finding, f"{said}, as of {format_moment(evidence.as_of)}{warned}")
