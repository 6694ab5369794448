"""The gate's answer: findings, one verdict, and the evidence file that keeps both."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from feature_runtime.core.moments import format_moment
from proviso.contracts.base import InputError

Stage = Literal["register", "shadow", "promote"]


@dataclass(frozen=True)
class Finding:
    """One thing the gate looked at. `detail` says what was found, and what was wanted if not ok."""

    check: str
    ok: bool
    detail: str


@dataclass(frozen=True)
class Verdict:
    """A stage's decision on a release at a moment: it passes only when every finding is ok.

    evidence: digests of all files that were looked at, by name.
    """

    release: str
    stage: Stage
    findings: tuple[Finding, ...]
    evidence: dict[str, str]
    made_at: int

    @property
    def passed(self) -> bool:
        return bool(self.findings) and all(finding.ok for finding in self.findings)

    @property
    def refusals(self) -> tuple[Finding, ...]:
        return tuple(finding for finding in self.findings if not finding.ok)

    def as_dict(self) -> dict[str, Any]:
        return {
            "release": self.release,
            "stage": self.stage,
            "made_at": format_moment(self.made_at),
            "passed": self.passed,
            "findings": [asdict(finding) for finding in self.findings],
            "evidence": self.evidence,
        }

    def write(self, directory: Path) -> Path:
        """Keeps the verdict beside its evidence. Raises InputError where it cannot be kept."""
        path = directory / f"gate-{self.stage}.json"
        try:
            directory.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(self.as_dict(), indent=1) + "\n", encoding="utf-8")
        except OSError as error:
            wanted = "a directory that can be written (--evidence)"
            raise InputError.of(directory, error.strerror or str(error), wanted) from error
        return path


def text_of(verdict: Verdict) -> str:
    """The verdict as a person reads it."""
    lines = [
        f"{'ok  ' if finding.ok else 'NO  '}{finding.check}: {finding.detail}"
        for finding in verdict.findings
    ]
    word = "PASS" if verdict.passed else "REFUSED"
    return "\n".join([*lines, f"{word} {verdict.stage} {verdict.release}"])
