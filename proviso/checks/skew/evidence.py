"""The results of a skew test: its rows, the verdict over them, and evidence for the gate.

The verdict follows from the rows and the signatures beside them, so it is computed again when a
signature is added (`proviso check sign`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from feature_runtime.core.moments import format_moment
from proviso.checks.evidence import Evidence, digests_of, parse_evidence, write_evidence
from proviso.checks.skew.compare import SkewResult
from proviso.checks.skew.rows import SkewRow, write_rows
from proviso.checks.skew.signing import RowCells, Signature, feature_of, unsigned
from proviso.contracts.base import InputError
from proviso.contracts.files import replacing

KIND = "skew"
TEST_FILE = "skew-test.csv"
"""In an evidence directory; `skew.csv` there is the replay's."""

_SHOWN = 20


@dataclass(frozen=True)
class SkewVerdict:
    """The rows of a test, and those that block: in REVIEW without a valid signature."""

    rows: Sequence[RowCells]
    blocking: Sequence[RowCells]

    @property
    def verdict(self) -> str:
        return "REVIEW" if self.blocking else "PASS"

    @property
    def reasons(self) -> tuple[str, ...]:
        """A line a blocking row, the first of them."""
        lines = [describe_row(row) for row in self.blocking[:_SHOWN]]
        more = len(self.blocking) - len(lines)
        return (*lines, f"and {more} more rows in REVIEW") if more else tuple(lines)

    @property
    def figures(self) -> dict[str, Any]:
        review = [row for row in self.rows if row["verdict"] != "PASS"]
        return {
            "verdict": self.verdict,
            "skew_failure_rate": len(self.blocking) / len(self.rows) if self.rows else None,
            "values": len(self.rows),
            "review": len(review),
            "signed": len(review) - len(self.blocking),
            "kinds": dict(Counter(row["kind"] for row in review)),
        }


def judge_rows(
    rows: Sequence[RowCells], signatures: Sequence[Signature], now: int, critical: frozenset[str]
) -> SkewVerdict:
    """The verdict over some rows at a moment (us, wall clock)."""
    return SkewVerdict(rows, unsigned(rows, signatures, now, critical))


def describe_row(row: RowCells) -> str:
    """A row in REVIEW as one line: kind, feature, entity, moment, note and owner."""
    return (
        f"REVIEW {row['kind']} {feature_of(row)} of {row['entity_type']} {row['entity_key']} "
        f"at {row['as_of']} ({row['review_note']}), owner {row['owner']}, row {row['case_id']}"
    )


def write_test(path: Path, rows: Sequence[SkewRow]) -> list[dict[str, str]]:
    """Writes the rows, all or nothing, and returns them as cells."""
    with replacing(path) as temporary:
        write_rows(temporary, rows)
    return [asdict(row) for row in rows]


def figures_of(result: SkewResult, verdict: SkewVerdict) -> dict[str, Any]:
    """The figures of a test: counts, window, strata and sizes."""
    return verdict.figures | {
        "interval": [format_moment(result.window.low), format_moment(result.window.high)],
        "strata": _plain(result.strata),
        "entities": _plain(result.sizes),
        "left_out": dict(result.left_out),
    }


def evidence_of(
    release: str,
    result: SkewResult,
    verdict: SkewVerdict,
    made_at: int,
    warnings: Sequence[str],
    rows: Path,
) -> Evidence:
    """Evidence of a finished test, whose rows are written in the file `rows` already."""
    return Evidence(
        KIND,
        release,
        made_at,
        result.at,
        verdict.reasons,
        tuple(warnings),
        figures_of(result, verdict),
        digests_of(rows.parent, [rows.name]),
    )


def inconclusive_evidence(release: str, why: str, made_at: int, as_of: int) -> Evidence:
    """Evidence that does not pass, because nothing could be concluded."""
    reasons = (f"INCONCLUSIVE: {why}",)
    figures = {"verdict": "INCONCLUSIVE"}
    return Evidence(KIND, release, made_at, as_of, reasons, figures=figures)


def refresh(rows: Path, verdict: SkewVerdict) -> Path | None:
    """Computes the verdict of the evidence beside signed rows again; None without evidence.

    made_at stays: a signature does not renew the measurement.
    """
    path = rows.parent / f"{KIND}.json"
    if not path.is_file():
        return None
    evidence = parse_evidence(path, path.read_bytes())
    if rows.name not in evidence.files:
        return None
    if evidence.files != digests_of(rows.parent, list(evidence.files)):
        found, wanted = "other rows beside it", "the rows of the test"
        why, code = "run the skew test again", "evidence_file_changed"
        raise InputError.of(path, found, wanted, why, code=code)
    figures = {**evidence.figures, **verdict.figures}
    return write_evidence(rows.parent, replace(evidence, reasons=verdict.reasons, figures=figures))


def _plain(counts: Mapping[str, Mapping[str, int]]) -> dict[str, dict[str, int]]:
    return {view: dict(numbers) for view, numbers in counts.items()}
