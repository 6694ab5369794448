"""Shadow: the candidate's decisions on mirrored requests against those of the live release.

Both have written prediction records of the same requests (docs/prediction-record.md). A live
prediction that the candidate did not record is counted as well: decisions that are not known must
be few, or the evidence is INCONCLUSIVE. The gate holds the figures to the plan's bounds.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from feature_runtime.core.moments import format_moment, now, parse_moment
from feature_runtime.core.record import PredictionRecord
from feature_runtime.core.traffic import LIVE, SHADOW, Traffic
from proviso.checks.evidence import Evidence
from proviso.checks.registry import Check, CheckContext, FigureBound, Option
from proviso.checks.shadow_pairs import Matching, Prediction, Side, key_of, match, request_of
from proviso.contracts.bounds import Bound
from proviso.contracts.plan import Plan
from proviso.records.reader import RecordReader

KIND = "shadow"
MAX_PREDICTIONS = 20_000_000
LARGEST_ALLOWANCE = 0.1
"""Of the mirrored predictions: where the mirror's choice explains more, nothing is concluded."""

_FIELDS = ("request_id", "index", "release", "scored_at", "event_ts", "entities", "decision")


@dataclass(frozen=True)
class ShadowRecords:
    """The records of live traffic and of the candidate, each of one or more pods."""

    served: Sequence[Path]
    shadowed: Sequence[Path]


@dataclass(frozen=True)
class Mirror:
    """What of the live traffic the candidate was sent.

    share: of requests, 0 to 1. settle: how far clocks, and the ends of records, may differ.
    until: end of the shadow step; most: share of predictions that may remain unknown.
    """

    share: float
    settle: int
    until: int
    most: float


@dataclass
class _Records:
    """One side: shadow traffic of the candidate, or live traffic of all other releases.

    damaged: lines that are no record, so far.
    """

    paths: Sequence[Path]
    traffic: Traffic
    candidate: str
    damaged: int = 0

    def predictions(self, names: Sequence[str]) -> Iterator[Prediction]:
        return (_prediction(record, names) for record in self._all())

    def entities(self) -> set[str]:
        """The entities that the first record names."""
        return next((set(record["entities"]) for record in self._all()), set())

    def _all(self) -> Iterator[PredictionRecord]:
        self.damaged = 0
        for path in self.paths:
            reader = RecordReader(path, _FIELDS, MAX_PREDICTIONS)
            for record in reader:
                of_candidate = record["release"] == self.candidate
                same_traffic = record.get("traffic", self.traffic) == self.traffic
                if same_traffic and of_candidate == (self.traffic == SHADOW):
                    yield record
            self.damaged += reader.damaged


def compare(records: ShadowRecords, release: str, mirror: Mirror) -> Evidence:
    """The candidate `release` against the release in force. Raises InputError."""
    served = _Records(records.served, LIVE, release)
    shadowed = _Records(records.shadowed, SHADOW, release)
    names = sorted(served.entities() & shadowed.entities())
    candidate = Side.of(shadowed.predictions(names))
    live = Side.of(served.predictions(names))
    found = match(live, candidate, mirror.share, mirror.settle, mirror.until)
    damaged = served.damaged + shadowed.damaged
    figures = _figures(found, mirror, damaged, len(live.lines) + len(candidate.lines))
    problems = _problems(found, figures, mirror)
    figures["verdict"] = "INCONCLUSIVE" if problems else "PASS"
    figures["reason_codes"] = list(problems)
    moment = now()
    reasons = tuple(f"{text} [{code}]" for code, text in problems.items())
    as_of = found.last if found.pairs else moment
    return Evidence(KIND, release, moment, as_of, reasons, figures=figures)


def _prediction(record: PredictionRecord, names: Sequence[str]) -> Prediction:
    request_id, event_ts = record["request_id"], parse_moment(record["event_ts"])
    ids = [record["entities"].get(name) for name in names]
    return Prediction(
        key_of(request_id, record["index"], event_ts, ids),
        request_of(request_id, event_ts),
        parse_moment(record["scored_at"]),
        f"{record['release']} {record['decision']}",
        record["decision"],
    )


