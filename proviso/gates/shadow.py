"""Stage `shadow`: the online side serves what offline says, and the four stakeholders agree."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args

from feature_runtime.core.moments import parse_moment
from proviso.contracts.base import InputError
from proviso.contracts.plan import Role
from proviso.gates.certificate import certificate_findings
from proviso.gates.evidence import Desk, judged
from proviso.gates.files import read_evidence
from proviso.gates.monitors import quality_gate_findings
from proviso.gates.register import Subject
from proviso.gates.skew import replayed_rows, skew_findings
from proviso.gates.verdict import Finding
from proviso.replay.evidence import REPLAY_FILE, passed


def shadow_findings(subject: Subject, desk: Desk) -> Iterator[Finding]:
    """What the shadow stage needs beside all of `register`."""
    yield from certificate_findings(subject)
    yield judged(desk, "coverage", "populated keys", "every live entity has its key")
    yield judged(desk, "freshness", "freshness", "every view is within its objective")
    yield from skew_findings(subject, desk)
    yield from _replay(subject, desk)
    yield from quality_gate_findings(subject, desk, "shadow")
    yield _signed_off(subject, desk)


def _replay(subject: Subject, desk: Desk) -> Iterator[Finding]:
    path = desk.where / REPLAY_FILE
    try:
        summary = _json_of(path)
        desk.check_release(path, str(summary.get("release")))
    except InputError as error:
        yield Finding("replay", False, str(error)[:2_000])
        return
    reasons = [*passed(summary), *_too_old(desk, path, summary)]
    if reasons:
        yield Finding("replay", False, "; ".join(reasons)[:2_000])
    else:
        count, most = summary["requests"], summary["max_probability_difference"]
        said = f"{count} requests equal their offline rows, max |dp| {most:.1e}"
        yield Finding("replay", True, said)
    yield from replayed_rows(subject, desk, str(summary.get("skew_digest")))


def _too_old(desk: Desk, path: Path, summary: dict[str, Any]) -> list[str]:
    try:
        desk.check_age(path, parse_moment(str(summary.get("made_at"))))
    except InputError as error:
        return [str(error)]
    except ValueError:
        return [f"{path}: made_at: found no moment, wanted when the replay was made"]
    return []


def _signed_off(subject: Subject, desk: Desk) -> Finding:
    """Each of the four by a name and a day that is not in the future."""
    today = datetime.fromtimestamp(desk.now / 1e6, UTC).date()
    signed = {
        s.role
        for s in subject.plan.stakeholders
        if s.signed_off_by and s.signed_off_on is not None and s.signed_off_on <= today
    }
    unsigned = [role for role in get_args(Role) if role not in signed]
    if unsigned:
        return Finding("sign-off", False, f"found none of {', '.join(unsigned)}, wanted all four")
    return Finding("sign-off", True, f"{len(signed)} stakeholders have signed")


def _json_of(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(read_evidence(path, "a replay"))
    except (ValueError, RecursionError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError.of(path, "no JSON", "what a replay writes") from None
    if not isinstance(found, dict):
        raise InputError.of(path, f"a {type(found).__name__}", "a JSON object")
    return found
