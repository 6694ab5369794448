"""The gate's result: findings, the verdict over them, and the file that keeps both."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from feature_runtime.core.moments import format_moment
from proviso.checks.registry import Stage
from proviso.contracts.base import InputError, ValidationFailed
from proviso.contracts.files import replacing

_LONGEST = 2_000


@dataclass(frozen=True)
class Finding:
    """The result of one requirement of a stage.

    detail: what was found, and what was expected if not ok. code: `ok`, or which fault it is
    (docs/errors.md); of a quality gate that only warns, the fault that it warns of.
    """

    check: str
    ok: bool
    detail: str
    code: str = "ok"

    @classmethod
    def passed(cls, check: str, detail: str) -> Finding:
        """The requirement is met."""
        return cls(check, True, detail[:_LONGEST])

    @classmethod
    def refused(cls, check: str, code: str, *reasons: str) -> Finding:
        """The requirement is not met, for these reasons."""
        return cls(check, False, "; ".join(reasons)[:_LONGEST], code)

    @classmethod
    def refused_by(cls, check: str, error: ValidationFailed) -> Finding:
        """The requirement is not met because a file cannot be used; the code is the error's."""
        return cls.refused(check, error.problems[0].code, *map(str, error.problems))


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

    @property
    def file(self) -> str:
        """Name of the verdict's file in the evidence folder."""
        return f"gate-{self.stage}.json"

    def write(self, directory: Path) -> Path:
        """Keeps the verdict beside its evidence. Raises InputError where it cannot be kept."""
        path = directory / self.file
        try:
            with replacing(path) as temporary:
                text = json.dumps(self.as_dict(), indent=1)
                temporary.write_text(text + "\n", encoding="utf-8")
        except OSError as error:
            reason = f"cannot write the verdict: {error.strerror or error}"
            raise InputError.event("file_unwritable", reason, directory, "--evidence") from error
        return path


def text_of(verdict: Verdict) -> str:
    """The verdict as text: a line a finding with the code of its fault, the verdict last."""
    lines = [
        f"{'ok  ' if finding.ok else 'NO  '}{finding.check}: {finding.detail}"
        f"{'' if finding.code == 'ok' else f' [{finding.code}]'}"
        for finding in verdict.findings
    ]
    word = "PASS" if verdict.passed else "REFUSED"
    return "\n".join([*lines, f"{word} {verdict.stage} {verdict.release}"])
