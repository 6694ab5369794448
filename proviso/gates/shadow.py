"""Stage `shadow`: the store serves what the history says, and the four stakeholders have signed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args

from feature_runtime.core.moments import parse_moment
from proviso.checks.registry import checks_of_stage
from proviso.contracts.base import InputError
from proviso.contracts.json_text import keys_once
from proviso.contracts.plan import Role
from proviso.gates.certificate import certificate_findings
from proviso.gates.evidence import EvidenceFolder, evidence_finding
from proviso.gates.files import read_evidence
from proviso.gates.monitors import quality_gate_findings
from proviso.gates.register import Subject
from proviso.gates.skew import replayed_rows, signed_rows_findings
from proviso.gates.verdict import Finding
from proviso.replay.evidence import REPLAY_FILE, replay_failures


def shadow_findings(subject: Subject, folder: EvidenceFolder) -> Iterator[Finding]:
    """What the shadow stage needs beside all of `register`."""
    yield from certificate_findings(subject)
    for check in checks_of_stage("shadow"):
        if check.signed_rows:
            yield from signed_rows_findings(subject, folder, check)
        else:
            yield evidence_finding(folder, check)
    yield from _replay(subject, folder)
    yield from quality_gate_findings(subject, folder, "shadow")
    yield _signed_off(subject, folder)


def _replay(subject: Subject, folder: EvidenceFolder) -> Iterator[Finding]:
    path = folder.directory / REPLAY_FILE
    try:
        summary = _json_of(path)
        folder.check_release(path, str(summary.get("release")))
    except InputError as error:
        yield Finding.refused_by("replay", error)
        return
    expired = _too_old(folder, path, summary)
    if expired is not None:
        yield expired
    elif reasons := replay_failures(summary):
        yield Finding.refused("replay", "replay_failed", *reasons)
    else:
        count, most = summary["requests"], summary["max_probability_difference"]
        said = f"{count} requests equal their offline rows, max |dp| {most:.1e}"
        yield Finding.passed("replay", said)
    yield from replayed_rows(subject, folder, str(summary.get("skew_digest")))


def _too_old(folder: EvidenceFolder, path: Path, summary: dict[str, Any]) -> Finding | None:
    try:
        folder.check_age(path, parse_moment(str(summary.get("made_at"))))
    except InputError as error:
        return Finding.refused_by("replay", error)
    except ValueError:
        said = f"{path}: made_at: found no moment, wanted that of the replay"
        return Finding.refused("replay", "evidence_invalid", said)
    return None


def _signed_off(subject: Subject, folder: EvidenceFolder) -> Finding:
    """Each of the four by a name and a day that is not in the future."""
    today = datetime.fromtimestamp(folder.now / 1e6, UTC).date()
    signed = {
        s.role
        for s in subject.plan.stakeholders
        if s.signed_off_by and s.signed_off_on is not None and s.signed_off_on <= today
    }
    unsigned = [role for role in get_args(Role) if role not in signed]
    if unsigned:
        said = f"found none of {', '.join(unsigned)}, wanted all four"
        return Finding.refused("sign-off", "sign_off_missing", said)
    return Finding.passed("sign-off", f"{len(signed)} stakeholders have signed")


def _json_of(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(read_evidence(path, "a replay"), object_pairs_hook=keys_once)
    except (ValueError, RecursionError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError.of(
            path, "no JSON", "a file that `proviso replay` wrote", code="evidence_invalid"
        ) from None
    if not isinstance(found, dict):
        actual = f"a {type(found).__name__}"
        raise InputError.of(path, actual, "a JSON object", code="evidence_invalid")
    return found
