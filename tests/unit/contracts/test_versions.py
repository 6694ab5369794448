"""Version 1 and 2 of the contract: one meaning, and problems in the words of the file."""

from __future__ import annotations

from typing import Any

from proviso.checks.lab import Lab, judge
from proviso.contracts.contract import Contract
from proviso.contracts.loading import CONTRACT_FILE, parse_contract, parse_model
from proviso.contracts.upgrade import Version1, upgraded
from tests.unit.contracts.edits import TODAY, contract, good


def version_2() -> dict[str, Any]:
    data = good().contract
    return upgraded(data, Version1.model_validate({"source": data["source"]}).source)


def test_both_versions_mean_the_same() -> None:
    first, _ = parse_contract(CONTRACT_FILE, good().contract)
    second = parse_model(CONTRACT_FILE, version_2(), Contract)
    assert first == second
    assert [*map(first.schema_of, first.feature_views)] == [
        *map(second.schema_of, second.feature_views)
    ]


def test_the_schema_of_a_version_1_view_stays() -> None:
    made, _ = parse_contract(CONTRACT_FILE, good().contract)
    assert [*map(made.schema_of, made.feature_views)] == ["f3f4c868488c78b3", "c34be8270b5877fe"]


def test_a_version_2_file_passes() -> None:
    lab = good()
    checks = judge(Lab(version_2(), lab.plan, lab.payloads, lab.skew_cases), TODAY)
    assert [problem for check in checks for problem in check.problems] == []


def test_a_count_of_known_labels_says_so_in_version_2() -> None:
    view = version_2()["feature_views"][0]
    aggregates = {a["name"]: (a.get("where"), a.get("dated")) for a in view["aggregates"]}
    assert aggregates["judged_7d"] == ("is_late is not null", "known")
    assert aggregates["late_7d"] == ("is_late", "known")


def test_version_1_has_no_keys_of_version_2() -> None:
    lab = contract("time_zone", "Europe/Madrid")(good())
    problems = [p for check in judge(lab, TODAY) for p in check.problems]
    assert [(p.code, p.path) for p in problems] == [("key_unknown", f"{CONTRACT_FILE}: time_zone")]


def test_the_source_of_version_1_is_named_as_the_file_names_it() -> None:
    lab = contract("source/id", "courier_id")(good())
    problems = [p for check in judge(lab, TODAY) for p in check.problems]
    assert {p.path for p in problems} == {f"{CONTRACT_FILE}: source"}


def test_observations_are_the_rows_of_the_source() -> None:
    made, _ = parse_contract(CONTRACT_FILE, good().contract)
    observations = made.observations_of()
    assert observations.rows is made.source_of(made.feature_views[0])
    assert (observations.label.column, observations.label.delay) == ("is_late", 0)
    assert list(observations.columns) == ["fee", "parcels", "distance_km"]
    assert made.key_columns(observations.rows) == {
        "courier_id": "courier_id",
        "zone_id": "zone_id",
    }
