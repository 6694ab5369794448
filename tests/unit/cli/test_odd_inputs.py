"""Bad input to every command: an error with a code and exit 1 or 2, never a traceback.

Every path that a command reads is replaced in turn by something that it is not.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.program import call

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
}


FILES = ("missing", "empty", "text", "binary", "folder")
DIRECTORIES = ("missing", "text", "folder", "full")
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
        for option, value in options.items():
            if value == READS:
                kinds = DIRECTORIES if option in READS_DIRECTORY else FILES
                yield from ((words, option, kind) for kind in kinds)


@pytest.mark.parametrize(("words", "option", "kind"), list(_calls()))
def test_an_odd_path_is_an_error_with_a_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: str, option: str, kind: str
) -> None:
    monkeypatch.chdir(tmp_path)
    odd = str(_odd(tmp_path)[kind])
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
