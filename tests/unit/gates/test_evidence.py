"""What evidence must be to count at the gate, and what it is held to."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from feature_runtime.core.identity import digest
from feature_runtime.core.moments import DAY, MINUTE
from proviso.checks.evidence import Evidence, write_evidence
from tests.gate_case import FIGURES, NOW, Case, codes, refusals


@pytest.fixture
def case(tmp_path: Path) -> Case:
    return Case(tmp_path)


CHECKS = {
    "coverage": "populated keys",
    "freshness": "freshness",
    "shadow": "shadow traffic",
    "load": "latency and errors",
}


@pytest.mark.parametrize("kind", CHECKS)
def test_missing_evidence_is_a_no(case: Case, kind: str) -> None:
    (case.evidence / f"{kind}.json").unlink()
    verdict = case.judged("promote")
    assert codes(verdict)[CHECKS[kind]] == "evidence_missing"
    assert f"wanted what `proviso check {kind}` writes" in refusals(verdict)[CHECKS[kind]]


@pytest.mark.parametrize("kind", CHECKS)
def test_expired_evidence_is_a_no(case: Case, kind: str) -> None:
    case.measure(kind, made_at=NOW - DAY)
    assert case.judged("promote").passed
    case.measure(kind, made_at=NOW - DAY - 1)
    assert codes(case.judged("promote"))[CHECKS[kind]] == "evidence_expired"


@pytest.mark.parametrize("kind", CHECKS)
def test_evidence_from_a_time_to_come_is_a_no(case: Case, kind: str) -> None:
    case.measure(kind, made_at=NOW + MINUTE + 1)
    assert codes(case.judged("promote"))[CHECKS[kind]] == "evidence_from_future"


@pytest.mark.parametrize("kind", CHECKS)
def test_evidence_of_another_release_is_a_no(case: Case, kind: str) -> None:
    case.measure(kind, release="r-0000000000000000")
    verdict = case.judged("promote")
    assert codes(verdict)[CHECKS[kind]] == "evidence_release_mismatch"
    assert "found evidence of r-0000" in refusals(verdict)[CHECKS[kind]]


@pytest.mark.parametrize("kind", CHECKS)
def test_a_check_that_said_no_is_a_no_with_its_reasons(case: Case, kind: str) -> None:
    case.measure(kind, "view a: nothing new", "view b: nothing at all")
    said = refusals(case.judged("promote"))[CHECKS[kind]]
    assert "view a: nothing new; view b: nothing at all" in said
    assert codes(case.judged("promote"))[CHECKS[kind]] == "check_failed"


@pytest.mark.parametrize("kind", CHECKS)
def test_one_kind_of_evidence_is_not_another(case: Case, kind: str) -> None:
    other = next(name for name in CHECKS if name != kind)
    shutil.copy(case.evidence / f"{other}.json", case.evidence / f"{kind}.json")
    verdict = case.judged("promote")
    assert codes(verdict)[CHECKS[kind]] == "evidence_kind_mismatch"
    assert f"found evidence of {other}" in refusals(verdict)[CHECKS[kind]]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", b"\xff", b"[" * 200_000])
def test_damaged_evidence_is_a_no(case: Case, content: bytes) -> None:
    (case.evidence / "freshness.json").write_bytes(content)
    assert codes(case.judged())["freshness"] == "evidence_invalid"


def test_evidence_that_contradicts_itself_is_a_no(case: Case) -> None:
    path = case.evidence / "freshness.json"
    path.write_text(path.read_text().replace('"reasons": []', '"reasons": ["too old"]'))
    verdict = case.judged()
    assert codes(verdict)["freshness"] == "evidence_invalid"
    assert "found passed True with 1 reasons" in refusals(verdict)["freshness"]


def test_a_file_altered_after_its_evidence_is_seen(case: Case) -> None:
    table = case.evidence / "coverage.csv"
    table.write_text("all there")
    files = {table.name: digest(table.read_bytes())}
    figures = FIGURES["coverage"]
    stated = Evidence("coverage", case.id, NOW, NOW, (), figures=figures, files=files)
    write_evidence(case.evidence, stated)
    assert case.judged().passed
    table.write_text("none there")
    assert codes(case.judged())["populated keys"] == "evidence_file_changed"


def test_evidence_cannot_point_out_of_its_directory(case: Case) -> None:
    files = {"../contracts/training.yml": "sha256:00"}
    write_evidence(case.evidence, Evidence("coverage", case.id, NOW, NOW, (), files=files))
    assert codes(case.judged())["populated keys"] == "evidence_file_outside"


@pytest.mark.parametrize(
    ("kind", "changes", "said"),
    [
        ("shadow", {"requests": 9_999}, "requests: found 9999, wanted at least 10000"),
        ("shadow", {"seconds": 3_600.0}, "seconds: found 3600, wanted at least 86400"),
        ("shadow", {"decision_disagreement": 0.06}, "found 0.06, wanted at most 0.05"),
        ("shadow", {"decision_disagreement": None}, "decision_disagreement: found nothing"),
        ("shadow", {"unanswered_share": 0.9}, "unanswered_share: found 0.9, wanted at most 0.01"),
        ("shadow", {"unanswered_share": None}, "unanswered_share: found nothing"),
        ("shadow", {"ambiguous_share": 0.011}, "ambiguous_share: found 0.011"),
        ("shadow", {"ambiguous_share": None}, "ambiguous_share: found nothing"),
        ("shadow", {"without_partner_share": 0.5}, "without_partner_share: found 0.5"),
        ("shadow", {"damaged_share": 0.02}, "damaged_share: found 0.02"),
        ("shadow", {"chance_share": 0.2}, "chance_share: found 0.2, wanted at most 0.1"),
        ("shadow", {"mirror_percent": 10.0}, "mirror_percent: found 10, wanted at least 100"),
        ("load", {"latency_p95_ms": 150.1}, "latency_p95_ms: found 150.1, wanted at most 150"),
        ("load", {"latency_p99_ms": 301}, "latency_p99_ms: found 301, wanted at most 300"),
        ("load", {"http_error_rate": 0.0011}, "http_error_rate: found 0.0011, wanted at most"),
        ("load", {"http_error_rate": float("nan")}, "http_error_rate: found nan"),
        ("load", {"latency_p95_ms": "fast"}, "latency_p95_ms: found nothing"),
        ("load", {"answered_at_32": None}, "answered_at_32: found nothing, wanted at least 1"),
        ("load", {"answered_at_8": 0}, "answered_at_8: found 0, wanted at least 1"),
        ("load", {"refused_share": 0.01}, "refused_share: found 0.01"),
        ("load", {"refused_share": None}, "refused_share: found nothing"),
        ("load", {"other_releases": 1}, "other_releases: found 1, wanted at most 0"),
        ("load", {"requests_per_second": 499.0}, "found 499, wanted at least 500"),
    ],
)
def test_promotion_is_held_to_the_plans_budget(
    case: Case, kind: str, changes: dict[str, Any], said: str
) -> None:
    case.measure(kind, **changes)
    verdict = case.judged("promote")
    assert said in refusals(verdict)[CHECKS[kind]]
    assert codes(verdict)[CHECKS[kind]] == "figure_out_of_bounds"


@pytest.mark.parametrize(
    ("kind", "gate", "changes", "said"),
    [
        ("coverage", "features_missing", {"feature_missing_rate": 0.06}, "at most 0.05, owner"),
        ("freshness", "features_fresh", {"freshness_breach_rate": 0.02}, "at most 0.01, owner"),
        ("skew", "no_skew", {"skew_failure_rate": 0.01}, "at most 0, owner"),
        ("skew", "no_skew", {"skew_failure_rate": None}, "found no skew_failure_rate"),
        ("skew", "no_skew", {"skew_failure_rate": True}, "found no skew_failure_rate"),
    ],
)
def test_a_quality_gate_of_the_contract_blocks_its_stage(
    case: Case, kind: str, gate: str, changes: dict[str, Any], said: str
) -> None:
    case.measure(kind, **changes)
    assert said in refusals(case.judged())[f"quality gate {gate}"]


def test_a_quality_gate_that_blocks_nothing_warns(case: Case) -> None:
    case.measure("drift", feature_drift_psi=0.5)
    verdict = case.judged()
    assert verdict.passed
    [found] = [f for f in verdict.findings if f.check == "quality gate features_drift"]
    assert found.detail.startswith("warning: feature_drift_psi 0.5, at most 0.25")


def test_drift_blocks_where_the_contract_says_so(case: Case) -> None:
    drift = "max: 0.25, schedule: P1D, blocks: "
    case.edit("feature_store_contract.yml", f"{drift}none", f"{drift}shadow")
    assert case.judged().passed
    case.measure("drift", feature_drift_psi=0.5)
    assert "at most 0.25" in refusals(case.judged())["quality gate features_drift"]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"verdict": "DRIFT", "reason_codes": ["drift_null_rate"]}, "verdict_not_passed"),
        ({"verdict": "INCONCLUSIVE", "feature_drift_psi": None}, "verdict_not_passed"),
        ({"verdict": None}, "verdict_not_passed"),
        ({"feature_drift_psi": None}, "figure_missing"),
    ],
    ids=str,
)
def test_a_gate_on_drift_needs_the_verdict_too(
    case: Case, changes: dict[str, Any], code: str
) -> None:
    """Null rates that jumped and a constant have no PSI; evidence of before has no verdict."""
    drift = "max: 0.25, schedule: P1D, blocks: "
    case.edit("feature_store_contract.yml", f"{drift}none", f"{drift}shadow")
    case.measure("drift", **changes)
    assert codes(case.judged()) == {"quality gate features_drift": code}


@pytest.mark.parametrize(("least", "passes"), [(0.1, False), (0.3, True), (None, True)])
def test_a_bound_from_below_is_held_against_the_least(
    case: Case, least: float | None, passes: bool
) -> None:
    drift = "metric: feature_drift_psi, {}, schedule: P1D, blocks: {}"
    old, new = drift.format("max: 0.25", "none"), drift.format("min: 0.2", "shadow")
    case.edit("feature_store_contract.yml", old, new)
    case.measure("drift", feature_drift_psi=0.4, feature_drift_psi_least=least)
    assert case.judged().passed is passes


def test_a_quality_gate_that_blocks_promotion_is_held_there(case: Case) -> None:
    drift = "max: 0.25, schedule: P1D, blocks: "
    case.edit("feature_store_contract.yml", f"{drift}none", f"{drift}promote")
    case.measure("drift", feature_drift_psi=0.5)
    assert case.judged().passed
    assert codes(case.judged("promote")) == {"quality gate features_drift": "figure_out_of_bounds"}


def test_a_quality_gate_that_blocks_registration_is_held_there(case: Case) -> None:
    drift = "max: 0.25, schedule: P1D, blocks: "
    case.edit("feature_store_contract.yml", f"{drift}none", f"{drift}register")
    assert case.judged("register").passed
    (case.evidence / "drift.json").unlink()
    assert codes(case.judged("register")) == {"quality gate features_drift": "evidence_missing"}


def test_a_sign_off_of_a_day_to_come_does_not_count(case: Case) -> None:
    path = case.contracts / "serving_release_plan.yml"
    text = path.read_text()
    path.write_text(text.replace("signed_off_on: 2026-11-20}", "signed_off_on: 2026-11-25}", 1))
    verdict = case.judged()
    assert codes(verdict)["sign-off"] == "sign_off_missing"
    assert "data_engineering" in refusals(verdict)["sign-off"]


@pytest.mark.parametrize(
    ("made_at", "code"),
    [
        ("2026-11-23T11:59:59Z", "evidence_expired"),
        ("2026-11-25T00:00:00Z", "evidence_from_future"),
        ("today", "evidence_invalid"),
    ],
)
def test_a_replay_of_another_time_is_refused(case: Case, made_at: str, code: str) -> None:
    case.replay(made_at=made_at)
    assert codes(case.judged())["replay"] == code
