"""What commands print and how they read values: results on stdout, progress on stderr."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from feature_runtime.core import moments
from proviso.contracts.base import InputError


def emit(result: dict[str, Any], as_json: bool, text: Callable[[], str]) -> None:
    """Prints the command's result on stdout."""
    print(json.dumps(result, default=str) if as_json else text())


def note(message: str) -> None:
    """Prints a line of progress on stderr."""
    print(message, file=sys.stderr, flush=True)


@contextmanager
def step(title: str) -> Iterator[None]:
    """Prints when a long step begins, and how long it took (s)."""
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
        raise InputError.of(option, repr(text), wanted, code="invalid_moment") from None


def optional_moment(option: str, text: str | None) -> int | None:
    """As `moment`; None where the option is not given."""
    return None if text is None else moment(option, text)


def span(start: str, end: str) -> tuple[int, int]:
    """--start and --end of a command, which are [start, end). Raises InputError."""
    first, last = moment("--start", start), moment("--end", end)
    _check_order(first, last)
    return first, last


def optional_span(start: str | None, end: str | None) -> tuple[int | None, int | None]:
    """As `span`; None where an option is not given."""
    first, last = optional_moment("--start", start), optional_moment("--end", end)
    if first is not None and last is not None:
        _check_order(first, last)
    return first, last


def _check_order(start: int, end: int) -> None:
    if end <= start:
        found = f"[{moments.format_moment(start)}, {moments.format_moment(end)})"
        wanted, why = "--start before --end", "--start is included, --end is not"
        raise InputError.of("--start, --end", found, wanted, why, code="span_empty")


def given_moment(option: str, text: str) -> int | None:
    """As `moment`; None for `now`, where a clock other than this machine's counts."""
    return None if text == "now" else moment(option, text)


def day(option: str, text: str) -> int:
    """A day given on the command line: the microseconds of its midnight UTC."""
    if len(text) != len("2018-06-20"):
        raise InputError.of(option, repr(text), "a day such as 2018-06-20", code="invalid_day")
    return moment(option, text)


def duration(option: str, text: str) -> int:
    """An ISO 8601 duration given on the command line, in microseconds."""
    try:
        return moments.parse_duration(text)
    except ValueError:
        wanted = "an ISO 8601 duration such as P7D"
        raise InputError.of(option, repr(text), wanted, code="invalid_duration") from None
