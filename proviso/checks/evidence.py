"""Evidence: the form in which every check keeps its result, `<kind>.json`.

It says which release was measured, when, with which figures, and why it did not pass. The gate
reads every check's result in this form, so missing, altered and expired evidence is handled once;
beside it, it reads files of rows that evidence names, and the replay's `replay.json`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from feature_runtime.core.identity import digest
from feature_runtime.core.moments import format_moment, parse_moment
from proviso.contracts.base import InputError
from proviso.contracts.files import replacing
from proviso.contracts.json_text import keys_once


@dataclass(frozen=True)
class Evidence:
    """The result of one check of one release.

    made_at: when it was measured, by the wall clock; as_of: the moment that was measured
    (microseconds). reasons: why the check did not pass; empty when it passed. warnings: findings
    that block nothing. files: digests of files beside the evidence that belong to it.
    """

    kind: str
    release: str
    made_at: int
    as_of: int
    reasons: tuple[str, ...]
    warnings: tuple[str, ...] = ()
    figures: Mapping[str, Any] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        return not self.reasons

    def as_dict(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "release": self.release,
            "made_at": format_moment(self.made_at),
            "as_of": format_moment(self.as_of),
            "passed": self.passed,
            "reasons": list(self.reasons),
            "warnings": list(self.warnings),
            "figures": dict(self.figures),
            "files": dict(self.files),
        }


class _Stated(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    kind: str
    release: str
    made_at: str
    as_of: str
    passed: bool
    reasons: list[str]
    warnings: list[str]
    figures: dict[str, Any]
    files: dict[str, str]


def digests_of(directory: Path, names: Sequence[str]) -> dict[str, str]:
    """`files` of an Evidence: the digest of each named file in `directory`."""
    return {name: digest((directory / name).read_bytes()) for name in names}


def write_evidence(directory: Path, evidence: Evidence) -> Path:
    """Writes `<kind>.json`, all or nothing; an earlier one of the kind is replaced."""
    path = directory / f"{evidence.kind}.json"
    with replacing(path) as temporary:
        text = json.dumps(evidence.as_dict(), indent=1, default=str)
        temporary.write_text(text + "\n", encoding="utf-8")
    return path


def parse_evidence(path: Path, content: bytes) -> Evidence:
    """The evidence in a file's content. Raises InputError when it is invalid or contradictory."""
    try:
        stated = _Stated.model_validate(json.loads(content, object_pairs_hook=keys_once))
        made_at, as_of = parse_moment(stated.made_at), parse_moment(stated.as_of)
    except (ValidationError, ValueError, RecursionError):
        wanted = "a file that `proviso check` wrote"
        raise InputError.of(path, "another format", wanted, code="evidence_invalid") from None
    if stated.passed == bool(stated.reasons):
        actual = f"passed {stated.passed} with {len(stated.reasons)} reasons"
        wanted = "reasons if and only if it did not pass"
        raise InputError.of(path, actual, wanted, code="evidence_invalid")
    return Evidence(
        stated.kind,
        stated.release,
        made_at,
        as_of,
        tuple(stated.reasons),
        tuple(stated.warnings),
        stated.figures,
        stated.files,
    )
