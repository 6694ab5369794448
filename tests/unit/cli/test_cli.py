"""The program as a shell sees it: help everywhere, exit codes, no traceback, one JSON object."""

from __future__ import annotations

from pathlib import Path

import pytest

from proviso.cli.main import STATIONS
from tests.program import call

ROOT = Path(__file__).parents[3]
COMMANDS = [name for names in STATIONS.values() for name in names]
SUBCOMMANDS = [
    *(("local", name) for name in ("up", "down", "status", "demo")),
    *(("releases", name) for name in ("build", "rebind")),
    ("bench", "quality"),
]
RELEASE = ROOT / "model_repository" / "2.5.0"
NOWHERE = "nowhere-at-all"


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every command runs in an empty directory, in a terminal wide enough for its messages."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")


def test_help_lists_every_command_but_the_developers_own() -> None:
    done = call("--help")
    assert done.code == 0
    for name in COMMANDS:
        assert (f" {name} " in done.out) == (name != "releases")


@pytest.mark.parametrize("words", [*((name,) for name in COMMANDS), *SUBCOMMANDS])
def test_every_command_has_help(words: tuple[str, ...]) -> None:
    done = call(*words, "--help")
    assert done.code == 0, done.err
    assert "Usage: " in done.out
    assert words[-1] in done.out


@pytest.mark.parametrize("words", [("nonsense",), ("validate", "--nonsense"), ("gate",)])
def test_what_the_program_does_not_know_is_wrong_use(words: tuple[str, ...]) -> None:
    done = call(*words)
    assert done.code == 2
    assert "Usage: " in done.err


TRAIN = {
    "--transactions": NOWHERE,
    "--train-start": "2026-05-11",
    "--train-end": "2026-05-17",
    "--test-start": "2026-05-25",
    "--test-end": "2026-05-31",
    "--out": "out",
}
SPAN = {"--history": NOWHERE, "--transactions": NOWHERE, "--start": "2026-05-25"}
ENDED = {**SPAN, "--end": "2026-05-31"}
SCORE = {**ENDED, "--release": str(RELEASE), "--out": "out"}
REPLAY = {
    **ENDED,
    "--release": str(RELEASE),
    "--sample": "10",
    "--store": "redis://127.0.0.1:1",
    "--target": "http://127.0.0.1:1",
}
MATERIALIZE = {"--history": NOWHERE, "--as-of": "now", "--store": "redis://127.0.0.1:1"}


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("validate", {}),
        ("simulate", {"--out": "x"}),
        ("features", {"--transactions": "x", "--out": "y"}),
        ("dataset", {**ENDED, "--out": "x"}),
        ("train", TRAIN),
        ("score", SCORE),
        ("materialize", MATERIALIZE),
        ("replay", REPLAY),
        ("gate", {"--release": str(RELEASE), "--stage": "register"}),
    ],
)
def test_contracts_that_are_not_there_are_wrong_use(name: str, options: dict[str, str]) -> None:
    words = [word for pair in options.items() for word in pair]
    done = call("--contracts", NOWHERE, name, *words)
    assert done.code == 2
    assert f"{NOWHERE}: found no such directory, wanted the contract files' directory" in done.err


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("simulate", {"--out": "x", "--end": "tomorrow"}, "--end: found 'tomorrow', wanted"),
        ("simulate", {"--out": "x", "--end": "2018-02-30"}, "--end: found '2018-02-30', wanted"),
        ("features", {"--transactions": NOWHERE, "--out": "x"}, f"{NOWHERE}: found no such file"),
        ("dataset", {**ENDED, "--out": "x", "--end": "later"}, "--end: found 'later', wanted"),
        ("dataset", {**ENDED, "--out": "x"}, f"{NOWHERE}: found no such file"),
        ("train", {**TRAIN, "--train-start": "May"}, "--train-start: found 'May', wanted a day"),
        ("train", {**TRAIN, "--label-delay": "P1M"}, "--label-delay: found 'P1M', wanted"),
        ("train", TRAIN, f"{NOWHERE}: found no such file"),
        ("score", {**SCORE, "--start": "12:00"}, "--start: found '12:00', wanted a moment"),
        ("score", {**SCORE, "--release": NOWHERE}, "release.yml"),
        ("score", SCORE, "found no such file"),
        ("materialize", {**MATERIALIZE, "--as-of": "never"}, "--as-of: found 'never', wanted"),
        ("materialize", MATERIALIZE, "online store 127.0.0.1:1: found"),
        ("replay", REPLAY, "online store 127.0.0.1:1: found"),
        ("replay", {**REPLAY, "--release": NOWHERE}, "release.yml"),
        ("gate", {"--release": NOWHERE, "--stage": "register"}, "release.yml"),
        ("local down", {"--run": NOWHERE}, ""),
        ("local status", {"--run": NOWHERE}, f"{NOWHERE}: found no stack, wanted"),
        ("local up", {"--release": NOWHERE}, "release.yml"),
    ],
)
def test_wrong_use_says_what_was_found_and_wanted(
    name: str, options: dict[str, str], said: str
) -> None:
    words = [word for pair in options.items() for word in pair]
    done = call("--contracts", ROOT / "contracts", *name.split(), *words)
    assert said in done.err, done.err
    assert done.code == (2 if said else 0)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("validate", []),
        ("init", ["new"]),
        ("init", ["new", "--dry-run"]),
        ("simulate", ["--days", "2", "--out", "x.parquet"]),
        ("features", ["--transactions", "x", "--out", "y", "--dry-run"]),
        ("materialize", [*(w for pair in MATERIALIZE.items() for w in pair), "--dry-run"]),
        ("gate", ["--release", str(RELEASE), "--stage", "register", "--dry-run"]),
        ("local down", []),
    ],
)
def test_json_is_one_object(name: str, options: list[str]) -> None:
    done = call("--contracts", ROOT / "contracts", *name.split(), *options, "--json")
    assert done.code == 0, done.err
    assert isinstance(done.json, dict)


def test_a_dry_run_makes_no_project(tmp_path: Path) -> None:
    assert call("init", tmp_path / "new", "--dry-run").code == 0
    assert not (tmp_path / "new").exists()


def test_a_check_that_says_no_is_exit_one(tmp_path: Path) -> None:
    assert call("init", tmp_path / "new").code == 0
    plan = tmp_path / "new" / "serving_release_plan.yml"
    plan.write_text(plan.read_text().replace("steps: [", "steps: [100, "))
    done = call("--contracts", tmp_path / "new", "validate")
    assert done.code == 1
    assert "canary.steps" in done.err


def test_the_version_is_said() -> None:
    done = call("--version")
    assert (done.code, done.out.split()[0]) == (0, "proviso")
