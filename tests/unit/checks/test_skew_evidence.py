"""Skew rows are written so that whoever reads them recomputes the verdict from the row alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feature_runtime.core.availability import Row, Status, Value, availability, feature_statuses
from feature_runtime.core.moments import HOUR, SECOND
from feature_runtime.core.service import FeatureRef
from proviso.checks.skew.case_rules import skew_problems
from proviso.checks.skew.cases import parse_cases, recompute
from proviso.checks.skew.rows import SkewRow, write_rows
from proviso.clients.endpoint import Answer, EndpointRequest
from proviso.contracts.contract import Contract
from proviso.contracts.loading import load_contract
from proviso.replay.cases import Case, Expected
from proviso.replay.replay import CaseResult, StoredFeatures
from proviso.replay.skew import skew_rows

CONTRACT = load_contract(Path(__file__).parents[3] / "contracts")
VIEW = CONTRACT.view_by_name["customer_velocity_1h"]
TIMES = VIEW.times
T = 1_800_000_000 * SECOND
RUN = T // HOUR * HOUR - HOUR
CONSUMED = tuple(
    FeatureRef(VIEW.name, feature.name)
    for feature in VIEW.features
    if feature.dtype in {"int64", "float64"}
)
DTYPES = {feature.name: feature.dtype for feature in VIEW.features}


def outcome(offline: Row | None, online: Row | None, torn: bool = False) -> CaseResult:
    """One request whose entity has these rows of VIEW on either side, judged by the one rule."""
    dtypes = [DTYPES[name] for _, name in CONSUMED]
    winner, status = availability(TIMES, [offline] if offline else [], T)
    nothing = (None,) * len(CONSUMED)
    expected = Expected(
        probability=None,
        decision="REVIEW",
        status=feature_statuses(status, winner, dtypes),
        values=tuple(winner.values) if winner else nothing,
        event_ts=(winner.event_ts if winner else None,) * len(CONSUMED),
    )
    request = EndpointRequest("replay-1", T, {"customer_id": "C1"}, {})
    answer = Answer("rest", "200", 0.0)
    return CaseResult(Case(request, expected, CONSUMED), answer, seen(online, torn, dtypes))


def seen(online: Row | None, torn: bool, dtypes: Sequence[str]) -> StoredFeatures:
    if torn:
        nothing = (None,) * len(dtypes)
        return StoredFeatures((Status.TYPE,) * len(dtypes), nothing, nothing)
    winner, status = availability(TIMES, [online] if online else [], T)
    values = winner.values if winner else (None,) * len(dtypes)
    events = (winner.event_ts if winner else None,) * len(dtypes)
    return StoredFeatures(feature_statuses(status, winner, dtypes), values, events)


def row(event_ts: int, *values: Value) -> Row:
    """A row that is visible; every consumed feature has the one value, or its own."""
    held = values if len(values) > 1 else values * len(CONSUMED)
    return Row(event_ts, event_ts + VIEW.delay_to_readable, tuple(held))


def read_back(rows: Sequence[SkewRow], path: Path) -> str:
    write_rows(path, rows)
    return path.read_text(encoding="utf-8")


def of_type(value: int | None) -> tuple[Value, ...]:
    """The value for every consumed feature, as its type."""
    return tuple(
        value if value is None or DTYPES[name] == "int64" else float(value) for _, name in CONSUMED
    )


OLD = T - TIMES.ttl - HOUR


@pytest.mark.parametrize(
    ("offline", "online", "torn", "kind"),
    [
        (row(RUN, *of_type(3)), row(RUN, *of_type(3)), False, ""),
        (None, None, False, ""),
        (row(RUN, None), row(RUN, None), False, ""),
        (row(OLD, *of_type(3)), row(OLD, *of_type(3)), False, ""),
        (row(RUN, *of_type(3)), row(RUN, *of_type(9)), False, "VALUE"),
        (row(RUN, None), row(RUN, *of_type(3)), False, "VALUE"),
        (row(OLD, *of_type(3)), row(OLD, *of_type(9)), False, "VALUE"),
        (row(OLD, *of_type(3)), row(OLD, None), False, "NULL"),
        (row(OLD, *of_type(3)), row(OLD, "x"), False, "TYPE"),
        (row(RUN, *of_type(3)), row(RUN, None), False, "NULL"),
        (row(RUN, *of_type(3)), row(RUN, "3"), False, "TYPE"),
        (row(RUN, None), row(RUN, "x"), False, "TYPE"),
        (row(RUN, *of_type(3)), None, True, "TYPE"),
        (None, None, True, "TYPE"),
        (row(RUN, *of_type(3)), None, False, "MISSING_KEY"),
        (row(OLD, *of_type(3)), None, False, "MISSING_KEY"),
        (row(RUN, *of_type(3)), row(RUN - HOUR, *of_type(3)), False, "STALE"),
        (row(RUN, *of_type(3)), row(OLD, *of_type(3)), False, "STALE"),
        (row(RUN - HOUR, *of_type(3)), row(RUN, *of_type(3)), False, "FUTURE"),
        (row(OLD, *of_type(3)), row(RUN, *of_type(3)), False, "FUTURE"),
        (None, row(RUN, *of_type(3)), False, "FUTURE"),
        (None, row(OLD, *of_type(3)), False, "FUTURE"),
    ],
)
def test_every_kind_is_written_read_and_recomputed(
    offline: Row | None, online: Row | None, torn: bool, kind: str, tmp_path: Path
) -> None:
    rows = list(skew_rows(CONTRACT, [outcome(offline, online, torn)]))
    assert {r.kind for r in rows} == {kind}
    assert {r.verdict for r in rows} == {"REVIEW" if kind else "PASS"}
    cases, problems = parse_cases(read_back(rows, tmp_path / "skew.csv"))
    assert problems == []
    assert len(cases) == len(rows) == len(CONSUMED)
    assert verdict_problems(CONTRACT, rows, tmp_path) == []
    assert {recompute(one.case, TIMES, DTYPES[one.case.feature]) for one in cases} == {kind}


def verdict_problems(contract: Contract, rows: Sequence[SkewRow], directory: Path) -> list[str]:
    """What the validator says of the rows, but for what a whole file must contain."""
    cases, _ = parse_cases(read_back(rows, directory / "again.csv"))
    said = [str(problem) for problem in skew_problems(contract, cases)]
    return [text for text in said if ": row " in text]


VALUES = st.one_of(st.none(), st.integers(-5, 5), st.integers(-(2**52), 2**52))
EVENTS = st.sampled_from([RUN, RUN - HOUR, OLD, OLD - HOUR])
ROWS = st.one_of(st.none(), st.builds(lambda at, v: row(at, *of_type(v)), EVENTS, VALUES))


@given(ROWS, ROWS)
def test_what_is_judged_is_what_the_row_says(
    tmp_path_factory: pytest.TempPathFactory, offline: Row | None, online: Row | None
) -> None:
    directory = tmp_path_factory.getbasetemp()
    rows = list(skew_rows(CONTRACT, [outcome(offline, online)]))
    cases, problems = parse_cases(read_back(rows, directory / "skew.csv"))
    assert problems == []
    said = [recompute(one.case, TIMES, DTYPES[one.case.feature]) for one in cases]
    assert said == [r.kind for r in rows]


def test_values_are_written_as_their_type() -> None:
    rows = skew_rows(CONTRACT, [outcome(row(RUN, *of_type(3)), row(RUN, *of_type(3)))])
    for found in rows:
        text = "3" if DTYPES[found.feature] == "int64" else "3.0"
        assert (found.offline_value, found.online_value) == (text, text)


def test_a_difference_goes_to_the_features_owner_with_both_sides() -> None:
    first = next(skew_rows(CONTRACT, [outcome(row(RUN, *of_type(3)), row(RUN, *of_type(9)))]))
    feature = next(f for f in VIEW.features if f.name == first.feature)
    assert first.owner == VIEW.owner_of(feature)
    assert first.review_note == "offline OK 3, online OK 9"


def test_a_long_stored_text_still_makes_a_row_that_can_be_read(tmp_path: Path) -> None:
    rows = list(skew_rows(CONTRACT, [outcome(row(RUN, *of_type(3)), row(RUN, "x" * 1024))]))
    cases, problems = parse_cases(read_back(rows, tmp_path / "skew.csv"))
    assert problems == []
    assert len(cases) == len(rows)
