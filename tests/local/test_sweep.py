"""The sweep with processes: what perf_analyzer says, what becomes of its failures, a short run."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path

import pytest

from proviso.bench import sweep_analyzer as analyzer
from proviso.bench.sweep_analyzer import Load, NoFigures, measure, parsed
from proviso.bench.sweep_report import write_report
from proviso.contracts.base import InputError
from proviso.local import triton
from proviso.local.processes import Stack
from tests.local.browser import Browser, needs_browser
from tests.program import call
from tests.sweep_data import AT_ONCE, OFF, curve, figures, found

ROOT = Path(__file__).parents[2]
REPORT = """Concurrency,Inferences/Second,Client Send,Network+Server Send/Recv,Server Queue,\
Server Compute Input,Server Compute Infer,Server Compute Output,Client Recv,p50 latency,\
p90 latency,p95 latency,p99 latency
4,3402.01,2,563,122,19,327,134,0,1018,1552,1941,4568
"""
SAID = """  Server: 
    Inference count: 24985
    Execution count: 15815
"""  # noqa: W291 as it is printed
NEVER = 60


def silent(_message: str) -> None:
    return


def test_a_report_becomes_figures_in_milliseconds() -> None:
    figures_ = parsed(REPORT, SAID)
    assert figures_.throughput == 3402.01
    assert (figures_.p50_ms, figures_.p95_ms, figures_.p99_ms) == (1.018, 1.941, 4.568)
    assert figures_.batch == pytest.approx(1.5798, abs=1e-4)
    assert figures_.server_ms == {"queue": 0.122, "input": 0.019, "infer": 0.327, "output": 0.134}


@pytest.mark.parametrize(
    ("report", "said", "why"),
    [
        ("", SAID, "cannot be read"),
        (REPORT.splitlines()[0], SAID, "cannot be read"),
        (REPORT.replace("3402.01", "many"), SAID, "cannot be read"),
        (REPORT.replace("p95 latency", "p95"), SAID, "cannot be read"),
        (REPORT.replace("3402.01", "0"), SAID, "no inference"),
        (REPORT, "", "no statistics"),
    ],
)
def test_a_report_without_figures_is_none(report: str, said: str, why: str) -> None:
    with pytest.raises(NoFigures, match=why):
        parsed(report, said)


def program(home: Path, body: str) -> Path:
    """A home whose perf_analyzer is a few lines of shell; REPORT_PATH is its last argument."""
    path = home / "bin" / "perf_analyzer"
    path.parent.mkdir(parents=True)
    path.write_text(f'#!/bin/sh\nreport="${{@: -1}}"\n{body}\n'.replace("/bin/sh", "/bin/bash"))
    path.chmod(0o755)
    (home / "report.csv").write_text(REPORT)
    (home / "said").write_text(SAID)
    return home


def load(tmp_path: Path) -> Load:
    return Load("127.0.0.1:1", "tiny", tmp_path / "inputs.json", 4, 0.3)


def test_what_fails_is_tried_again_and_then_measured(tmp_path: Path) -> None:
    works = 'cp "$here/report.csv" "$report"; cat "$here/said"'
    body = f'here=$(dirname "$0")/..; test -f "$here/once" && {{ {works}; exit 0; }}'
    home = program(tmp_path, f'{body}; touch "$here/once"; echo "rejected" >&2; exit 99')
    lines: list[str] = []
    assert measure(load(tmp_path), lines.append, home).throughput == 3402.01
    assert lines == ["concurrency 4: exit 99: rejected (attempt 1)"]


@pytest.mark.parametrize(
    ("body", "why"), [("echo no; exit 99", "exit 99: no"), ("exit 0", "no report")]
)
def test_what_goes_on_failing_comes_to_nothing(tmp_path: Path, body: str, why: str) -> None:
    lines: list[str] = []
    with pytest.raises(NoFigures, match=why):
        measure(load(tmp_path), lines.append, program(tmp_path, body))
    assert len(lines) == analyzer.ATTEMPTS


def test_what_never_ends_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(analyzer, "_ROOM", 0.2)
    monkeypatch.setattr(analyzer, "ATTEMPTS", 1)
    started = time.monotonic()
    with pytest.raises(NoFigures, match="nothing after"):
        measure(load(tmp_path), silent, program(tmp_path, f"exec sleep {NEVER}"))
    assert time.monotonic() - started < NEVER / 2


def test_without_perf_analyzer_it_is_said_how_it_comes_here(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="scripts/setup-perf") as caught:
        analyzer.check_home(tmp_path)
    assert [problem.code for problem in caught.value.problems] == ["program_missing"]


@needs_browser
def test_the_page_can_be_read_and_loads_nothing(browser: Browser, tmp_path: Path) -> None:
    curves = [curve(s, [figures(900, 5)] * 3, [figures(2000, 30)] * 3) for s in (OFF, AT_ONCE)]
    write_report(found(*curves), tmp_path)
    page = tmp_path / "sweep.html"
    assert browser.loaded(page) == []
    assert browser.log("browser") == []
    assert "left for the predictor" in browser.visible_text("main")
    browser.show(page, 400, "light")
    assert browser.ask("document.documentElement.scrollWidth") <= 400
    assert browser.smallest_text() >= 11


OPTIONS = ("--rounds", "1", "--seconds", "0.6", "--concurrency", "1,16", "--json")


@pytest.fixture
def perf(monkeypatch: pytest.MonkeyPatch) -> None:
    """perf_analyzer is here, and so is the release that the plan names."""
    subprocess.run([ROOT / "scripts" / "setup-perf"], check=True, timeout=300)
    monkeypatch.chdir(ROOT)


@pytest.mark.long
@pytest.mark.usefixtures("perf")
def test_a_short_sweep_measures_two_settings_of_a_real_predictor(tmp_path: Path) -> None:
    done = call("bench", "sweep", "--delay-us", "0", "--out", tmp_path, *OPTIONS)
    assert done.code == 0, done.err
    names = [one["name"] for one in done.json["predictors"]]
    assert names == ["embedded: batching off", "embedded: batching on, delay 0 us"]
    off, on = ([p["rounds"][0] for p in one["points"]] for one in done.json["predictors"])
    assert all(one["throughput"] > 10 for one in (*off, *on))
    assert off[1]["batch"] == 1
    assert on[1]["batch"] > 1.2
    assert done.json["choice"]["reasons"][-1].startswith("The plan's batching says")
    assert json.loads((tmp_path / "sweep.json").read_text()) == done.json


@pytest.mark.long
@pytest.mark.usefixtures("perf")
def test_a_predictor_that_somebody_else_runs_is_measured_beside_ours(tmp_path: Path) -> None:
    theirs = triton.configure(ROOT / "model_repository" / "2.5.0", tmp_path / "log")
    with Stack() as stack:
        stack.start(theirs.process, theirs.ready, 60)
        done = call("bench", "sweep", "--target", theirs.grpc_address, "--via", "next", *OPTIONS)
    assert done.code == 0, done.err
    assert [one["where"] for one in done.json["predictors"]] == ["embedded", "next"]
    assert done.json["choice"] is None
    ours, other = done.json["predictors"]
    assert other["setting"] == ours["setting"]
    assert other["release"] == ours["release"]
    [note] = done.json["notes"]
    assert "batching on, delay 0 us, max_batch_size 128" in note


@pytest.mark.long
@pytest.mark.usefixtures("perf")
def test_a_target_that_does_not_answer_is_refused() -> None:
    done = call("bench", "sweep", "--target", "127.0.0.1:1", *OPTIONS)
    assert done.code == 2
    [error] = json.loads(done.err.splitlines()[-1])["errors"]
    assert (error["code"], error["path"]) == ("predictor_unavailable", "--target 127.0.0.1:1")
