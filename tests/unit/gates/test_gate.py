"""Each finding of the gate, broken on purpose once, on the committed release and contract."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from feature_runtime.core.identity import digest
from proviso.checks.registry import Stage
from proviso.checks.skew.evidence import TEST_FILE
from proviso.replay.evidence import REPLAY_FILE, SKEW_FILE
from proviso.replay.sampling import FLOORS
from tests.gate_case import FIGURES, REVIEW, Case, Edit, codes, refusals


@pytest.fixture
def case(tmp_path: Path) -> Case:
    return Case(tmp_path)


@pytest.mark.parametrize("stage", ["register", "shadow", "promote"])
def test_a_release_with_all_its_evidence_passes(case: Case, stage: Stage) -> None:
    verdict = case.judged(stage)
    assert verdict.passed, verdict.refusals


def test_the_evidence_is_kept_by_digest(case: Case) -> None:
    names = [REPLAY_FILE, SKEW_FILE, TEST_FILE, *(f"{kind}.json" for kind in FIGURES)]
    wanted = {name: digest((case.evidence / name).read_bytes()) for name in names}
    assert case.judged().evidence == wanted


def _swap(parsed: dict[str, Any]) -> None:
    vector = parsed["card"]["vector"]
    vector[3], vector[4] = vector[4], vector[3]


def _metric(side: str, value: Any) -> Edit:
    return lambda parsed: parsed["card"]["metrics"][side].update(average_precision=value)


def _proof(**changes: Any) -> Edit:
    return lambda parsed: parsed["card"]["onnx"].update(changes)


@pytest.mark.parametrize(
    ("change", "check", "said"),
    [
        (_swap, "feature order", "at position 3"),
        (lambda p: p["card"]["vector"].pop(), "feature order", "at position 39"),
        (
            _proof(model_max_difference=2e-5),
            "ONNX equals XGBoost",
            "max |dp| 2.0e-05, at most 1e-05",
        ),
        (
            _proof(model_max_difference=0.5, tolerance=1.0),
            "ONNX equals XGBoost",
            "max |dp| 5.0e-01, at most 1e-05",
        ),
        (_proof(model_max_difference=float("nan")), "ONNX equals XGBoost", "max |dp| nan"),
        (_metric("model", 0.29), "quality floor", "average_precision 0.290, at least 0.3"),
        (_metric("model", None), "quality floor", "found nothing, wanted >= 0.3"),
        (_metric("model", None), "beats its baseline", "found None for the model"),
        (_metric("baseline", 0.99), "beats its baseline", "against 0.990"),
        (_metric("baseline", None), "beats its baseline", "and None"),
        (_metric("model", "high"), "model card", "metrics.model.average_precision"),
        (_proof(model_max_difference=None), "model card", "onnx.model_max_difference"),
        (lambda p: p["card"].pop("vector"), "model card", "vector: found nothing"),
        (lambda p: p.update(card="none"), "model card", "found 'none'"),
    ],
)
def test_a_card_that_says_no_is_refused(case: Case, change: Edit, check: str, said: str) -> None:
    case.card(change)
    assert said in refusals(case.judged("register"))[check]


@pytest.mark.parametrize(
    ("name", "old", "new", "check", "said"),
    [
        (
            "serving_release_plan.yml",
            "model_name: fraud-risk",
            "model_name: fraud-risk-2",
            "model",
            "wanted ('fraud_risk_xgboost:2.5.0', 'fraud-risk-2')",
        ),
        (
            "serving_release_plan.yml",
            "max_queue_delay_us: ",
            "max_queue_delay_us: 1",
            "model signature",
            "config.pbtxt differs from what the plan derives",
        ),
        (
            "serving_release_plan.yml",
            "threshold: 0.5,",
            "threshold: 0.6,",
            "service section",
            "of today's contract",
        ),
        (
            "feature_store_contract.yml",
            "population: P365D",
            "population: P364D",
            "service section",
            "of today's contract",
        ),
        (
            "serving_release_plan.yml",
            "service: fraud_risk_service_v3",
            "service: nobodys_service",
            "service section",
            "serving_release_plan.yml: service: found nobodys_service, wanted one of",
        ),
        (
            "serving_release_plan.yml",
            "steps: [",
            "steps: [100, ",
            "contract files",
            "canary.steps",
        ),
    ],
)
def test_a_contract_or_plan_that_moved_on_is_refused(
    case: Case, name: str, old: str, new: str, check: str, said: str
) -> None:
    case.edit(name, old, new)
    assert said in refusals(case.judged("register"))[check]


def test_a_changed_config_is_no_release(case: Case) -> None:
    [config] = case.release.glob("*/config.pbtxt")
    config.write_text(config.read_text().replace("max_batch_size: ", "max_batch_size: 1"))
    done = case.call("register")
    assert done.code == 1
    assert "digests.config: found sha256:" in done.err


def test_an_unsigned_stakeholder_is_named(case: Case) -> None:
    path = case.contracts / "serving_release_plan.yml"
    parsed = yaml.safe_load(path.read_text())
    parsed["stakeholders"][3]["signed_off_on"] = None
    path.write_text(yaml.safe_dump(parsed))
    role = parsed["stakeholders"][3]["role"]
    assert codes(case.judged())["sign-off"] == "sign_off_missing"
    assert refusals(case.judged())["sign-off"] == f"found none of {role}, wanted all four"


def test_a_plan_that_is_signed_by_none_is_registered_and_gets_no_traffic(case: Case) -> None:
    path = case.contracts / "serving_release_plan.yml"
    parsed = yaml.safe_load(path.read_text())
    for stakeholder in parsed["stakeholders"]:
        stakeholder.update(signed_off_by=None, signed_off_on=None)
    path.write_text(yaml.safe_dump(parsed))
    assert case.judged("register").passed
    assert codes(case.judged())["sign-off"] == "sign_off_missing"


def test_without_a_replay_there_is_no_shadow(case: Case) -> None:
    (case.evidence / REPLAY_FILE).unlink()
    assert codes(case.judged())["replay"] == "evidence_missing"


def test_without_replayed_values_there_is_no_shadow(case: Case) -> None:
    (case.evidence / SKEW_FILE).unlink()
    assert codes(case.judged())["replayed values"] == "evidence_missing"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"release": "r-0000000000000000"}, "found evidence of r-0000000000000000, wanted r-"),
        ({"releases_answering": ["r-0000000000000000"]}, "answers came from"),
        ({"mismatch_count": 3}, "answers differ from their offline rows in 3 places"),
        ({"max_probability_difference": 0.01}, "found a difference of 1.0e-02, wanted at most"),
        ({"max_probability_difference": float("nan")}, "found a difference of nan"),
        ({"max_probability_difference": float("inf")}, "found a difference of inf"),
        (
            {"strata": {**FLOORS, "stale": 19}},
            "stratum stale: found 19 requests, wanted at least 20",
        ),
        ({"strata": {**FLOORS, "stale": 19}, "floors": {}}, "stratum stale: found 19 requests"),
        ({"strata": {}, "floors": {}}, "stratum after_last_run: found 0 requests"),
        ({"requests": 0}, "requests: found 0"),
        ({"requests": 999}, "requests: found 999, wanted the 1000 that were chosen"),
        ({"strata": dict(FLOORS)}, "requests: found 1000, wanted the 0 that were chosen"),
        ({"requests": None}, "requests: found nothing"),
        ({"strata": None}, "strata: found nothing"),
        ({"strata": [1]}, "strata: found [1]"),
        ({"mismatch_count": "0"}, "mismatch_count: found '0'"),
        ({"mismatch_count": -1}, "mismatch_count: found -1"),
        ({"max_probability_difference": None}, "max_probability_difference: found nothing"),
    ],
)
def test_a_replay_that_does_not_count_is_refused(
    case: Case, changes: dict[str, Any], said: str
) -> None:
    case.replay(**changes)
    assert said in refusals(case.judged())["replay"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "found no JSON"),
        (b"{", "found no JSON"),
        (b"\xff\xfe", "found no JSON"),
        (b"[" * 200_000, "found no JSON"),
        (b"[]", "found a list, wanted a JSON object"),
        (b"{}", "found evidence of None"),
    ],
)
def test_a_damaged_replay_is_refused(case: Case, content: bytes, said: str) -> None:
    (case.evidence / REPLAY_FILE).write_bytes(content)
    assert said in refusals(case.judged())["replay"]


@pytest.mark.parametrize(("stage", "code"), [("register", 0), ("shadow", 0), ("promote", 1)])
def test_the_command_says_and_keeps_the_verdict(case: Case, stage: str, code: int) -> None:
    case.up_to_date()
    (case.evidence / "load.json").unlink()
    done = case.call(stage, "--json")
    assert done.code == code, done.err
    kept = json.loads((case.evidence / f"gate-{stage}.json").read_text())
    assert done.json == kept
    assert kept["passed"] is (code == 0)
    assert kept["release"] == case.id
    assert all(set(finding) == {"check", "ok", "detail", "code"} for finding in kept["findings"])


def test_an_earlier_verdict_is_no_evidence(case: Case) -> None:
    case.up_to_date()
    first, second = (case.call("shadow", "--json").json for _ in range(2))
    assert first["passed"]
    assert second | {"made_at": ""} == first | {"made_at": ""}


def test_a_dry_run_writes_nothing(case: Case) -> None:
    case.up_to_date()
    before = sorted(case.evidence.iterdir())
    done = case.call("shadow", "--dry-run")
    assert done.code == 0
    assert done.out.splitlines()[-1] == f"PASS shadow {case.id}"
    assert sorted(case.evidence.iterdir()) == before


def test_a_refusal_is_exit_one_with_every_reason(case: Case) -> None:
    case.up_to_date()
    case.replayed(REVIEW)
    (case.evidence / "coverage.json").unlink()
    done = case.call("shadow")
    assert done.code == 1
    refused = [line for line in done.out.splitlines() if line.startswith("NO  ")]
    assert refused[0].startswith("NO  populated keys")
    assert refused[0].endswith(" [evidence_missing]")
    assert any(line.startswith("NO  replayed values: REVIEW VALUE") for line in refused)
    assert all(line.endswith("]") for line in refused)
    assert done.out.splitlines()[-1] == f"REFUSED shadow {case.id}"


def test_a_directory_that_is_no_release_is_wrong_use(case: Case, tmp_path: Path) -> None:
    case.release = tmp_path / "nowhere"
    done = case.call("register")
    assert done.code == 2
    assert "[release_unreadable]" in done.err


@pytest.mark.parametrize("text", ["card: 1", "[]", "{", "id: [1]\ndigests: abc"])
def test_a_damaged_release_yml_is_wrong_use(case: Case, text: str) -> None:
    (case.release / "release.yml").write_text(text)
    assert case.call("register").code == 2
