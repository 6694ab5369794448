"""Completion as bash asks for it, and what a start, a help page and a completion import."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PROGRAM = "from proviso.cli.main import app_main; app_main()"
HEAVY = ("duckdb", "kubernetes", "numpy", "onnx", "pandas", "pyarrow", "redis", "xgboost")


def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """The program in a process of its own; stderr ends with the heavy packages it imported."""
    loaded = "import atexit, sys; atexit.register(lambda: print(*sys.modules, file=sys.stderr)); "
    return subprocess.run(
        [sys.executable, "-c", loaded + PROGRAM, *arguments],
        env={**os.environ, **variables},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def complete(line: str) -> subprocess.CompletedProcess[str]:
    """What bash is told for a line whose last word is being typed."""
    words = {"COMP_WORDS": line, "COMP_CWORD": str(len(line.split(" ")) - 1)}
    return run(**words, _PROVISO_COMPLETE="complete_bash")


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("proviso fea", ["features"]),
        ("proviso sch", ["schemas"]),
        ("proviso stream ", ["produce", "export"]),
        ("proviso check f", ["freshness"]),
        ("proviso check freshness --store", ["--store", "--store-password-file"]),
        ("proviso gate --stage ", ["register", "shadow", "promote"]),
        ("proviso --contracts x local ", ["up", "down", "status", "demo"]),
        ("proviso fresh", []),
    ],
)
def test_bash_is_offered_commands_options_and_values(line: str, offered: list[str]) -> None:
    assert complete(line).stdout.split() == offered


def test_the_script_for_bash_calls_the_program() -> None:
    done = run(_PROVISO_COMPLETE="source_bash")
    assert done.returncode == 0
    assert "_PROVISO_COMPLETE=complete_bash" in done.stdout
    assert "complete -o default -F _proviso_completion proviso" in done.stdout


def test_completion_can_be_installed() -> None:
    shown = run("--help").stdout
    assert "--install-completion" in shown
    assert "--show-completion" in shown


@pytest.mark.parametrize("arguments", [("--version",), ("--help",), ("stream", "--help")])
def test_a_start_imports_no_station(arguments: tuple[str, ...]) -> None:
    done = run(*arguments)
    assert done.returncode == 0
    assert not {*HEAVY, "proviso.online.store"} & set(done.stderr.split())


@pytest.mark.parametrize("line", ["proviso ", "proviso sto", "proviso stream "])
def test_completing_a_command_imports_no_station(line: str) -> None:
    assert not {*HEAVY, "proviso.online.store"} & set(complete(line).stderr.split())
