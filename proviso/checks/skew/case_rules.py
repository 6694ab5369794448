"""Validates skew cases: they agree with the contract, and their cells give their verdicts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from feature_runtime.core.availability import Status
from feature_runtime.core.moments import format_duration, format_moment
from feature_runtime.core.service import FeatureRef
from feature_runtime.core.values import value_status
from proviso.checks.skew.cases import CaseRow, SkewCase, recompute, sides
from proviso.contracts.base import Problem
from proviso.contracts.contract import Contract, Feature, FeatureView
from proviso.contracts.loading import SKEW_FILE
from proviso.contracts.paths import repeated
from proviso.contracts.validation.payloads import key_problems
from proviso.contracts.validation.service import find_feature

TOLERANCE = "skew_tolerance_mismatch"
VERDICT = "skew_verdict_mismatch"
COVERAGE = "skew_cases_incomplete"


def skew_problems(contract: Contract, rows: Sequence[CaseRow]) -> Iterator[Problem]:
    """Everything between the rows and the contract."""
    why = "evidence is signed by its case_id"
    yield from repeated(f"{SKEW_FILE}: case_id", (row.case.case_id for row in rows), why)
    for row in rows:
        yield from _row(contract, row)
    yield from _coverage(contract, rows)


def _row(contract: Contract, row: CaseRow) -> Iterator[Problem]:
    place, case = row.place, row.case
    found = find_feature(contract, FeatureRef(case.feature_view, case.feature))
    if found is None:
        name = str(FeatureRef(case.feature_view, case.feature))
        wanted = "a feature of the contract"
        yield Problem(f"{place}: feature", name, wanted, code="feature_unknown")
        return
    view, feature = found
    yield from key_problems(place, contract, view, case.entity_type, case.entity_key)
    yield from _tolerance(place, feature, case)
    unusable = [*_sides(place, view, feature, case)]
    yield from unusable
    if not unusable:
        yield from _verdict(place, view, feature, case)


def _tolerance(place: str, feature: Feature, case: SkewCase) -> Iterator[Problem]:
    agreed = {"abs": feature.tolerance.absolute, "rel": feature.tolerance.relative}
    stated = {"abs": case.tolerance_abs, "rel": case.tolerance_rel}
    for end, wanted in agreed.items():
        if stated[end] != wanted:
            why = f"the contract's tolerance of {feature.name} is what the owner agreed to"
            found = f"{stated[end]:g}"
            yield Problem(f"{place}: tolerance_{end}", found, f"{wanted:g}", why, TOLERANCE)


def _sides(place: str, view: FeatureView, feature: Feature, case: SkewCase) -> Iterator[Problem]:
    offline, online = sides(case, view.times, feature.dtype)
    cells = (("offline", offline, case.offline_value), ("online", online, case.online_value))
    for name, side, text in cells:
        if side.event_ts is None and side.status is Status.MISSING_KEY and text:
            wanted = f"{name}_event_ts too, or no value"
            found = f"{text} without a moment"
            yield Problem(f"{place}: {name}_value", found, wanted, code="value_without_moment")
    if offline.event_ts is None:
        return
    if value_status(offline.value, feature.dtype) is Status.TYPE:
        wanted = f"a value of {feature.dtype}"
        code = "value_of_other_type"
        yield Problem(f"{place}: offline_value", case.offline_value, wanted, code=code)
    earliest = case.as_of - view.temporal_join_lookback
    latest = case.as_of - view.source_delay
    if not earliest <= offline.event_ts <= latest:
        why = "leakage: training could not have used it" if offline.event_ts > latest else ""
        yield Problem(
            f"{place}: offline_event_ts",
            format_moment(offline.event_ts),
            f"at most {format_moment(latest)}, source_delay "
            f"{format_duration(view.source_delay)} before as_of"
            if why
            else f"at least {format_moment(earliest)}, the lookback's start",
            why or "an older row is never joined",
            "offline_row_unusable",
        )


def _verdict(place: str, view: FeatureView, feature: Feature, case: SkewCase) -> Iterator[Problem]:
    kind = recompute(case, view.times, feature.dtype)
    if case.kind == "TYPE" and case.online_event_ts is None and not case.online_value:
        kind = "TYPE"  # written before UNREADABLE was: two empty cells cannot show bytes
    verdict = "REVIEW" if kind else "PASS"
    if case.verdict != verdict:
        wanted = f"REVIEW of kind {kind}" if kind else "PASS"
        why = "what the row's own values, moments and tolerance give"
        yield Problem(f"{place}: verdict", case.verdict, wanted, why, VERDICT)
    elif case.kind != kind:
        why = "what the row's own values, moments and tolerance give"
        found = case.kind or "nothing"
        yield Problem(f"{place}: kind", found, kind or "nothing", why, VERDICT)
    if case.verdict == "REVIEW":
        yield from _routed(place, view.owner_of(feature), case)


def _routed(place: str, owner: str, case: SkewCase) -> Iterator[Problem]:
    if case.owner != owner:
        why = "a difference goes to the feature's owner"
        found = case.owner or "nothing"
        yield Problem(f"{place}: owner", found, owner, why, "skew_owner_mismatch")
    if not case.review_note.strip():
        why, code = "the reviewer needs to know what was seen", "review_note_missing"
        yield Problem(f"{place}: review_note", "nothing", "a note", why, code)


def _coverage(contract: Contract, rows: Sequence[CaseRow]) -> Iterator[Problem]:
    if not any(_numeric_pass(contract, row.case) for row in rows):
        wanted = "at least one PASS of a number with a tolerance above zero"
        why = "the cases must show a difference that passes"
        yield Problem(SKEW_FILE, "no such row", wanted, why, COVERAGE)
    if not any(row.case.verdict == "REVIEW" for row in rows):
        why = "the cases must show a difference that is stopped"
        yield Problem(SKEW_FILE, "no REVIEW row", "at least one", why, COVERAGE)


def _numeric_pass(contract: Contract, case: SkewCase) -> bool:
    found = find_feature(contract, FeatureRef(case.feature_view, case.feature))
    if found is None or case.verdict != "PASS" or case.tolerance_abs + case.tolerance_rel <= 0:
        return False
    both = sides(case, found[0].times, found[1].dtype)
    numeric = found[1].dtype not in ("bool", "string")
    return numeric and all(side.status is Status.OK for side in both)
