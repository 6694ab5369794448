"""A full disk, a killed process: what was there before stays, and the error says which file."""

from __future__ import annotations

import hashlib
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from proviso.contracts.starter import write_template

SCRIPT = Path(__file__).parents[1] / "killed_writer.py"
HISTORY, SOURCE = ("--history", "history"), ("--transactions", "t.parquet")
SPAN = ("--start", "2026-01-17", "--end", "2026-01-20")
WRITERS: dict[str, tuple[str, ...]] = {
    "features": ("features", *SOURCE, "--out", "full/history"),
    "update": ("features", *SOURCE, "--out", "full/history", "--update"),
    "backfill": (
        *("features", *SOURCE, "--out", "full/history", "--backfill", "--start", "2026-01-17"),
        *("--as-of", "2026-01-20T12:00:00Z"),
    ),
    "simulate": ("simulate", "--days", "6", "--out", "full/t.parquet"),
    "dataset": ("dataset", *HISTORY, *SOURCE, *SPAN, "--out", "full/dataset.parquet"),
    "train": (
        *("train", *SOURCE, "--train-start", "2026-01-06", "--train-end", "2026-01-11"),
        *("--test-start", "2026-01-18", "--test-end", "2026-01-19", "--label-delay", "P1D"),
        *("--out", "full/release"),
    ),
    "catalog": ("catalog", *HISTORY, "--out", "full/catalog.html"),
}


def _run(
    folder: Path, *words: str, before: Callable[[], None] | None = None
) -> subprocess.CompletedProcess[str]:
    program = [sys.executable, "-m", "proviso.cli.main", "--contracts", "contracts"]
    return subprocess.run(
        [*program, *words, "--json"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=before,
    )


def _digest(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose outputs in `full` are those of an earlier state of its transactions."""
    folder = tmp_path_factory.mktemp("project")
    write_template(folder / "contracts")
    end, later = ("--end", "2026-01-18T12:00:00Z"), ("--end", "2026-01-20T12:00:00Z")
    world = ("simulate", "--seed", "3", "--out", "t.parquet")
    first = (*world, "--days", "14", "--ahead", "4", *end)
    for words in (first, WRITERS["features"], (*world, "--append", *later)):
        done = _run(folder, *words)
        assert done.returncode == 0, done.stderr
    done = _run(folder, "features", *SOURCE, "--out", "history")
    assert done.returncode == 0, done.stderr
    for name in ("t.parquet", "dataset.parquet", "catalog.html"):
        (folder / "full" / name).write_text("what was there before")
    done = _run(folder, *WRITERS["train"])
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def project(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "copy"))


def _limited(size: int) -> Callable[[], None]:
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    return limit


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize("size", [1_500, 20_000])
def test_a_file_that_may_not_grow_leaves_what_was_there(
    project: Path, writer: str, size: int
) -> None:
    before = _digest(project)
    done = _run(project, *WRITERS[writer], before=_limited(size))
    _refused(done)
    assert _digest(project) == before


def _refused(done: subprocess.CompletedProcess[str]) -> None:
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert "Traceback" not in done.stderr
    [error] = json.loads(done.stderr.splitlines()[-1])["errors"]
    assert error["code"] == "disk_full"
    assert "full/" in error["path"]


@contextmanager
def _mounted(folder: Path, size: int) -> Iterator[None]:
    """A file system of a few KiB over a folder, with the folder's content."""
    kept = folder.with_name("kept")
    folder.rename(kept)
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}k", "proviso-test", str(folder)]
    if os.geteuid() != 0 or subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("no file system can be mounted here")
    try:
        shutil.copytree(kept, folder, dirs_exist_ok=True)
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize("writer", WRITERS)
def test_a_full_disk_leaves_what_was_there(project: Path, writer: str) -> None:
    full = project / "full"
    blocks = sum(-(-path.stat().st_size // 4096) for path in full.rglob("*") if path.is_file())
    with _mounted(full, blocks * 4 + 8):
        before = _digest(full)
        _refused(_run(project, *WRITERS[writer]))
        assert _digest(full) == before


@pytest.mark.parametrize(
    "writer", ["features", "update", pytest.param("train", marks=pytest.mark.long)]
)
def test_a_killed_process_leaves_whole_files_and_the_next_one_is_as_if_it_had_not_been(
    project: Path, writer: str
) -> None:
    words, before = WRITERS[writer], _digest(project / "full")
    whole = Path(shutil.copytree(project, project.with_name("whole")))
    assert _run(whole, *words).returncode == 0
    after = _digest(whole / "full")
    for number in range(1, 40):
        done = subprocess.run(
            [
                *(sys.executable, str(SCRIPT), str(number), str((project / "full").resolve())),
                *("--contracts", "contracts", *words),
            ],
            cwd=project,
            capture_output=True,
            check=False,
        )
        found = {
            name: digest
            for name, digest in _digest(project / "full").items()
            if not Path(name).name.startswith(".")
        }
        assert all(
            found[name] in {before.get(name), after[name]} for name in after if name in found
        )
        assert found.keys() >= before.keys()
        if done.returncode == 0:
            break
        assert done.returncode == -signal.SIGKILL, done.stderr
    assert number > 1
    assert _digest(project / "full") == after
