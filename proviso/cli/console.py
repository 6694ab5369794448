"""How commands talk: results on stdout, progress and errors on stderr, `--json` for machines."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer

from feature_runtime.core import moments
from proviso.contracts.base import InputError

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, do nothing.")]


def emit(result: dict[str, Any], as_json: bool, text: Callable[[], str]) -> None:
    """The command's result, once, on stdout."""
    print(json.dumps(result, default=str) if as_json else text())


def note(message: str) -> None:
    """A line of progress on stderr, out of the way of results."""
    print(message, file=sys.stderr, flush=True)


@contextmanager
def step(title: str) -> Iterator[None]:
    """Announces a long step and says how long it took."""
    started = time.monotonic()
    note(f"  {title} ...")
    yield
    note(f"  {title}: {time.monotonic() - started:.1f} s")


def moment(option: str, text: str) -> int:
    """A moment given on the command line: RFC 3339, a bare date (its midnight UTC), or `now`."""
    if text == "now":
        return moments.now()
    try:
        return moments.parse_moment(text if len(text) > 10 else f"{text}T00:00:00")
    except ValueError:
        wanted = "a moment such as 2018-06-20T12:00:00Z, a date, or now"
        raise InputError.of(option, repr(text), wanted) from None


def day(option: str, text: str) -> int:
    """A day given on the command line: the microseconds of its midnight UTC."""
    if len(text) != len("2018-06-20"):
        raise InputError.of(option, repr(text), "a day such as 2018-06-20")
    return moment(option, text)


def duration(option: str, text: str) -> int:
    """An ISO 8601 duration given on the command line, in microseconds."""
    try:
        return moments.parse_duration(text)
    except ValueError:
        raise InputError.of(option, repr(text), "an ISO 8601 duration such as P7D") from None
