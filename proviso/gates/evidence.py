"""The gate's desk: where evidence lies, whose it must be, and until when it counts.

Evidence of a check counts when it is there, is of this release, was made not longer ago than the
plan's `evidence_valid_for`, lies beside the very files that it speaks of, and passed.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from feature_runtime.core.identity import digest
from feature_runtime.core.moments import format_duration, format_moment
from proviso.checks.evidence import Evidence, parse_evidence
from proviso.contracts.base import InputError
from proviso.contracts.plan import Plan
from proviso.gates.files import read_evidence
from proviso.gates.verdict import Finding

_LONGEST = 2_000


@dataclass(frozen=True)
class Desk:
    """Evidence of one release in one directory, judged at `now` (microseconds, wall clock)."""

    where: Path
    release: str
    plan: Plan
    now: int

    def read(self, kind: str) -> Evidence:
        """A kind's evidence, whatever it found. Raises InputError when it does not count."""
        path = self.where / f"{kind}.json"
        evidence = parse_evidence(path, read_evidence(path, f"what `proviso {kind}` writes"))
        if evidence.kind != kind:
            raise InputError.of(path, f"evidence of {evidence.kind}", kind)
        self.check_release(path, evidence.release)
        self.check_age(path, evidence.made_at)
        for name, wanted in evidence.files.items():
            self.check_file(name, wanted)
        return evidence

    def check_release(self, path: Path, found: str) -> None:
        """Raises InputError when evidence is of another release."""
        if found != self.release:
            raise InputError.of(path, f"evidence of {found[:100]}", self.release)

    def check_age(self, path: Path, made_at: int) -> None:
        """Raises InputError when evidence is expired, or from a time to come."""
        oldest = self.now - self.plan.evidence_valid_for
        if made_at < oldest:
            wanted = f"from {format_moment(oldest)} on"
            lasts = f"evidence lasts {format_duration(self.plan.evidence_valid_for)}"
            raise InputError.of(path, f"made at {format_moment(made_at)}", wanted, lasts)
        if made_at > self.now + self.plan.clock_margin:
            raise InputError.of(path, f"made at {format_moment(made_at)}", "a moment of the past")

    def check_file(self, name: str, wanted: str) -> None:
        """Raises InputError when a file beside the evidence is not the one that it speaks of."""
        path = self.where / name
        if path.parent != self.where:
            raise InputError.of(self.where, f"a file named {name[:100]!r}", "one in this directory")
        found = digest(read_evidence(path, "the file that the evidence speaks of"))
        if found != wanted:
            raise InputError.of(path, "other content than its evidence speaks of", wanted)


def judged(desk: Desk, kind: str, check: str, said: str) -> Finding:
    """A check's evidence as one finding; `said` describes it when it passed."""
    try:
        evidence = desk.read(kind)
    except InputError as error:
        return Finding(check, False, str(error)[:_LONGEST])
    if not evidence.passed:
        return Finding(check, False, "; ".join(evidence.reasons)[:_LONGEST])
    warned = f"; warning: {'; '.join(evidence.warnings)}" if evidence.warnings else ""
    return Finding(check, True, f"{said}, as of {format_moment(evidence.as_of)}{warned}"[:_LONGEST])
