"""`proviso check`: its commands are the registered checks, one that this test adds included."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import pytest

from proviso.checks.evidence import Evidence, parse_evidence
from proviso.checks.options import AsOf, Records
from proviso.checks.registry import REGISTERED, Check, CheckContext, Option, Registration
from proviso.release.directory import read_release
from tests.program import Done, call

ROOT = Path(__file__).parents[3]
RELEASE = ROOT / "model_repository" / "2.5.0"
AT = 1_700_000_000_000_000


@dataclass(frozen=True)
class NullRateOptions:
    record: Records
    as_of: AsOf = None
    most: Annotated[float, Option("Largest share that passes.", min=0, max=1)] = 0.5
    first: Annotated[int | None, Option("Only the first lines.", min=1)] = None


def _measure(context: CheckContext, options: NullRateOptions) -> Evidence:
    lines = [line for path in options.record for line in path.read_text().split()][: options.first]
    rate = lines.count("NULL") / len(lines)
    reasons = () if rate <= options.most else (f"found {rate:g}, wanted at most {options.most:g}",)
    at = AT if options.as_of is None else options.as_of
    return Evidence("null_rate", context.release_id, AT, at, reasons, figures={"null_rate": rate})


CHECK = Check(name="null_rate", options=NullRateOptions, measure=_measure, needs_release=False)


@pytest.fixture(autouse=True)
def _registered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one line that adds a check; commands run in an empty directory."""
    monkeypatch.setitem(REGISTERED, "null_rate", Registration(__name__, "Measure nulls."))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")


@pytest.fixture
def record(tmp_path: Path) -> Path:
    path = tmp_path / "record"
    path.write_text("OK NULL OK NULL NULL")
    return path


def null_rate(*words: str | Path) -> Done:
    return call("--contracts", ROOT / "contracts", "check", "null_rate", *words)


def test_the_group_lists_every_registered_check_with_one_line() -> None:
    listed = call("check", "--help").out
    for name, registration in REGISTERED.items():
        [line] = [line for line in listed.splitlines() if line.startswith(f"│ {name} ")]
        assert registration.measures in line


def test_the_options_of_a_check_are_those_of_its_command() -> None:
    shown = call("check", "null_rate", "--help").out
    assert "Usage: proviso check null_rate " in shown
    assert "Prediction record, JSONL (repeatable)." in shown
    assert "[default: 0.5]" in shown
    for option in ("--record", "--as-of", "--most", "--first", "--release", "--evidence", "--json"):
        assert f" {option} " in shown


def test_a_check_prints_its_evidence_and_exits_by_it(record: Path) -> None:
    done = null_rate("--record", record, "--record", record, "--json")
    assert done.code == 1
    assert done.json["figures"] == {"null_rate": 0.6}
    assert done.json["reasons"] == ["found 0.6, wanted at most 0.5"]
    assert null_rate("--record", record, "--most", "0.7").code == 0
    few = null_rate("--record", record, "--first", "1", "--as-of", "2026-05-31", "--json")
    assert (few.code, few.json["as_of"]) == (0, "2026-05-31T00:00:00Z")
    assert few.json["figures"] == {"null_rate": 0.0}


def test_evidence_is_kept_for_a_release_only(record: Path, tmp_path: Path) -> None:
    assert null_rate("--record", record).err == ""
    assert not (tmp_path / "evidence").exists()
    release = read_release(RELEASE)
    done = null_rate("--record", record, "--release", RELEASE, "--json")
    path = Path("evidence") / release.id / "null_rate.json"
    assert done.err.splitlines()[-1] == f"evidence: {path}"
    assert parse_evidence(path, path.read_bytes()).as_dict() == done.json
    elsewhere = ("--release", RELEASE, "--evidence", tmp_path / "kept")
    null_rate("--record", record, *elsewhere)
    assert (tmp_path / "kept" / "null_rate.json").is_file()


@pytest.mark.parametrize(
    ("words", "code", "path"),
    [
        ([], "usage", "proviso check null_rate"),
        (["--record", "r", "--most", "2"], "usage", "proviso check null_rate"),
        (["--record", "r", "--as-of", "soon"], "invalid_moment", "--as-of"),
        (["--record", "r", "--evidence", "e"], "no_release", "--release"),
        (["--record", "nowhere"], "file_not_found", "nowhere"),
    ],
)
def test_wrong_use_of_a_check(words: list[str], code: str, path: str) -> None:
    done = null_rate(*words, "--json")
    assert (done.code, done.out) == (2, "")
    [error] = json.loads(done.err.splitlines()[-1])["errors"]
    assert (error["code"], error["path"]) == (code, path)
