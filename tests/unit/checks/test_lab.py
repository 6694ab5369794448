"""`proviso validate` and the validator without dependencies, on the files as they lie."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest

from proviso.checks.lab import ALL_PASSED, CHECKS, checks, judge, validate
from proviso.contracts.base import InputError
from proviso.contracts.loading import (
    CONTRACT_FILE,
    PAYLOADS_FILE,
    PLAN_FILE,
    SKEW_FILE,
    load_contract,
    load_plan,
    parse_yaml,
)
from proviso.contracts.section import runtime_service
from proviso.contracts.starter import template_files, write_template
from tests.parcel_project import write_project
from tests.program import Done, call
from tests.unit.contracts.edits import TODAY, good
from tests.validate_feature_serving_lab import Invalid, read_yaml

ROOT = Path(__file__).parents[3]
SCRIPT = ROOT / "tests" / "validate_feature_serving_lab.py"
FIVE_LINES = [*(f"PASS {check}" for check in CHECKS), ALL_PASSED]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project of `proviso init` that its owners have completed."""
    return write_project(tmp_path / "project")


def proviso(*arguments: str, directory: Path) -> Done:
    """The program on the contract files of a directory."""
    return call("--contracts", directory, *arguments)


def plain(directory: Path) -> subprocess.CompletedProcess[str]:
    """The dependency-free validator, without this environment's packages."""
    return subprocess.run(
        [sys.executable, "-I", "-S", str(SCRIPT), str(directory)],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("example", [True, False])
def test_both_validators_print_the_five_lines(project: Path, example: bool) -> None:
    directory = ROOT / "contracts" if example else project
    done = proviso("validate", directory=directory)
    assert (done.code, done.out.splitlines()) == (0, FIVE_LINES)
    found = plain(directory)
    assert (found.returncode, found.stdout.splitlines(), found.stderr) == (0, FIVE_LINES, "")


def test_a_fresh_project_passes_and_says_what_it_lacks(tmp_path: Path) -> None:
    write_template(tmp_path / "fresh")
    done = proviso("validate", directory=tmp_path / "fresh")
    assert (done.code, done.out.splitlines()) == (0, FIVE_LINES)
    warned = [warning.code for check in checks(tmp_path / "fresh") for warning in check.warnings]
    assert warned == ["evidence_pending"] * 2 + ["owner_signature_missing"] * 4


def test_a_signed_project_without_its_evidence_fails(project: Path) -> None:
    for name in (PAYLOADS_FILE, SKEW_FILE):
        (project / name).unlink()
    assert [problem.code for problem in validate(project, TODAY)] == ["file_not_found"] * 2


@pytest.mark.parametrize("half", ["signed_off_by: null, ", ""])
def test_half_a_sign_off_is_none(project: Path, half: str) -> None:
    path = project / PLAN_FILE
    text = path.read_text().replace("signed_off_by: data@parcels.example, ", half, 1)
    path.write_text(text)
    assert [problem.code for problem in validate(project, TODAY)] == ["owner_signature_missing"]


def test_a_role_that_says_nothing_of_its_sign_off_has_none(project: Path) -> None:
    path = project / PLAN_FILE
    text = path.read_text().replace(", signed_off_by: null}", "}")
    path.write_text(re.sub(r", signed_off_by: \S+, signed_off_on: \S+\}", "}", text, count=1))
    assert [problem.code for problem in validate(project, TODAY)] == ["owner_signature_missing"]


def test_the_unbroken_project_passes_and_makes_a_service() -> None:
    assert [check.passed for check in judge(good(), TODAY)] == [True] * 4
    template = ROOT / "proviso" / "contracts" / "template"
    service = runtime_service(load_contract(template), load_plan(template))
    assert {entity.dtype for entity in service.entities} == {"int64"}
    assert max(len(view.entities) for view in service.views) == 2


def test_a_failing_check_is_named_and_its_problems_are_raised(project: Path) -> None:
    plan = project / PLAN_FILE
    plan.write_text(plan.read_text().replace("steps: [10, 50, 100]", "steps: [50, 10, 100]"))
    done = proviso("validate", directory=project)
    assert done.code == 1
    assert done.out.splitlines() == [*FIVE_LINES[:3], f"FAIL {CHECKS[3]}"]
    [line] = done.err.splitlines()
    assert line.startswith(f"{PLAN_FILE}: canary.steps: ")


def test_json_carries_every_problem(project: Path) -> None:
    (project / PAYLOADS_FILE).write_text("{}\n")
    said = proviso("validate", "--json", directory=project).json
    assert said["passed"] is False
    assert [check["passed"] for check in said["checks"]] == [True, False, True, True]
    assert {problem["found"] for problem in said["checks"][1]["problems"]} == {"nothing"}


def test_without_a_contract_the_rest_is_not_judged(project: Path) -> None:
    (project / CONTRACT_FILE).write_text("version: [\n")
    found = checks(project, TODAY)
    assert [str(check).rpartition(" ")[0] for check in found] == ["FAIL", *["NOT JUDGED"] * 3]
    assert len(validate(project, TODAY)) == 1


def test_all_problems_of_all_files_are_found_at_once(project: Path) -> None:
    for name in (CONTRACT_FILE, PLAN_FILE):
        path = project / name
        path.write_text(path.read_text().replace("version: 1", "version: 3"))
    (project / PAYLOADS_FILE).write_text("{\n[]\n")
    (project / SKEW_FILE).unlink()
    assert [len(check.problems) for check in checks(project, TODAY)] == [1, 2, 1, 1]


def test_no_such_directory_is_wrong_use(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such directory"):
        validate(tmp_path / "nowhere")


def test_an_approval_ends_on_its_day(project: Path) -> None:
    path = project / CONTRACT_FILE
    path.write_text(path.read_text().replace("policy: nan,", "policy: nan, expires: 2027-01-01,"))
    assert validate(project, date(2026, 12, 31)) == []
    assert len(validate(project, date(2027, 1, 1))) == 3


# --- init -----------------------------------------------------------------------------------


def test_init_writes_a_project_that_passes(tmp_path: Path) -> None:
    done = proviso("init", str(tmp_path / "new"), directory=tmp_path)
    assert done.code == 0
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == template_files()
    assert len(done.out.splitlines()) == len(template_files())
    assert validate(tmp_path / "new") == []


def test_init_refuses_a_directory_with_something_in_it(project: Path) -> None:
    before = {path: path.read_bytes() for path in project.iterdir()}
    done = proviso("init", str(project), directory=project)
    assert done.code == 2
    assert "wanted an empty or new directory" in done.err
    assert {path: path.read_bytes() for path in project.iterdir()} == before


def test_init_dry_run_writes_nothing(tmp_path: Path) -> None:
    done = proviso("init", str(tmp_path / "new"), "--dry-run", directory=tmp_path)
    assert (done.code, done.out.count("would write")) == (0, len(template_files()))
    assert not (tmp_path / "new").exists()


# --- the validator without dependencies -----------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [*ROOT.glob("contracts/*.yml"), *ROOT.glob("proviso/contracts/template/*.yml")],
    ids=lambda path: f"{path.parent.name}/{path.name}",
)
def test_both_yaml_readers_read_the_same(path: Path) -> None:
    text = path.read_text()
    known = json.loads(json.dumps(parse_yaml(path.name, text), default=str))
    assert json.loads(json.dumps(read_yaml(text))) == known


def test_the_plain_reader_knows_brackets_over_lines_and_comments() -> None:
    text = "a:  # words\n  - {b: 'x # y',\n     c: [1, 2.5, ~]}\n  -\n    d: \"it's\"\ne: on\n"
    expected = {"a": [{"b": "x # y", "c": [1, 2.5, None]}, {"d": "it's"}], "e": "on"}
    assert read_yaml(text) == expected


@pytest.mark.parametrize(
    "text", ["a: [1", "a: {b}", "a: &x 1", "a: 1\na: 2", "a: 1\n  b: 2", "\ta: 1"]
)
def test_the_plain_reader_refuses_what_it_does_not_know(text: str) -> None:
    with pytest.raises(Invalid):
        read_yaml(text)


def replaced(file: str, old: str, new: str) -> Callable[[Path], None]:
    def change(project: Path) -> None:
        path = project / file
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new, 1))

    return change


