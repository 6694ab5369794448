"""perf_analyzer, NVIDIA's load generator for Triton: one measurement, from command to figures.

The sweep calls it for every point. Its report is a CSV in microseconds; how many inferences Triton
ran in how many executions, by Triton's own statistics, is only in what it prints. It measures three
windows and reports nothing where they differ by more than a bound: the bound is put out of reach,
since the sweep repeats and says the spread itself.
"""

from __future__ import annotations

import csv
import os
import re
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from proviso.contracts.base import InputError

HOME = Path(__file__).parents[2] / ".venv" / "perf"
ATTEMPTS = 3
_WINDOWS = 3
_NEVER_UNSTABLE = 1_000_000  # percent; 999 still refuses where the machine stood still for a window
_ROOM = 30.0  # seconds beside the measurement: to connect, to warm up, to collect
_SERVER = {
    "queue": "Server Queue",
    "input": "Server Compute Input",
    "infer": "Server Compute Infer",
    "output": "Server Compute Output",
}

Progress = Callable[[str], None]


class NoFigures(Exception):
    """A measurement without figures; the text has the reason."""


@dataclass(frozen=True)
class Load:
    """The load: a model at host:port (V2 gRPC), one inference a request.

    inputs: a JSON file of vectors, in perf_analyzer's form. seconds: of all windows together.
    """

    address: str
    model: str
    inputs: Path
    concurrency: int
    seconds: float


@dataclass(frozen=True)
class Measured:
    """One measurement: inferences a second, latencies as the client saw them, and Triton's part.

    batch: inferences an execution. server_ms: where the server spent a request's time, on average.
    """

    throughput: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    batch: float
    server_ms: Mapping[str, float]


def check_home(home: Path = HOME) -> None:
    """Raises InputError where perf_analyzer is not installed."""
    if not (home / "bin" / "perf_analyzer").is_file():
        message = "perf_analyzer is not installed; run scripts/setup-perf"
        raise InputError.event("program_missing", message, home)


def measure(load: Load, progress: Progress, home: Path = HOME) -> Measured:
    """Measures, up to ATTEMPTS times. Raises NoFigures with the last reason."""
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return _once(load, home)
        except NoFigures as nothing:
            progress(f"concurrency {load.concurrency}: {nothing} (attempt {attempt})")
            reason = nothing
    raise reason


def _once(load: Load, home: Path) -> Measured:
    with TemporaryDirectory(prefix="proviso-perf-") as work:
        report = Path(work) / "report.csv"
        said = _run(command(load, report, home), home, load.seconds + _ROOM)
        if not report.is_file():
            raise NoFigures("no report: windows that differ too much")
        return parsed(report.read_text(encoding="utf-8"), said)


def command(load: Load, report: Path, home: Path = HOME) -> list[str]:
    """The command line of one measurement."""
    window = max(1, round(load.seconds * 1000 / _WINDOWS))
    return [
        str(home / "bin" / "perf_analyzer"),
        *("-m", load.model, "-u", load.address, "-i", "grpc", "-v"),
        *("--input-data", str(load.inputs), "--concurrency-range", str(load.concurrency)),
        *("-p", str(window), "-r", str(_WINDOWS), "-s", str(_NEVER_UNSTABLE), "-f", str(report)),
    ]


def _run(line: list[str], home: Path, timeout: float) -> str:
    """The output of perf_analyzer. Its process is ended in every case."""
    libraries = os.pathsep.join(str(home / "libs" / name) for name in ("cuda", "system"))
    environment = {**os.environ, "LD_LIBRARY_PATH": libraries}
    try:
        done = subprocess.run(
            line, env=environment, timeout=timeout, capture_output=True, text=True, check=False
        )
    except subprocess.TimeoutExpired:
        raise NoFigures(f"nothing after {timeout:.0f} s") from None
    if done.returncode != 0:
        raise NoFigures(f"exit {done.returncode}: {_last_line(done.stderr or done.stdout)}")
    return done.stdout


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:200] if lines else "no word why"


def parsed(report: str, said: str) -> Measured:
    """Figures from the CSV (its first row) and from what was printed. Raises NoFigures."""
    try:
        row = next(csv.DictReader(report.splitlines()))
        p50, p95, p99 = (float(row[f"p{q} latency"]) / 1000 for q in (50, 95, 99))
        throughput = float(row["Inferences/Second"])
        server = {part: float(row[column]) / 1000 for part, column in _SERVER.items()}
    except (StopIteration, KeyError, TypeError, ValueError) as error:
        raise NoFigures(f"a report that cannot be read: {error!r}") from None
    if throughput <= 0:
        raise NoFigures("no inference within the windows")
    return Measured(throughput, p50, p95, p99, _batch(said), server)


def _batch(said: str) -> float:
    counts = [re.search(rf"{kind} count: (\d+)", said) for kind in ("Inference", "Execution")]
    inferences, executions = (int(found[1]) if found else 0 for found in counts)
    if not executions:
        raise NoFigures("no statistics of the server")
    return inferences / executions