def _figures(found: Matching, mirror: Mirror, damaged: int, lines: int) -> dict[str, Any]:
    """requests: predictions that both made; seconds: from the first to the last of them;
    decision_disagreement: share of them that were decided differently. Shares of what is not
    known: unanswered_share of what was mirrored, ambiguous_share of all live predictions,
    without_partner_share of the candidate's, damaged_share of all lines."""
    mirrored = found.live * mirror.share
    unanswered = max(0.0, mirrored - found.allowance - found.answered)
    window = found.window
    ends = () if window is None else (window.start, window.end)
    return {
        "requests": found.pairs,
        "seconds": (found.last - found.first) / 1e6,
        "decision_disagreement": found.differ / found.pairs if found.pairs else None,
        "live_predictions": found.live,
        "mirror_percent": mirror.share * 100,
        "unanswered": round(unanswered),
        "unanswered_share": _share(unanswered, mirrored),
        "chance_share": _share(found.allowance, mirrored),
        "ambiguous": found.ambiguous,
        "ambiguous_share": _share(found.ambiguous, found.live + found.ambiguous),
        "without_partner": found.without_partner,
        "without_partner_share": found.without_partner / max(1, found.candidate),
        "damaged_lines": damaged,
        "damaged_share": damaged / max(1, damaged + lines),
        "window": [format_moment(moment) for moment in ends],
    }


def _share(part: float, whole: float) -> float:
    """part / whole; 1, all of it unknown, where there is no whole."""
    return part / whole if whole else 1.0


def _problems(found: Matching, figures: dict[str, Any], mirror: Mirror) -> dict[str, str]:
    """Why nothing can be concluded, by code."""
    if found.window is None:
        return {"shadow_no_pairs": "no mirrored prediction was recorded by both releases"}
    if not found.live + found.ambiguous:
        window = " to ".join(figures["window"])
        return {"shadow_window_empty": f"the live record has no prediction of the window {window}"}
    problems = {
        code: f"{figures[name]:.2%} {said}, wanted at most {mirror.most:.2%}"
        for code, name, said in _unknown(found, mirror)
        if figures[name] > mirror.most
    }
    if figures["chance_share"] > LARGEST_ALLOWANCE:
        problems["shadow_mirrored_too_few"] = (
            f"chance explains {figures['chance_share']:.0%} of the mirrored predictions, "
            f"wanted at most {LARGEST_ALLOWANCE:.0%}: record more of them"
        )
    return problems


def _unknown(found: Matching, mirror: Mirror) -> Iterator[tuple[str, str, str]]:
    """(code, figure, its words) of each kind of prediction whose other decision is not known."""
    mirrored = f"live predictions ({mirror.share:.0%} mirrored)"
    yield (
        "shadow_unanswered",
        "unanswered_share",
        f"of {found.live} {mirrored} are not recorded by the candidate",
    )
    yield (
        "shadow_ambiguous",
        "ambiguous_share",
        f"of {found.live + found.ambiguous} live predictions have a key of different decisions",
    )
    yield (
        "shadow_without_partner",
        "without_partner_share",
        f"of {found.candidate} predictions of the candidate are not in the live record",
    )
    yield "shadow_damaged", "damaged_share", "of all lines are no prediction records"


_RECORD = "of each pod (repeatable)."


@dataclass(frozen=True)
class ShadowOptions:
    """What `proviso check shadow` takes."""

    served: Annotated[tuple[Path, ...], Option(f"Prediction record of the live release, {_RECORD}")]
    shadowed: Annotated[tuple[Path, ...], Option(f"Prediction record of the candidate, {_RECORD}")]
    until: Annotated[
        int | None, Option("End of the shadow step; later live traffic is ignored.", moment=True)
    ] = None


def _measure(context: CheckContext, options: ShadowOptions) -> Evidence:
    plan = context.plan
    mirror = Mirror(
        share=plan.mirroring.percent / 100,
        settle=plan.clock_margin,
        until=now() if options.until is None else options.until,
        most=plan.shadow.max_unmatched,
    )
    records = ShadowRecords(options.served, options.shadowed)
    return compare(records, context.required_release().id, mirror)


def _bounds(plan: Plan) -> tuple[FigureBound, ...]:
    """The gate's bounds. Evidence that assumes less mirrored traffic than the plan is refused."""
    shadow = plan.shadow
    unknown = ("unanswered_share", "ambiguous_share", "without_partner_share", "damaged_share")
    return (
        FigureBound("requests", Bound.at_least(shadow.min_requests)),
        FigureBound("seconds", Bound.at_least(shadow.duration / 1e6)),
        FigureBound("decision_disagreement", Bound.at_most(shadow.max_decision_disagreement)),
        *(FigureBound(name, Bound.at_most(shadow.max_unmatched)) for name in unknown),
        FigureBound("chance_share", Bound.at_most(LARGEST_ALLOWANCE)),
        FigureBound("mirror_percent", Bound.at_least(plan.mirroring.percent)),
    )


CHECK = Check(
    name=KIND,
    options=ShadowOptions,
    measure=_measure,
    stage="promote",
    finding="shadow traffic",
    bounds=_bounds,
)
