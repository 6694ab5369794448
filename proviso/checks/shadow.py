"""Shadow: the candidate's decisions on mirrored requests against those of the live release.

Both have written prediction records of the same requests (docs/prediction-record.md); a request
counts when both have it. The gate holds the figures to the plan's bounds.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from feature_runtime.core.moments import now, parse_moment
from proviso.checks.evidence import Evidence
from proviso.checks.registry import Check, CheckContext, FigureBound, Option
from proviso.contracts.bounds import Bound
from proviso.contracts.plan import Plan
from proviso.records.reader import RecordReader

KIND = "shadow"
MAX_PREDICTIONS = 20_000_000
Key = tuple[str, int]
_FIELDS = ("request_id", "index", "release", "scored_at", "decision")


@dataclass(frozen=True)
class Prediction:
    """The part of a record that the comparison needs; `at` in microseconds."""

    key: Key
    release: str
    at: int
    decision: str


def predictions(record: Path) -> Iterator[Prediction]:
    """The predictions of a record, in its order. Raises InputError."""
    for one in RecordReader(record, _FIELDS, MAX_PREDICTIONS):
        key = (one["request_id"], one["index"])
        yield Prediction(key, one["release"], parse_moment(one["scored_at"]), one["decision"])


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


def _bounds(plan: Plan) -> tuple[FigureBound, ...]:
    return (
        FigureBound("requests", Bound.at_least(plan.shadow.min_requests)),
        FigureBound("seconds", Bound.at_least(plan.shadow.duration / 1e6)),
        FigureBound("decision_disagreement", Bound.at_most(plan.shadow.max_decision_disagreement)),
    )


CHECK = Check(
    name=KIND,
    options=ShadowOptions,
    measure=_measure,
    stage="promote",
    finding="shadow traffic",
    bounds=_bounds,
)
