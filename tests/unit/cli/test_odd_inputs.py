"""Bad input to every command: an error with a code and exit 1 or 2, never a traceback.

Every path that a command reads, by the program's own registry, is replaced in turn by something
that it is not. What is there stays as it is.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.program import all_commands, call

ROOT = Path(__file__).parents[3]
RELEASE = str(ROOT / "model_repository" / "2.5.0")
STORE = {"--store": "redis://127.0.0.1:1"}
DAYS = {"--start": "2026-05-25", "--end": "2026-05-31"}
WEEKS = {
    "--train-start": "2026-05-11",
    "--train-end": "2026-05-17",
    "--test-start": "2026-05-25",
    "--test-end": "2026-05-31",
}
READS = "<a path that the command reads>"
CASES: dict[str, dict[str, str]] = {
    "validate": {"--contracts": READS},
    "init": {"DIR": READS},
    "catalog": {"--out": "x.html", "--history": READS},
    "simulate": {"--append": "", "--out": READS},
    "features": {"--transactions": READS, "--out": "history"},
    "dataset": {"--history": READS, "--transactions": READS, **DAYS, "--out": "x.parquet"},
    "materialize": {
        "--release": READS,
        "--history": "h",
        "--as-of": "now",
        **STORE,
        "--store-password-file": READS,
    },
    "forget": {"--entity": "customer:C00001", "--transactions": READS},
    "stream produce": {"--transactions": READS, **STORE},
    "stream export": {"--landing": READS, "--out": "x.parquet"},
    "schemas list": {"--release": READS, **STORE},
    "schemas collect": {"--release": READS, **STORE},
    "train": {"--transactions": READS, **WEEKS, "--out": "release"},
    "score": {
        "--release": READS,
        "--history": READS,
        "--transactions": READS,
        **DAYS,
        "--out": "x",
    },
    "releases certify": {"--release": READS, "--transactions": READS},
    "releases rebind": {"--out": READS},
    "leakage": {"--transactions": READS, "--out": "leakage"},
    "check coverage": {"--release": READS, "--history": "h", **STORE},
    "check freshness": {"--release": READS, **STORE, "--store-password-file": READS},
    "check skew": {"--release": READS, "--history": "h", **STORE, "--out": "x.csv"},
    "check sign": {"ROW": "case", "--owner": "o", "--reason": "r", "--file": READS},
    "check drift": {"--release": RELEASE, "--record": READS},
    "check shadow": {"--release": RELEASE, "--served": READS, "--shadowed": READS},
    "check load": {"--release": RELEASE, "--transactions": READS, "--target": "http://127.0.0.1:1"},
    "replay": {
        "--release": READS,
        "--history": "h",
        "--transactions": READS,
        **DAYS,
        "--sample": "10",
        **STORE,
        "--target": "http://127.0.0.1:1",
    },
    "gate": {"--release": READS, "--stage": "register", "--dry-run": ""},
    "local up": {"--release": READS},
    "local status": {"--run": READS},
    "render": {"--release": READS, "--stable": READS, "--out": "k8s"},
    "bench quality": {"--transactions": READS, "--week": "2026-05-11"},
    "bench sweep": {"--release": READS},
}
WRITTEN = {
    *("--out", "--evidence", "--report", "--work"),
    *("--landing of materialize", "--run of local up"),
}
"""Options of paths that a command writes; `simulate --append` and `releases rebind` read theirs."""
NOT_TRIED = {"deploy", "local demo", "local down"}
"""Commands that ask a cluster first, have no --json, or find nothing to stop anywhere."""


FILES = ("missing", "empty", "text", "binary", "folder", "loop", "sealed")
TABLES = ("--transactions", "--out")
"""Options of Parquet files: what is text may come through a pipe."""
DIRECTORIES = ("missing", "text", "folder", "full", "loop", "pipe", "sealed")
READS_DIRECTORY = ("--contracts", "--history", "--landing", "--release", "--run", "--stable", "DIR")
FINE = {
    *(("init", kind) for kind in ("missing", "folder")),
    ("simulate", "missing"),
    # No values are a verdict: INCONCLUSIVE, a warning unless the contract's gate blocks.
    *(("check drift", kind) for kind in ("empty", "text", "binary")),
}
"""Where the odd path is input that the command can use."""


def _odd(directory: Path) -> dict[str, Path]:
    """Paths that are not what any command wants, by what they are."""
    paths = {name: directory / name for name in ("missing", "empty", "text", "binary", "folder")}
    paths["empty"].touch()
    paths["text"].write_text("{not: [what is wanted\n")
    paths["binary"].write_bytes(b"PAR1\x00\xff\xfe\x80PAR1")
    paths["folder"].mkdir()
    for name in ("loop", "pipe", "sealed"):
        paths[name] = directory / name
    paths["loop"].symlink_to("loop")
    os.mkfifo(paths["pipe"])
    paths["sealed"].touch(0o000)
    paths["full"] = directory / "full"
    paths["full"].mkdir()
    for name in ("release.yml", "stack.json", "feature_store_contract.yml", "part-0.parquet"):
        (paths["full"] / name).write_bytes(b"\x80\x00: [")
    for view in ("customer_30d", "merchant_risk_30d"):
        (paths["full"] / f"{view}.parquet").write_bytes(b"PAR1\x00PAR1")
    return paths


def _calls() -> Iterator[tuple[str, str, str]]:
    """Each command, with one of its paths replaced by each odd one."""
    for words, options in CASES.items():
        tried = {option for option, value in options.items() if value == READS}
        for option in sorted(tried | {o for w, o in _paths_read() if w == words}):
            kinds = [*(DIRECTORIES if option in READS_DIRECTORY else FILES)]
            kinds += ["pipe"] if option in TABLES else []
            yield from ((words, option, kind) for kind in kinds)


def _paths_read() -> Iterator[tuple[str, str]]:
    """Every path that a command reads, as (command, option)."""
    for words, command in all_commands():
        for parameter in command.params:
            kind = parameter.type_descriptor
            option = max(parameter.opts, key=len)
            written = {option, f"{option} of {words}"} & WRITTEN
            if kind is not None and "Path" in str(kind.annotation) and not written:
                yield words, "DIR" if parameter.param_type_name == "argument" else option


def _digest(path: Path) -> str:
    """What is at a path: the bytes of a file, those of the files in a folder."""
    if path.is_dir():
        return " ".join(f"{one.name} {_digest(one)}" for one in sorted(path.iterdir()))
    if not path.is_file() or not os.access(path, os.R_OK):
        return str(path.lstat().st_mode) if path.exists() else ""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_every_command_that_reads_a_path_is_tried() -> None:
    assert {words for words, _ in _paths_read()} - set(CASES) == NOT_TRIED


@pytest.mark.parametrize(("words", "option", "kind"), list(_calls()))
def test_an_odd_path_is_an_error_with_a_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: str, option: str, kind: str
) -> None:
    if kind == "sealed" and os.geteuid() == 0:
        pytest.skip("root may read every file")
    monkeypatch.chdir(tmp_path)
    paths = _odd(tmp_path)
    odd, before = str(paths[kind]), _digest(paths[kind])
    given = CASES[words] | {option: odd}
    arguments = [
        part
        for name, value in given.items()
        if name != "--contracts"
        for part in ((value,) if not name.startswith("--") else (name, value) if value else (name,))
    ]
    arguments = [RELEASE if part == READS else part for part in arguments]
    contracts = given.get("--contracts", str(ROOT / "contracts"))
    done = call("--contracts", contracts, *words.split(), *arguments, "--json")
    if (words, kind) not in FINE:
        assert _digest(paths[kind]) == before
    if (words, kind) in FINE:
        assert done.code in (0, 2)
        return
    assert done.code in (1, 2), done
    errors = json.loads(done.err.splitlines()[-1])["errors"]
    assert errors
    for error in errors:
        assert error["code"] not in ("", "usage")
        assert error["path"]
        assert error["message"] or error["wanted"]
