"""No service uses a feature from the day of its retirement on; both validators say so."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from proviso.checks.lab import validate
from proviso.contracts.loading import CONTRACT_FILE
from tests.parcel_project import write_project

SCRIPT = Path(__file__).parents[2] / "validate_feature_serving_lab.py"
TODAY = datetime.now(UTC).date()
"""The validator without dependencies knows no other day."""

YESTERDAY, TOMORROW = TODAY - timedelta(days=1), TODAY + timedelta(days=1)
CONSUMED = "features[courier_zone_daily:visits_30d]"


def said(project: Path) -> tuple[list[str], list[str]]:
    """Problems by `proviso validate`, and by the validator without dependencies."""
    command = [sys.executable, "-I", "-S", str(SCRIPT), str(project)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    plain = done.stderr.splitlines()
    assert done.returncode == (1 if plain else 0)
    return [str(problem) for problem in validate(project, TODAY)], plain


def project_with(
    directory: Path, *, of_view: str = "{status: active}", of_feature: str = ""
) -> Path:
    """The project of `proviso init` with deprecations of a view, and of one of its features."""
    write_project(directory)
    path = directory / CONTRACT_FILE
    before, view, after = path.read_text().partition("  - name: courier_zone_daily\n")
    after = after.replace("deprecation: {status: active}", f"deprecation: {of_view}", 1)
    if of_feature:
        name = "      - name: visits_30d\n"
        assert after.count(name) == 1
        after = after.replace(name, f"{name}        deprecation: {of_feature}\n")
    path.write_text(before + view + after)
    return directory


@pytest.mark.parametrize(
    "end",
    [
        "{status: retired}",
        f"{{status: retired, retire_on: {TOMORROW}}}",
        f"{{status: deprecated, retire_on: {TODAY}}}",
        f"{{status: deprecated, retire_on: {YESTERDAY}}}",
        f"{{status: active, retire_on: {TODAY}}}",
    ],
)
def test_a_feature_past_its_retirement_fails_whoever_validates(tmp_path: Path, end: str) -> None:
    problems, plain = said(project_with(tmp_path / "p", of_feature=end))
    assert len(problems) == len(plain) == 1
    assert CONSUMED in problems[0]
    assert "visits_30d, which is retired" in plain[0]


@pytest.mark.parametrize(
    "end", ["{status: retired}", f"{{status: deprecated, retire_on: {TODAY}}}"]
)
def test_a_retired_view_takes_all_its_features_along(tmp_path: Path, end: str) -> None:
    for found in said(project_with(tmp_path / "p", of_view=end)):
        assert len(found) == 3
        assert all("courier_zone_daily:" in problem for problem in found)


def test_until_its_day_a_deprecated_feature_may_be_used(tmp_path: Path) -> None:
    end = f"{{status: deprecated, retire_on: {TOMORROW}}}"
    project = project_with(tmp_path / "p", of_view=end, of_feature=end)
    assert said(project) == ([], [])
    assert len(validate(project, TOMORROW)) == 3


def test_a_feature_may_state_another_end_than_its_view(tmp_path: Path) -> None:
    end, longer = f"{{status: deprecated, retire_on: {TODAY}}}", "{status: active}"
    for found in said(project_with(tmp_path / "p", of_view=end, of_feature=longer)):
        assert len(found) == 2
        assert not any("visits_30d" in problem for problem in found)


@pytest.mark.parametrize(
    "stated", ["{status: deprecated}", "{status: deprecated, retire_on: soon}"]
)
def test_a_deprecation_states_its_day(tmp_path: Path, stated: str) -> None:
    for found in said(project_with(tmp_path / "p", of_feature=stated)):
        assert len(found) == 1
        assert "visits_30d].deprecation" in found[0]


def test_a_feature_that_no_service_uses_may_be_retired(tmp_path: Path) -> None:
    project = project_with(tmp_path / "p", of_feature="{status: retired}")
    path = project / CONTRACT_FILE
    path.write_text(path.read_text().replace("      - courier_zone_daily:visits_30d\n", ""))
    assert said(project)[0] == []
