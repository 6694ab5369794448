"""The program as a shell sees it: help everywhere, exit codes, no traceback, one JSON object."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

from proviso.checks.registry import REGISTERED
from proviso.cli.deprecated import SPELLINGS, current_spelling
from proviso.cli.registry import PANELS, Command, Group
from tests.program import call

ROOT = Path(__file__).parents[3]
RELEASE = ROOT / "model_repository" / "2.5.0"
NOWHERE = "nowhere-at-all"


def _commands() -> Iterator[tuple[str, Command]]:
    """Every command of the registry, with its words."""
    for entries in PANELS.values():
        for entry in entries:
            if isinstance(entry, Command):
                yield entry.name, entry
            elif isinstance(entry, Group):
                yield from ((f"{entry.name} {one.name}", one) for one in entry.commands)


COMMANDS = dict(_commands())
CHECKS = [f"check {name}" for name in REGISTERED]
WORDS = [*COMMANDS, *CHECKS, "check sign"]
GROUPS = sorted({words.split()[0] for words in WORDS if " " in words})


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every command runs in an empty directory, in a terminal wide enough for its messages."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")


def test_help_lists_every_command_under_its_panel() -> None:
    done = call("--help")
    assert done.code == 0
    for panel, entries in PANELS.items():
        listed = done.out[done.out.index(f" {panel} ") :]
        for entry in entries:
            assert f" {entry.name} " in listed
            assert entry.summary in listed


@pytest.mark.parametrize("words", [*WORDS, *GROUPS])
def test_every_command_has_help(words: str) -> None:
    done = call(*words.split(), "--help")
    assert done.code == 0, done.err
    assert f"Usage: proviso {words} " in done.out


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_the_line_in_a_list_is_the_first_one_of_the_help(command: Command) -> None:
    module, name = command.function.split(":")
    function = getattr(import_module(f"proviso.cli.{module}"), name)
    assert (inspect.getdoc(function) or "").splitlines()[0] == command.summary
    assert len(command.summary) <= 60


@pytest.mark.parametrize("words", WORDS)
def test_every_option_has_help(words: str) -> None:
    done = call(*words.split(), "--help")
    options = [line for line in done.out.splitlines() if line.startswith(("│ --", "│ *  --"))]
    assert options
    for line in options:
        assert line.rstrip("│ ").split("  ")[-1].strip(), line


@pytest.mark.parametrize(
    "words",
    [
        ("nonsense",),
        ("validate", "--nonsense"),
        ("gate",),
        ("check", "nonsense"),
        ("check", "load"),
    ],
)
def test_unknown_words_and_missing_options_are_wrong_use(words: tuple[str, ...]) -> None:
    done = call(*words)
    assert done.code == 2
    assert "Usage: " in done.err


def test_a_mistyped_command_names_its_neighbours() -> None:
    assert "Did you mean 'validate'?" in call("valdate").err


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
        ("materialize", {**MATERIALIZE, "--as-of": ""}, "--as-of: found nothing, wanted"),
        ("materialize", MATERIALIZE, "online store 127.0.0.1:1: "),
        ("replay", REPLAY, "online store 127.0.0.1:1: "),
        ("replay", {**REPLAY, "--release": NOWHERE}, "release.yml"),
        ("gate", {"--release": NOWHERE, "--stage": "register"}, "release.yml"),
        ("schemas collect", {"--store": "redis://127.0.0.1:1"}, "--release: found nothing"),
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


@pytest.mark.parametrize(
    ("words", "code", "path"),
    [
        (["simulate", "--out", "x", "--end", "soon"], "invalid_moment", "--end"),
        (["validate", "--nonsense"], "usage", "proviso validate"),
        (["nonsense"], "usage", "proviso"),
        (["gate", "--stage", "register"], "usage", "proviso gate"),
        (["simulate", "--days", "2", "--out", f"{NOWHERE}/x"], "not_a_directory", NOWHERE),
    ],
)
def test_with_json_an_error_is_one_object_on_stderr(
    tmp_path: Path, words: list[str], code: str, path: str
) -> None:
    (tmp_path / NOWHERE).write_text("a file where a directory is wanted")
    done = call("--contracts", ROOT / "contracts", *words, "--json")
    assert (done.code, done.out) == (2, "")
    [error] = json.loads(done.err.splitlines()[-1])["errors"]
    assert list(error) == ["code", "path", "line", "column", "found", "wanted", "why", "message"]
    assert error["code"] == code
    assert path in error["path"]
    assert error["message"] or (error["found"] and error["wanted"])


def test_a_dry_run_makes_no_project(tmp_path: Path) -> None:
    assert call("init", tmp_path / "new", "--dry-run").code == 0
    assert not (tmp_path / "new").exists()


def test_a_failed_check_is_exit_one(tmp_path: Path) -> None:
    assert call("init", tmp_path / "new").code == 0
    plan = tmp_path / "new" / "serving_release_plan.yml"
    plan.write_text(plan.read_text().replace("steps: [", "steps: [100, "))
    done = call("--contracts", tmp_path / "new", "validate")
    assert done.code == 1
    assert "canary.steps" in done.err
    machine = call("--contracts", tmp_path / "new", "validate", "--json")
    errors = json.loads(machine.err.splitlines()[-1])["errors"]
    assert machine.code == 1
    assert machine.json["passed"] is False
    assert any("canary.steps" in error["path"] for error in errors)


def test_the_version() -> None:
    done = call("--version")
    assert (done.code, done.out.split()[0]) == (0, "proviso")


OLD = [spelling.old for spelling in SPELLINGS]


@pytest.mark.parametrize("spelling", SPELLINGS, ids=lambda one: f"{one.old} {one.flag}".strip())
def test_an_old_spelling_is_the_new_command_and_says_so(spelling: object) -> None:
    old, new = spelling.old, spelling.new  # type: ignore[attr-defined]
    flag = [spelling.flag] if spelling.flag else []  # type: ignore[attr-defined]
    before, after = call(*old.split(), *flag, "--help"), call(*new.split(), "--help")
    assert before.err == f"deprecated: use proviso {new}\n"
    assert (before.code, before.out) == (after.code, after.out)
    assert after.err == ""
    assert f" {old.split()[0]} " not in call("--help").out or old == "schemas"


def test_schemas_was_one_command() -> None:
    options = ["--store", "redis://127.0.0.1:1"]
    listed, _ = current_spelling(["schemas", *options, "--dry-run"])
    assert listed == ["schemas", "list", *options]
    collected, _ = current_spelling(["schemas", *options, "--collect", "--dry-run"])
    assert collected == ["schemas", "collect", *options, "--dry-run"]
    for words in (["schemas"], ["schemas", "--help"], ["schemas", "list", *options]):
        assert current_spelling(words) == (words, None)


def test_an_old_spelling_keeps_stdout_clean_and_its_exit_code() -> None:
    words = ["schemas", "--store", "redis://127.0.0.1:1", "--json"]
    done = call(*words)
    assert (done.code, done.out) == (2, "")
    first, last = done.err.splitlines()
    assert first == "deprecated: use proviso schemas list"
    assert json.loads(last)["errors"]
