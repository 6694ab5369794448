"""The whole path as a newcomer walks it, on two projects that have nothing in common.

Everything is real: the program, Valkey, Triton, the transformer, REST and gRPC.
"""

from __future__ import annotations

import json
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
import pytest

from tests.parcel_project import write_project

ROOT = Path(__file__).parents[2]
PROVISO = Path(sys.executable).with_name("proviso")


# A job in the background may have been started with SIGINT ignored, which children inherit.
INTERRUPTIBLE = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)
os.execv(sys.argv[1], sys.argv[1:])
"""


@dataclass(frozen=True)
class Demo:
    """A finished demonstration: its folder, exit status and output."""

    folder: Path
    code: int
    output: str

    @property
    def replay(self) -> dict[str, object]:
        found = json.loads((self.folder / "work/evidence/replay.json").read_text())
        assert isinstance(found, dict)
        return found


def command(contracts: Path, folder: Path, *options: str) -> list[str]:
    return [
        *(str(PROVISO), "--contracts", str(contracts), "local", "demo"),
        *("--work", str(folder / "work"), "--report", str(folder / "report"), *options),
    ]


def run(contracts: Path, folder: Path, *options: str) -> Demo:
    done = subprocess.run(
        command(contracts, folder, *options),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=540,
        check=False,
    )
    return Demo(folder, done.returncode, done.stdout + done.stderr)


def left_behind(folder: Path) -> list[str]:
    """Command lines of processes that still name the folder."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        line = " ".join(process.info["cmdline"] or [])
        if str(folder) in line and "pytest" not in line:
            found.append(line)
    return found


@pytest.fixture(scope="module")
def parcels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project that `proviso init` writes, completed by its owners."""
    folder = tmp_path_factory.mktemp("init") / "parcels"
    subprocess.run([str(PROVISO), "init", str(folder)], check=True, capture_output=True)
    write_project(folder)
    return folder


@pytest.fixture(scope="module")
def kept(parcels: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """The other project's demonstration, its stack left up; taken down in the end."""
    folder = tmp_path_factory.mktemp("parcels-demo")
    yield run(parcels, folder, "--keep")
    stack = str(folder / "work/stack")
    subprocess.run([str(PROVISO), "local", "down", "--run", stack], check=True)


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    """The worked example, as `make demo` runs it."""
    return run(ROOT / "contracts", tmp_path_factory.mktemp("example-demo"))


@pytest.fixture(params=["example", "kept"])
def demo(request: pytest.FixtureRequest) -> Demo:
    """Either project's demonstration."""
    found = request.getfixturevalue(request.param)
    assert isinstance(found, Demo)
    return found


def test_every_step_passes(demo: Demo) -> None:
    assert demo.code == 0, demo.output
    assert "[9/9] done" in demo.output


def test_every_answer_is_its_offline_row(demo: Demo) -> None:
    replay = demo.replay
    assert replay["requests"] == 1000
    assert replay["mismatch_count"] == 0
    assert replay["by_protocol"] == {"rest": 500, "grpc": 500}
    assert float(str(replay["max_probability_difference"])) <= 1e-6


def test_the_sample_holds_every_hard_case(demo: Demo) -> None:
    strata, floors = demo.replay["strata"], demo.replay["floors"]
    assert isinstance(strata, dict)
    assert isinstance(floors, dict)
    assert all(strata[name] >= floor for name, floor in floors.items())
    assert floors == {
        "before_created": 30,
        "after_created": 30,
        "missing_key": 20,
        "stale": 20,
        "after_last_run": 1,
    }


@pytest.mark.parametrize("kind", ["coverage", "freshness", "skew", "drift"])
def test_every_check_of_the_shadow_stage_was_made(demo: Demo, kind: str) -> None:
    found = json.loads((demo.folder / f"work/evidence/{kind}.json").read_text())
    assert found["passed"] is True, found["reasons"]
    assert found["release"] == demo.replay["release"]


