"""The lab's pages say what happens: every command is run in their order, every output compared."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LAB = ROOT / "docs" / "lab"
PAGES = ("README.md", "exercises.md", "solution.md")
MARK = "--- end of"
_EXIT = re.compile(r"\s+# exit (\d)$")


@dataclass(frozen=True)
class Step:
    """One command of a page, its exit status, and what the page shows of its output.

    long: it takes minutes, and nothing after it needs it.
    """

    page: str
    long: bool
    command: str
    code: int
    shown: tuple[str, ...]


@dataclass(frozen=True)
class Ran:
    """What a command did."""

    code: int
    output: tuple[str, ...]


def steps(page: str) -> Iterator[Step]:
    """The commands of a page's console blocks."""
    text = (LAB / page).read_text()
    blocks = re.findall(r"^```console( long)?\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    for long, block in blocks:
        first, *others = re.split(r"^\$ ", block, flags=re.MULTILINE)
        assert not first, f"{page}: a console block must begin with a command"
        for part in others:
            command, *shown = part.rstrip("\n").split("\n")
            stated = _EXIT.search(command)
            yield Step(page, bool(long), command, int(stated[1]) if stated else 0, tuple(shown))


WHOLE = tuple(step for page in PAGES for step in steps(page))
WALK = tuple(step for step in WHOLE if not step.long)


def script(walk: tuple[Step, ...]) -> str:
    """All commands for one shell, as a reader types them into one."""
    lines = ["trap 'proviso local down >/dev/null 2>&1' EXIT"]
    for i, step in enumerate(walk):
        lines += [step.command, f'printf "\\n{MARK} {i} %s\\n" $?']
    return "\n".join(lines)


def run(walk: tuple[Step, ...], folder: Path) -> list[Ran]:
    """Walks in a folder of its own."""
    done = subprocess.run(
        ["bash", "-c", script(walk)],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(folder)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=570,
        check=False,
    )
    parts = re.split(rf"\n{MARK} \d+ (\d+)\n", done.stdout)
    assert len(parts) == 2 * len(walk) + 1, done.stdout[-2_000:] + done.stderr[-2_000:]
    outputs, codes = parts[:-1:2], parts[1::2]
    return [
        Ran(int(code), tuple(output.rstrip("\n").split("\n")) if output.strip() else ())
        for code, output in zip(codes, outputs, strict=True)
    ]


@pytest.fixture(scope="module")
def walked(tmp_path_factory: pytest.TempPathFactory) -> list[Ran]:
    """All but what takes minutes, once."""
    return run(WALK, tmp_path_factory.mktemp("lab"))


def as_shown(shown: tuple[str, ...]) -> re.Pattern[str]:
    """A line `...` stands for any lines, within a line for anything."""
    lines = [
        "(?:[^\n]*\n)*" if line == "..." else f"{'.*'.join(map(re.escape, line.split('...')))}\n"
        for line in shown
    ]
    return re.compile("".join(lines))


@pytest.mark.parametrize("at", range(len(WALK)), ids=[f"{s.page}:{s.command[:50]}" for s in WALK])
def test_a_command_does_what_the_page_shows(walked: list[Ran], at: int) -> None:
    compare(WALK[at], walked[at])


@pytest.mark.long
def test_the_whole_walk_does_what_the_pages_show(tmp_path: Path) -> None:
    for step, ran in zip(WHOLE, run(WHOLE, tmp_path), strict=True):
        compare(step, ran)


def compare(step: Step, ran: Ran) -> None:
    output = "".join(f"{line}\n" for line in ran.output)
    assert ran.code == step.code, output
    if step.shown:
        assert as_shown(step.shown).fullmatch(output), output


def test_nothing_is_left_running(walked: list[Ran]) -> None:
    """The last page stops what the first has started."""
    stopped = [r.output for s, r in zip(WALK, walked, strict=True) if s.command.endswith("down")]
    assert ("stopped: transformer, predictor, valkey",) in stopped


@pytest.mark.parametrize(
    ("shown", "output", "same"),
    [
        (("a ... c",), "a b c\n", True),
        (("a ... c",), "a b\nc\n", False),
        (("a", "...", "d"), "a\nb\nc\nd\n", True),
        (("a", "...", "d"), "a\nd\n", True),
        (("a", "d"), "a\nb\nd\n", False),
        (("1.5",), "1x5\n", False),
    ],
)
def test_what_is_left_out_on_a_page_and_nothing_else_may_differ(
    shown: tuple[str, ...], output: str, same: bool
) -> None:
    assert bool(as_shown(shown).fullmatch(output)) is same
