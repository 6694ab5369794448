"""Skew at the gate: rows of the test and of the replay, signatures, and what does not count."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import pytest

from feature_runtime.core.moments import DAY
from proviso.checks.skew.evidence import TEST_FILE
from proviso.checks.skew.rows import SkewRow
from proviso.checks.skew.signing import SignatureRequest, append_signature, sign
from proviso.gates.gate import judge
from proviso.replay.evidence import REPLAY_FILE, SKEW_FILE
from tests.gate_case import NOW, REVIEW, ROW, VIEWS, Case, codes, refusals

CHECKS = {TEST_FILE: "skew", SKEW_FILE: "replayed values"}
SAID = (
    "REVIEW VALUE customer_velocity_1h:txn_count_1h of customer C1 at 2026-05-25T12:00:00Z "
    "(3 is not 4), owner data-engineering@turanmart.example, row replay-1:customer_velocity_1h"
)


@pytest.fixture
def case(tmp_path: Path) -> Case:
    return Case(tmp_path)


@pytest.fixture(params=CHECKS)
def name(request: pytest.FixtureRequest) -> str:
    """Either file of rows."""
    return str(request.param)


def write(case: Case, name: str, *rows: SkewRow) -> None:
    writers: dict[str, Callable[..., None]] = {TEST_FILE: case.tested, SKEW_FILE: case.replayed}
    writers[name](*rows)


def raw(case: Case, name: str, content: bytes) -> None:
    """Content that nobody would write, with evidence that speaks of just that."""
    (case.evidence / name).write_bytes(content)
    if name == TEST_FILE:
        case.measure("skew")
    else:
        case.replay()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "found another header"),
        (b"\xff\xfe", "found no CSV"),
        (b"case_id,verdict\n1,PASS\n", "found another header"),
        (b"HEADER\n", "found no rows"),
        (b"HEADER\n1,PASS\n", "found a torn row"),
        (b"HEADER\n" + b"x," * 16 + b"x\n", "found a torn row"),
        (b"HEADER\n" + b"x" * 200_000, "found no CSV"),
        (b'HEADER\n"x"y', "found no CSV"),
    ],
)
def test_damaged_rows_are_refused(case: Case, name: str, content: bytes, said: str) -> None:
    header = ",".join(field.name for field in fields(SkewRow)).encode()
    raw(case, name, content.replace(b"HEADER", header))
    assert said in refusals(case.judged())[CHECKS[name]]


@pytest.mark.parametrize(
    ("name", "check"),
    [(REPLAY_FILE, "replay"), (SKEW_FILE, "replayed values"), (TEST_FILE, "skew")],
)
def test_evidence_beyond_any_sane_size_is_not_read(case: Case, name: str, check: str) -> None:
    with (case.evidence / name).open("r+b") as file:
        file.truncate(65 * 1024 * 1024)
    verdict = case.judged()
    assert codes(verdict)[check] == "evidence_too_large"
    assert name not in verdict.evidence


def test_a_folder_in_the_place_of_rows_is_refused(case: Case, name: str) -> None:
    (case.evidence / name).unlink()
    (case.evidence / name).mkdir()
    assert CHECKS[name] in refusals(case.judged())


def test_rows_altered_after_their_evidence_are_seen(case: Case, name: str) -> None:
    with (case.evidence / name).open("a") as file:
        file.write(",".join(asdict(ROW).values()) + "\n")
    assert codes(case.judged())[CHECKS[name]] == "evidence_file_changed"


def test_a_row_in_review_is_named_with_its_kind_and_owner(case: Case, name: str) -> None:
    write(case, name, ROW, REVIEW)
    assert codes(case.judged())[CHECKS[name]] == "skew_row_unsigned"
    assert refusals(case.judged())[CHECKS[name]].startswith(SAID)


def test_only_the_first_rows_in_review_are_listed(case: Case, name: str) -> None:
    write(case, name, *[REVIEW] * 25)
    details = [finding.detail for finding in case.judged().refusals]
    assert len(details) == 21
    assert details[-1] == "and 5 more rows in REVIEW"


def test_a_verdict_that_is_neither_is_not_a_pass(case: Case, name: str) -> None:
    write(case, name, replace(ROW, verdict="FINE"))
    assert CHECKS[name] in refusals(case.judged())


def signed(case: Case, name: str, expires: int, row: SkewRow = REVIEW) -> None:
    request = SignatureRequest(row.owner, "a refund that the source took back", NOW - 1, expires)
    cells = asdict(row)
    append_signature(case.evidence / name, sign(cells, request, frozenset()))


def test_a_signed_row_passes_until_its_signature_ends(case: Case, name: str) -> None:
    write(case, name, ROW, REVIEW)
    signed(case, name, NOW + 1)
    assert case.judged().passed
    later = judge(case.contracts, case.release, "shadow", case.evidence, NOW + 1)
    assert refusals(later)[CHECKS[name]].startswith(SAID)


def test_a_signature_covers_its_row_only(case: Case, name: str) -> None:
    write(case, name, ROW, replace(REVIEW, online_value="5"))
    signed(case, name, NOW + DAY)
    assert CHECKS[name] in refusals(case.judged())


def test_a_signature_of_a_critical_feature_does_not_count(case: Case, name: str) -> None:
    critical = replace(REVIEW, feature_view="merchant_risk_daily", feature="genuine_count_28d")
    write(case, name, critical)
    signed(case, name, NOW + DAY, critical)
    assert CHECKS[name] in refusals(case.judged())


def test_a_test_without_a_conclusion_is_no_test(case: Case) -> None:
    case.measure("skew", "INCONCLUSIVE: the interval is empty")
    path = case.evidence / "skew.json"
    path.write_text(path.read_text().replace(f'"{TEST_FILE}"', '"other.csv"'))
    (case.evidence / "other.csv").write_bytes((case.evidence / TEST_FILE).read_bytes())
    assert codes(case.judged())["skew"] == "check_unfinished"
    assert "INCONCLUSIVE: the interval is empty" in refusals(case.judged())["skew"]


@pytest.mark.parametrize(
    "strata",
    [
        None,
        {},
        [1],
        {VIEWS[0]: {"fresh": 100}},
        {view: {"unseen": 10} for view in VIEWS},
        {view: {"fresh": 0, "unseen": 10} for view in VIEWS},
        {view: ["fresh"] for view in VIEWS},
    ],
)
def test_a_test_that_left_a_view_out_is_no_test(case: Case, strata: Any) -> None:
    case.measure("skew", strata=strata)
    assert f"found no entity of {', '.join(VIEWS[1:])}" in refusals(case.judged())["skew"].replace(
        f"{VIEWS[0]}, ", ""
    )


def test_evidence_of_a_skew_test_expires(case: Case) -> None:
    case.measure("skew", made_at=NOW - DAY - 1)
    assert codes(case.judged())["skew"] == "evidence_expired"
