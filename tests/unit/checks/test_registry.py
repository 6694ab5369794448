"""The registry of checks, and a check that this test adds: a module, a registration, a test."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import pytest

from proviso.checks.evidence import Evidence, parse_evidence
from proviso.checks.options import Records
from proviso.checks.registry import (
    REGISTERED,
    Check,
    CheckContext,
    FigureBound,
    Registration,
    Stage,
    all_checks,
    check_measuring,
    check_named,
    checks_of_stage,
)
from proviso.contracts.base import InputError
from proviso.contracts.bounds import Bound
from proviso.contracts.loading import load_contract, load_plan
from proviso.contracts.metrics import METRICS
from proviso.contracts.plan import Plan
from proviso.release.directory import read_release
from tests.gate_case import NOW, Case, codes, refusals
from tests.program import call


@dataclass(frozen=True)
class NullRateOptions:
    record: Records


def _measure(context: CheckContext, options: NullRateOptions) -> Evidence:
    texts = [path.read_text() for path in options.record]
    lines = [json.loads(line) for text in texts for line in text.splitlines()]
    statuses = [f["status"] for line in lines for f in line["features"].values()]
    rate = statuses.count("NULL") / len(statuses)
    return Evidence("null_rate", context.release_id, NOW, NOW, (), figures={"null_rate": rate})


def _bounds(_plan: Plan) -> tuple[FigureBound, ...]:
    return (FigureBound("null_rate", Bound.at_most(0.5)),)


CHECK = Check(
    name="null_rate",
    options=NullRateOptions,
    measure=_measure,
    figures=("null_rate",),
    stage="shadow",
    finding="null rate",
    bounds=_bounds,
)


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one line that adds a check."""
    monkeypatch.setitem(REGISTERED, "null_rate", Registration(__name__, "Measure nulls."))


@pytest.fixture
def case(tmp_path: Path) -> Case:
    return Case(tmp_path)


def context_of(case: Case) -> CheckContext:
    contract, plan = load_contract(case.contracts), load_plan(case.contracts)
    return CheckContext(contract, plan, read_release(case.release), case.evidence, print)


def record(directory: Path, *statuses: str) -> Path:
    path = directory / "record.jsonl"
    path.write_text(
        "".join(json.dumps({"features": {"f": {"status": s}}}) + "\n" for s in statuses)
    )
    return path


@pytest.mark.usefixtures("registered")
def test_the_gate_demands_the_evidence_of_a_registered_check(case: Case) -> None:
    assert case.judged("register").passed
    assert codes(case.judged("shadow")) == {"null rate": "evidence_missing"}


@pytest.mark.usefixtures("registered")
def test_a_registered_check_runs_keeps_evidence_and_is_judged(case: Case, tmp_path: Path) -> None:
    given = {"record": (record(tmp_path, "OK", "OK", "NULL"),), "store": "not an option of it"}
    evidence = check_named("null_rate").run(context_of(case), given)
    path = case.evidence / "null_rate.json"
    assert parse_evidence(path, path.read_bytes()) == evidence
    assert evidence.figures == {"null_rate": 1 / 3}
    verdict = case.judged()
    assert verdict.passed
    assert "null_rate.json" in verdict.evidence
    [finding] = [f for f in verdict.findings if f.check == "null rate"]
    assert finding.detail.startswith("null_rate 0.333333, as of ")

    given["record"] = (record(tmp_path, "NULL", "NULL", "OK"),)
    check_named("null_rate").run(context_of(case), given)
    assert codes(case.judged()) == {"null rate": "figure_out_of_bounds"}
    assert refusals(case.judged())["null rate"] == "null_rate: found 0.666667, wanted at most 0.5"


@pytest.mark.usefixtures("registered")
def test_a_registered_check_is_a_command_with_the_options_of_its_dataclass(
    case: Case, tmp_path: Path
) -> None:
    case.up_to_date()
    command = ("--contracts", case.contracts, "check", "null_rate", "--release", case.release)
    lines = ("--record", record(tmp_path, "OK", "NULL"), "--evidence", case.evidence)
    done = call(*command, *lines, "--json")
    assert done.code == 0, done.err
    assert done.json["figures"] == {"null_rate": 0.5}
    assert json.loads((case.evidence / "null_rate.json").read_text()) == done.json
    assert call(*command).code == 2
    assert "Measure nulls." in call("check", "--help").out


@pytest.mark.usefixtures("registered")
def test_a_required_option_must_be_given(case: Case) -> None:
    with pytest.raises(InputError) as raised:
        check_named("null_rate").run(context_of(case), {"record": None})
    [problem] = raised.value.problems
    assert (problem.path, problem.code) == ("--record", "option_missing")


def test_a_check_that_needs_a_release_is_not_run_without_one(case: Case, tmp_path: Path) -> None:
    context = context_of(case)
    without = CheckContext(context.contract, context.plan, None, None, print)
    with pytest.raises(InputError) as raised:
        check_named("drift").run(without, {"record": (record(tmp_path),)})
    assert raised.value.problems[0].code == "no_release"


def test_an_check_unknown_is_named_with_those_there_are() -> None:
    with pytest.raises(InputError) as raised:
        check_named("nulls")
    [problem] = raised.value.problems
    assert problem.code == "check_unknown"
    assert problem.wanted == f"one of {', '.join(REGISTERED)}"
    assert problem.found == "nulls"


def test_a_module_must_define_the_check_of_its_registration(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(REGISTERED, "other", Registration(__name__, "Another name."))
    with pytest.raises(TypeError, match="found no CHECK named other"):
        check_named("other")


def test_every_registered_check_has_what_the_gate_shows() -> None:
    for check in all_checks():
        assert check.finding
        assert REGISTERED[check.name].measures.endswith(".")
        assert set(check.figures) <= set(METRICS), check.name


@pytest.mark.usefixtures("registered")
def test_checks_come_with_the_stage_that_needs_them() -> None:
    order = list(REGISTERED)
    by_stage = {
        stage: [check.name for check in checks_of_stage(stage)] for stage in get_args(Stage)
    }
    assert "null_rate" in by_stage["shadow"]
    for stage, names in by_stage.items():
        assert {check_named(name).stage for name in names} <= {stage}
        assert names == sorted(names, key=order.index)
    needed = [name for names in by_stage.values() for name in names]
    assert sorted(needed) == sorted(c.name for c in all_checks() if c.stage is not None)


@pytest.mark.usefixtures("registered")
def test_a_figure_has_one_check() -> None:
    figures = [figure for check in all_checks() for figure in check.figures]
    assert len(figures) == len(set(figures))
    for check in all_checks():
        assert {check_measuring(figure) for figure in check.figures} <= {check}
    assert check_measuring("null_rate") is CHECK
    assert check_measuring("measured_by_no_check") is None
