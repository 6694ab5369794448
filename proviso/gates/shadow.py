"""Stage `shadow`: the online side serves what offline says, and the four stakeholders agree."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from feature_runtime.identity import digest
from proviso.gates.register import Subject
from proviso.gates.verdict import Finding
from proviso.online.evidence import REPLAY_FILE, SKEW_FILE, passed

MAX_EVIDENCE_BYTES = 64 * 1024 * 1024


def shadow_findings(subject: Subject, evidence: Path) -> Iterator[Finding]:
    """What the shadow stage needs beside all of `register`."""
    yield from _skew(evidence)
    yield from _replay(subject, evidence)
    yield _signed_off(subject)


def _replay(subject: Subject, evidence: Path) -> Iterator[Finding]:
    summary = _read_json(evidence / REPLAY_FILE)
    if summary is None:
        yield Finding("replay", False, f"{evidence / REPLAY_FILE}: found nothing, wanted a replay")
        return
    if summary.get("release") != subject.release.id:
        detail = f"found evidence of {summary.get('release')}, wanted {subject.release.id}"
        yield Finding("replay", False, detail)
        return
    reasons = passed(summary)
    good = (
        f"{summary['requests']} requests equal their offline rows, "
        f"max |dp| {summary['max_probability_difference']:.1e}"
    )
    yield Finding("replay", not reasons, "; ".join(reasons) or good)
    path = evidence / SKEW_FILE
    same = path.is_file() and digest(path.read_bytes()) == summary["skew_digest"]
    yield Finding("skew evidence is the replay's", same, SKEW_FILE if same else "digests differ")


def _skew(evidence: Path) -> Iterator[Finding]:
    rows = _read_csv(evidence / SKEW_FILE)
    if not rows:
        yield Finding("skew", False, f"{evidence / SKEW_FILE}: found no rows, wanted a skew test")
        return
    review = [row for row in rows if row["verdict"] != "PASS"]
    for row in review[:20]:
        yield Finding(
            "skew",
            False,
            f"REVIEW {row['kind']} {row['feature_view']}:{row['feature']} of "
            f"{row['entity_type']} {row['entity_key']} at {row['as_of']} "
            f"({row['review_note']}), owner {row['owner']}",
        )
    if len(review) > 20:
        yield Finding("skew", False, f"and {len(review) - 20} more rows in REVIEW")
    if not review:
        yield Finding("skew", True, f"{len(rows)} values compared, all PASS")


def _signed_off(subject: Subject) -> Finding:
    unsigned = [s.role for s in subject.plan.stakeholders if s.signed_off_on is None]
    if unsigned:
        return Finding("sign-off", False, f"found none of {', '.join(unsigned)}, wanted all four")
    return Finding("sign-off", True, f"{len(subject.plan.stakeholders)} stakeholders have signed")


def _read_json(path: Path) -> dict[str, Any] | None:
    if not path.is_file() or path.stat().st_size > MAX_EVIDENCE_BYTES:
        return None
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _read_csv(path: Path) -> list[dict[str, str]]:
    if not path.is_file() or path.stat().st_size > MAX_EVIDENCE_BYTES:
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
