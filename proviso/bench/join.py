"""Compares the point-in-time join with others on the same made-up data: speed, memory, errors.

Every contestant reads the same Parquet files and writes a Parquet file, in a process of its own.
The contestants take turns, so that a busy machine is busy for all of them.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from feature_runtime.core.moments import format_moment, now
from proviso.bench.join_data import Data, Size, make_data, wrong_answers
from proviso.contracts.base import InputError
from proviso.history.duckdb.engine import connect

Progress = Callable[[str], None]
ROOT = Path(__file__).parents[2]
PEERS = ROOT / ".venv" / "peers" / "bin" / "python"
NO_PEERS = "no .venv/peers here; scripts/setup-peers makes it"
BY_DEFINITION = "DuckDB, all pairs"
OURS, BARE, MAXIMA = "proviso", "DuckDB, bare ASOF", "DuckDB, running maxima"
_POLL = 0.05  # seconds between two looks at what is spilled


@dataclass(frozen=True)
class Entry:
    """A contestant: its program, the prefix of its columns, and whether one round is enough."""

    name: str
    peer: str = ""
    prefix: str = ""
    once: bool = False

    def command(self, data: Data, out: Path, memory: str) -> list[str]:
        if self.peer:
            return [str(PEERS), str(ROOT / "peers" / self.peer), str(data.folder), str(out)]
        module = "proviso.bench.join_contestant"
        return [sys.executable, "-m", module, self.name, str(data.folder), str(out), memory]


_PROVISO = Entry(OURS, prefix="activity__")
ENTRIES = (
    Entry(BY_DEFINITION, once=True),
    _PROVISO,
    Entry(BARE),
    Entry(MAXIMA),
    Entry("polars", peer="join_polars.py"),
    Entry("Feast, DuckDB store", peer="join_feast.py"),
    Entry("pandas", peer="join_pandas.py", once=True),
)
GROWING = (Entry(MAXIMA), _PROVISO, Entry(BARE))
"""Compared at all sizes; the first is exact too, and does not take the square of the rows."""


@dataclass
class Figures:
    """What a contestant reached; seconds of each round, bytes of the worst one."""

    name: str
    cold: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    warm: list[float] = field(default_factory=list)
    peak: int = 0
    spilled: int = 0
    wrong: int = 0

    @property
    def seconds(self) -> float:
        return statistics.median(self.cold)


@dataclass(frozen=True)
class Bench:
    """All figures of one size."""

    size: Size
    memory: str
    figures: tuple[Figures, ...]
    skipped: tuple[str, ...]
    machine: str

    def of(self, name: str) -> Figures:
        return next(figures for figures in self.figures if figures.name == name)


def compare(
    size: Size,
    rounds: int,
    memory: str,
    progress: Progress,
    entries: Sequence[Entry] = ENTRIES,
) -> Bench:
    """Runs all contestants that are here, `rounds` times in turn; the first is held to be right."""
    here = [entry for entry in entries if not entry.peer or PEERS.is_file()]
    skipped = tuple(f"{e.name}: {NO_PEERS}" for e in entries if e not in here)
    figures = {entry.name: Figures(entry.name) for entry in here}
    with TemporaryDirectory(prefix="proviso-bench-") as work:
        progress(f"making {size.text}")
        data = make_data(size, Path(work) / "data")
        for number in range(rounds):
            for entry in here:
                if number == 0 or not entry.once:
                    progress(f"round {number + 1} of {rounds}: {entry.name}")
                    out = data.exact if entry is here[0] else Path(work) / "answers.parquet"
                    _run(entry, data, out, memory, figures[entry.name])
    return Bench(size, memory, tuple(figures.values()), skipped, machine())


def _run(entry: Entry, data: Data, out: Path, memory: str, figures: Figures) -> None:
    """One run of a contestant, judged by the exact answers."""
    with TemporaryDirectory(prefix="spill-", dir=out.parent) as spill:
        said, spilled = _process(entry.command(data, out, memory), Path(spill))
    figures.cold.append(said["cold"])
    figures.cpu.append(said["cpu"])
    if said["warm"] is not None:
        figures.warm.append(said["warm"])
    figures.peak = max(figures.peak, int(said["peak"]))
    figures.spilled = max(figures.spilled, spilled)
    with connect() as engine:
        figures.wrong = max(figures.wrong, wrong_answers(engine, data, out, entry.prefix))


def _process(command: list[str], spill: Path) -> tuple[dict[str, float], int]:
    """What a process says on its last line, and the most that lay in its temporary directory."""
    environment = {**os.environ, "TMPDIR": str(spill), "PYTHONWARNINGS": "ignore"}
    most = 0
    with (spill / "said").open("w+b") as said:
        # In its own directory, where a peer may leave what it likes.
        with subprocess.Popen(command, cwd=spill, env=environment, stdout=said) as process:
            while process.poll() is None:
                most = max(most, _size(spill))
                time.sleep(_POLL)
        said.seek(0)
        lines = said.read().splitlines()
    if process.returncode != 0 or not lines:
        message = f"ended with exit code {process.returncode} and {len(lines)} lines of output"
        raise InputError.event("bench_contestant_failed", message, " ".join(command[:3]))
    figures: dict[str, float] = json.loads(lines[-1])
    return figures, most


def _size(folder: Path) -> int:
    """Bytes of the files below a folder, some of which may go meanwhile."""
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            try:
                total += (Path(parent) / name).stat().st_size
            except FileNotFoundError:
                continue
    return total


def machine() -> str:
    """Where and when, and how busy the machine has been."""
    load = os.getloadavg()[2]
    return (
        f"{format_moment(now())[:16]}Z, {os.cpu_count()} cores, {platform.machine()},"
        f" Python {platform.python_version()}, load of the last 15 minutes {load:.1f}"
    )


def table(bench: Bench) -> str:
    """Markdown: a line for each contestant, then how proviso compares."""
    header = ["contestant", "cold s", "CPU s", "warm s", "peak GiB", "spilled GiB", "wrong rows"]
    rows = [header, ["---", *["---:"] * (len(header) - 1)]]
    for f in bench.figures:
        wrong = f"{f.wrong:,} ({f.wrong / bench.size.labels:.2%})"
        sizes = [f"{size / 2**30:.2f}" for size in (f.peak, f.spilled)]
        rows.append([f.name, *map(_spread, (f.cold, f.cpu, f.warm)), *sizes, wrong])
    lines = [f"| {' | '.join(row)} |" for row in rows]
    lines += ["", "Medians of the rounds, least and most in brackets; CPU: all threads, cold."]
    lines += [f"{bench.size.text}; engine's memory {bench.memory}. {bench.machine}."]
    lines += [f"Left out: {reason}." for reason in bench.skipped]
    return "\n".join([*lines, "", _verdict(bench)])


def _spread(seconds: Sequence[float]) -> str:
    if not seconds:
        return "-"
    median = statistics.median(seconds)
    if len(seconds) == 1:
        return f"{median:.2f}"
    return f"{median:.2f} ({min(seconds):.2f}-{max(seconds):.2f})"


def _verdict(bench: Bench) -> str:
    """proviso against the fastest other exact one and against the bare ASOF join."""
    ours, bare = bench.of(OURS), bench.of(BARE)
    exact = [f for f in bench.figures if f.wrong == 0 and f is not ours]
    fastest = min(exact, key=lambda f: f.seconds)
    against = f"{ours.seconds / bare.seconds:.2f} of the bare ASOF join's from raw files"
    against += f" ({statistics.median(ours.cpu) / statistics.median(bare.cpu):.2f} in CPU time)"
    if bare.warm:
        share = ours.seconds / statistics.median(bare.warm)
        against += f", {share:.2f} of it over rows that are in memory already"
    return (
        f"proviso, from raw files, takes {ours.seconds / fastest.seconds:.2f} of the time of"
        f" {fastest.name}, the fastest other exact one; {against}."
    )