def test_the_shadow_gate_lets_the_release_pass_on_all_of_its_evidence(demo: Demo) -> None:
    verdict = json.loads((demo.folder / "work/evidence/gate-shadow.json").read_text())
    assert verdict["passed"] is True
    said = {finding["check"]: finding["detail"] for finding in verdict["findings"]}
    assert "judged again" in said["leakage certificate"]
    assert {"populated keys", "freshness", "skew", "replay", "replayed values"} <= said.keys()


def test_an_altered_value_is_refused_by_kind_and_owner(demo: Demo) -> None:
    verdict = json.loads((demo.folder / "work/evidence-altered/gate-shadow.json").read_text())
    assert verdict["passed"] is False
    refusals = [f["detail"] for f in verdict["findings"] if not f["ok"]]
    assert any(
        re.search(r"REVIEW VALUE \S+ of .*owner \S+@\S+", refusal) for refusal in refusals
    ), refusals


def test_the_report_is_there(demo: Demo) -> None:
    page = (demo.folder / "report/index.html").read_text()
    assert "<svg" in page
    assert str(demo.replay["release"]) in page


def test_nothing_is_left_behind(example: Demo) -> None:
    assert left_behind(example.folder) == []


def test_a_kept_stack_answers_the_curl_line_that_was_printed(kept: Demo) -> None:
    line = next(line for line in kept.output.splitlines() if line.startswith("curl "))
    words = shlex.split(line)
    url = next(word for word in words if word.startswith("http://"))
    body = words[words.index("-d") + 1]
    answer = httpx.post(url, content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 200, answer.text
    outputs = {output["name"]: output["data"] for output in answer.json()["outputs"]}
    assert set(outputs) == {"probability", "decision", "status"}


def test_a_kept_stack_is_known_and_only_it_is_stopped(kept: Demo) -> None:
    stack = str(kept.folder / "work/stack")
    done = subprocess.run(
        [str(PROVISO), "local", "status", "--run", stack, "--json"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert set(json.loads(done.stdout)["processes"].values()) == {True}


def test_a_kept_stack_is_put_under_load_for_the_promote_stage(kept: Demo, parcels: Path) -> None:
    """A second a level is less than the plan asks for; the figures are real all the same."""
    settings = json.loads((kept.folder / "work/stack/state.json").read_text())["settings"]
    done = subprocess.run(
        [
            *(
                str(PROVISO),
                "--contracts",
                str(parcels),
                "check",
                "load",
                "--json",
                "--seconds",
                "1",
            ),
            *("--release", str(kept.folder / "work/release"), "--target", settings["endpoint"]),
            *("--transactions", str(kept.folder / "work/transactions.parquet")),
            *("--evidence", str(kept.folder / "load")),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)["figures"]
    assert figures["http_error_rate"] == 0
    assert figures["requests"] > 50
    assert 0 < figures["latency_p95_ms"] <= figures["latency_p99_ms"]


def test_ctrl_c_stops_everything_that_was_started(
    parcels: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("interrupted")
    with subprocess.Popen(
        [sys.executable, "-c", INTERRUPTIBLE, *command(parcels, folder)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("[5/9]"):
                process.send_signal(signal.SIGINT)
                break
        rest = read_in_time(process)
    assert process.returncode == 130, rest
    assert "stopped" in rest
    assert gone_in_time(folder), left_behind(folder)


def read_in_time(process: subprocess.Popen[str]) -> str:
    """The rest of the output; a process that does not end is killed, and fails the test."""
    try:
        return process.communicate(timeout=60)[0]
    finally:
        process.kill()


def gone_in_time(folder: Path) -> bool:
    """Processes may need a moment to vanish from the table."""
    for _ in range(100):
        if not left_behind(folder):
            return True
        time.sleep(0.1)
    return False


def test_a_failing_step_ends_with_its_reason(parcels: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    for path in parcels.iterdir():
        (broken / path.name).write_text(path.read_text())
    plan = broken / "serving_release_plan.yml"
    plan.write_text(plan.read_text().replace("steps: [", "steps: [100, "))
    demo = run(broken, tmp_path)
    assert demo.code == 1
    assert "FAILED" in demo.output
    assert "canary.steps" in demo.output
    assert "Traceback" not in demo.output
