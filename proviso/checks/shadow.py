"""Shadow: the candidate's decisions on mirrored requests against those of the live release.

Both have written prediction records of the same requests (docs/prediction-record.md); a request
counts when both have it. The gate holds the figures to the plan's bounds.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from feature_runtime.core.moments import now, parse_moment
from proviso.checks.evidence import Evidence
from proviso.checks.registry import Bound, Check, CheckContext, Option
from proviso.contracts.base import InputError
from proviso.contracts.plan import Plan

KIND = "shadow"
MAX_LINE = 1_000_000
MAX_PREDICTIONS = 20_000_000
Key = tuple[str, int]


@dataclass(frozen=True)
class Prediction:
    """What of a record's line the comparison needs; `at` in microseconds."""

    key: Key
    release: str
    at: int
    decision: str


def predictions(record: Path) -> Iterator[Prediction]:
    """The lines of a record, in its order; a torn line is passed over, as a kill leaves one.

    Raises InputError when the file cannot be read or is no record at all.
    """
    good = bad = 0
    try:
        with record.open("rb") as file:
            while line := file.readline(MAX_LINE):
                found = _prediction(line)
                good, bad = good + (found is not None), bad + (found is None)
                if good > MAX_PREDICTIONS:
                    wanted = f"at most {MAX_PREDICTIONS} predictions; rotate the record"
                    raise InputError.of(record, f"more than {MAX_PREDICTIONS}", wanted)
                if found is not None:
                    yield found
    except OSError as error:
        raise InputError.of(record, error.strerror or "an error", "a prediction record") from None
    if bad > max(1, good):
        raise InputError.of(record, f"{bad} lines that are no predictions", "a prediction record")


def _prediction(line: bytes) -> Prediction | None:
    try:
        said: dict[str, Any] = json.loads(line)
        return Prediction(
            (str(said["request_id"]), int(said["index"])),
            str(said["release"]),
            parse_moment(said["scored_at"]),
            str(said["decision"]),
        )
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def compare(served: Path, shadowed: Path, release: str) -> Evidence:
    """The candidate `release` in the record `shadowed` against what was `served`.

    requests: predictions that both made; seconds: from the first to the last of them;
    decision_disagreement: share of them that were decided differently.
    """
    candidate = {p.key: p for p in predictions(shadowed) if p.release == release}
    first, last, pairs, differ = 2**62, 0, 0, 0
    for prediction in predictions(served):
        other = candidate.pop(prediction.key, None)
        if other is None or prediction.release == release:
            continue
        first, last = min(first, other.at), max(last, other.at)
        pairs, differ = pairs + 1, differ + (prediction.decision != other.decision)
    figures = {
        "requests": pairs,
        "seconds": (last - first) / 1e6 if pairs else 0.0,
        "decision_disagreement": differ / pairs if pairs else None,
        "without_partner": len(candidate),
    }
    wanted = f"predictions of {release} and of the release in force for the same requests"
    reasons = () if pairs else (f"{shadowed}: found no pair, wanted {wanted}",)
    moment = now()
    return Evidence(KIND, release, moment, last if pairs else moment, reasons, figures=figures)


@dataclass(frozen=True)
class ShadowOptions:
    """What `proviso check shadow` takes."""

    served: Annotated[Path, Option("Prediction record of the live release.")]
    shadowed: Annotated[Path, Option("Prediction record of the candidate.")]


def _measure(context: CheckContext, options: ShadowOptions) -> Evidence:
    return compare(options.served, options.shadowed, context.required_release().id)


def _bounds(plan: Plan) -> tuple[Bound, ...]:
    return (
        Bound("requests", plan.shadow.min_requests, least=True),
        Bound("seconds", plan.shadow.duration / 1e6, least=True),
        Bound("decision_disagreement", plan.shadow.max_decision_disagreement),
    )


CHECK = Check(
    name=KIND,
    options=ShadowOptions,
    measure=_measure,
    stage="promote",
    finding="shadow traffic",
    bounds=_bounds,
)