BROKEN: dict[str, tuple[Callable[[Path], None], int, str]] = {
    "source delay missing": (
        replaced(CONTRACT_FILE, "    source_delay: PT15M\n", ""),
        0,
        (
            "feature_store_contract.yml: feature_views[courier_load_6h].source_delay: found "
            "nothing, "
            "wanted a value (it is required)"
        ),
    ),
    "ttl beyond lookback": (
        replaced(CONTRACT_FILE, "online_ttl: PT8H", "online_ttl: P8D"),
        0,
        (
            "feature_store_contract.yml: feature_views[courier_load_6h].online_ttl: found P8D, "
            "wanted "
            "less than temporal_join_lookback P7D (past the lookback a stale row cannot be "
            "told from "
            "a missing key)"
        ),
    ),
    "feature unknown": (
        replaced(CONTRACT_FILE, "- courier_zone_daily:visits_30d", "- courier_zone_daily:visits"),
        0,
        (
            "feature_store_contract.yml: feature_services[late_delivery_service_v1].features: "
            "found "
            "courier_zone_daily:visits, wanted a feature of the contract"
        ),
    ),
    "payload without a feature": (
        replaced(PAYLOADS_FILE, '"fees_24h": 187.4, ', ""),
        1,
        (
            "online_feature_payloads.jsonl: line 1 values.fees_24h: found nothing, wanted "
            "exactly the "
            "features of courier_load_6h"
        ),
    ),
    "verdict that does not follow": (
        replaced(SKEW_FILE, "187.4,187.4", "187.4,188.4"),
        2,
        (
            "skew_test_cases.csv: row 2 verdict: found PASS, wanted REVIEW (what the row's own "
            "values, moments and tolerance give)"
        ),
    ),
    "canary that falls": (
        replaced(PLAN_FILE, "[10, 50, 100]", "[50, 10, 100]"),
        3,
        (
            "serving_release_plan.yml: canary.steps: found [50, 10, 100], wanted at least three, "
            "strictly rising to 100"
        ),
    ),
    "rollback without triggers": (
        replaced(PLAN_FILE, "covers: errors", "covers: latency"),
        3,
        (
            "serving_release_plan.yml: rollback.triggers: found none that covers errors, "
            "wanted one "
            "(operators must know when to take the model back)"
        ),
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_the_plain_validator_finds_it_too(name: str, project: Path) -> None:
    change, check, message = BROKEN[name]
    change(project)
    found = plain(project)
    assert found.returncode == 1
    wanted = [f"{'FAIL' if at == check else 'PASS'} {text}" for at, text in enumerate(CHECKS)]
    assert found.stdout.splitlines() == wanted
    assert found.stderr.splitlines() == [message]


def test_the_plain_validator_runs_from_the_root_without_arguments() -> None:
    found = subprocess.run(
        [sys.executable, "tests/validate_feature_serving_lab.py"],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert found.stdout.splitlines() == FIVE_LINES


def test_the_plain_validator_names_a_missing_file(project: Path) -> None:
    shutil.rmtree(project)
    project.mkdir()
    found = plain(project)
    assert found.returncode == 1
    assert found.stderr.splitlines()[0].startswith("feature_store_contract.yml: found ")
