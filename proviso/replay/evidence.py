"""The evidence of a replay: `replay.json` and `skew.csv`, which the gate and the report read."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from feature_runtime.core.availability import Status
from feature_runtime.core.identity import digest
from feature_runtime.core.moments import format_moment, now
from proviso.checks.skew.rows import SkewRow, write_rows
from proviso.contracts.base import ValidationFailed
from proviso.contracts.contract import Contract
from proviso.contracts.files import replacing_together
from proviso.contracts.loading import parse_model
from proviso.replay.replay import CaseResult, PreparedReplay
from proviso.replay.sampling import FLOORS
from proviso.replay.skew import skew_rows

REPLAY_FILE = "replay.json"
SKEW_FILE = "skew.csv"
PROBABILITY_TOLERANCE = 1e-6


class Replayed(BaseModel):
    """The fields of replay.json by which it is judged."""

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)

    release: str
    made_at: str
    releases_answering: list[str]
    requests: Annotated[int, Field(ge=1)]
    strata: dict[str, int]
    mismatch_count: Annotated[int, Field(ge=0)]
    max_probability_difference: float
    skew: dict[str, int]
    skew_digest: str


@dataclass(frozen=True)
class Mismatch:
    """One answer that is not its offline row."""

    request_id: str
    protocol: str
    what: str
    found: str
    wanted: str


def mismatches(result: CaseResult) -> list[Mismatch]:
    """Everything in which an answer differs from its offline row."""
    answer, expected = result.answer, result.case.expected
    request_id = result.case.request.request_id

    def differs(what: str, found: object, wanted: object) -> Mismatch:
        return Mismatch(request_id, answer.protocol, what, str(found), str(wanted))

    if not answer.answered:
        return [differs("answer", f"{answer.code} {answer.error}", "an answer")]
    found = []
    served = answer.feature_status
    for ref, status in zip(result.case.consumed, expected.status, strict=True):
        said = served.get(str(ref), "nothing")
        if said != status.name:
            found.append(differs(f"status of {ref}", said, status.name))
    if difference(result) > PROBABILITY_TOLERANCE:
        found.append(differs("probability", answer.probability, expected.probability))
    if answer.decision != expected.decision:
        found.append(differs("decision", answer.decision, expected.decision))
    return found


def difference(result: CaseResult) -> float:
    """|online - offline| of the probability; infinite when only one side has one."""
    online, offline = result.answer.probability, result.case.expected.probability
    if online is None or offline is None:
        return 0.0 if online is offline else float("inf")
    return abs(online - offline)


def write_replay_evidence(
    contract: Contract,
    release_id: str,
    prepared: PreparedReplay,
    results: Sequence[CaseResult],
    out: Path,
) -> dict[str, Any]:
    """Writes both files into `out` and returns the content of replay.json."""
    rows = list(skew_rows(contract, results))
    with replacing_together() as files:
        with files.writing(out / SKEW_FILE) as temporary:
            write_rows(temporary, rows)
        written = digest(files.newest(out / SKEW_FILE).read_bytes())
        summary = _summary(release_id, prepared, results, rows, written)
        files.write_text(out / REPLAY_FILE, json.dumps(summary, indent=1) + "\n")
    return summary


def _summary(
    release_id: str,
    prepared: PreparedReplay,
    results: Sequence[CaseResult],
    rows: Sequence[SkewRow],
    rows_digest: str,
) -> dict[str, Any]:
    """The content of replay.json."""
    wrong = [m for result in results for m in mismatches(result)]
    gap = prepared.left_out
    return {
        "release": release_id,
        "made_at": format_moment(now()),
        "releases_answering": sorted({str(o.answer.release) for o in results}),
        "requests": len(results),
        "by_protocol": dict(Counter(o.answer.protocol for o in results)),
        "strata": dict(prepared.strata),
        "floors": dict(FLOORS),
        "left_out": asdict(gap) if gap else None,
        "mismatches": [asdict(m) for m in wrong[:100]],
        "mismatch_count": len(wrong),
        "max_probability_difference": max(map(difference, results), default=0.0),
        "skew": dict(Counter(row.verdict for row in rows)),
        "skew_digest": rows_digest,
        "statuses": _statuses(results),
        "latency_ms": _latencies(results),
        "feature_age_s": _ages(results),
    }


def replay_failures(summary: Mapping[str, Any], *, strata: bool = True) -> list[str]:
    """Why a replay did not pass; empty when it did.

    Floors and tolerances are the program's own, whatever the evidence says of them. strata:
    whether each stratum must reach its floor, as a drill's must.
    """
    try:
        found = parse_model(REPLAY_FILE, summary, Replayed)
    except ValidationFailed as error:
        return [str(problem) for problem in error.problems]
    reasons = []
    chosen = found.strata.get("all", 0)
    if found.requests != chosen:
        reasons.append(f"requests: found {found.requests}, wanted the {chosen} that were chosen")
    if found.mismatch_count:
        reasons.append(f"answers differ from their offline rows in {found.mismatch_count} places")
    if not found.max_probability_difference <= PROBABILITY_TOLERANCE:
        reasons.append(
            f"probability: found a difference of {found.max_probability_difference:.1e}, "
            f"wanted at most {PROBABILITY_TOLERANCE:.0e}"
        )
    reasons += [
        f"stratum {name}: found {found.strata.get(name, 0)} requests, wanted at least {floor}"
        for name, floor in FLOORS.items()
        if strata and found.strata.get(name, 0) < floor
    ]
    if found.releases_answering != [found.release]:
        reasons.append(f"answers came from {found.releases_answering}, wanted {found.release}")
    return reasons


def _statuses(results: Sequence[CaseResult]) -> dict[str, dict[str, int]]:
    counts: dict[str, Counter[str]] = {}
    for result in results:
        for ref, status in zip(result.case.consumed, result.stored.status, strict=True):
            counts.setdefault(str(ref), Counter())[Status(status).name] += 1
    return {name: dict(counter) for name, counter in counts.items()}


def _latencies(results: Sequence[CaseResult]) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    for result in results:
        found.setdefault(result.answer.protocol, []).append(round(result.answer.seconds * 1_000, 3))
    return found


def _ages(results: Sequence[CaseResult]) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    for result in results:
        views = {
            view: event
            for (view, _), event in zip(result.case.consumed, result.stored.event_ts, strict=True)
        }
        for view, event in views.items():
            if event is not None:
                found.setdefault(view, []).append((result.case.request.t - event) / 1e6)
    return found
