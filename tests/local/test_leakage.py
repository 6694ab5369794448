"""`proviso leakage` as a user types it: on a small project, and the whole demonstration."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from proviso.cli.main import app_main
from proviso.contracts import loading
from proviso.contracts.loading import CONTRACT_FILE
from proviso.contracts.starter import write_template
from tests.parcel_project import project_text

TEMPLATE = Path(loading.__file__).parent / "template"
DAYS = (
    "--train-start", "2026-05-18", "--train-end", "2026-05-20",
    "--test-start", "2026-05-28", "--test-end", "2026-05-31", "--label-delay", "PT0S",
)  # fmt: skip
Command = Callable[..., int]


@pytest.fixture
def proviso(monkeypatch: pytest.MonkeyPatch) -> Command:
    """Runs the program in this process; returns its exit code."""

    def run(contracts: Path, *arguments: str | Path) -> int:
        words = ["proviso", "--contracts", str(contracts), *map(str, arguments)]
        monkeypatch.setattr(sys, "argv", words)
        with pytest.raises(SystemExit) as ended:
            app_main()
        return int(ended.value.code or 0)

    return run


def _joins(data: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {one["join"]: one for one in data["joins"]}


def test_a_small_project_from_command_to_page(
    proviso: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Joins, both columns of the exercise, and files that say what was printed."""
    out, contracts = tmp_path / "leakage", tmp_path / "contracts"
    write_template(contracts)
    (contracts / CONTRACT_FILE).write_text(project_text(CONTRACT_FILE))
    words = ["leakage", *DAYS, "--source-delays", "PT0M,PT6H", "--out", out, "--json"]
    assert proviso(contracts, *words) == 0
    printed = json.loads(capsys.readouterr().out)
    stored = json.loads((out / "leakage.json").read_text())
    assert stored == {name: value for name, value in printed.items() if name != "page"}
    joins = _joins(stored)
    naive, delayed, exact = (joins[n] for n in ("naive", "source_delay only", "exact"))
    assert naive["leaked"]["rows"] > delayed["leaked"]["rows"] > exact["leaked"]["rows"] == 0
    assert naive["leaked"]["wrong"] > 0
    assert exact["claimed"] == exact["served"]
    assert sorted(path.name for path in out.iterdir()) == ["leakage.html", "leakage.json"]
    page = (out / "leakage.html").read_text()
    assert page.count('class="levels"') == 3
    assert "Raising source_delay" in page
    assert "<script" not in page

    first, raised = stored["source_delays"]
    assert first["rule_alone"] == first["published_again"]
    assert first["rule_alone"]["changed_values"] == 0
    for column in ("rule_alone", "published_again"):
        assert 0 < raised[column]["changed_values"] <= raised["training_values"]
    assert raised["rule_alone"] != raised["published_again"]


def test_some_of_the_days_are_not_enough(
    proviso: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert proviso(TEMPLATE, "leakage", *DAYS[:4], "--out", tmp_path / "out") == 2
    assert "found 2 of four, wanted all four days or none" in capsys.readouterr().err


def test_a_delay_that_is_none_is_wrong_use(
    proviso: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["leakage", "--source-delays", "PT0M,soon", "--out", tmp_path / "out"]
    assert proviso(TEMPLATE, *words) == 2
    assert "--source-delays: found 'soon'" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.long
def test_the_demonstration_shows_a_real_gap(
    proviso: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By the example's own files: what the naive join claims it does not get."""
    assert proviso(Path("contracts"), "leakage", "--out", tmp_path / "out", "--json") == 0
    joins = _joins(json.loads(capsys.readouterr().out))
    naive, exact = joins["naive"], joins["exact"]
    assert naive["gap"]["average_precision"] > GAP
    assert naive["served"]["average_precision"] < exact["served"]["average_precision"] - GAP
    assert naive["leaked"]["rows"] > 0.9 * naive["training_rows"]
    assert set(exact["gap"].values()) == {0.0}
    assert exact["leaked"] == {"rows": 0, "values": 0, "wrong": 0}


GAP = 0.05
"""Of average precision."""
