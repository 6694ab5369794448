"""Runs programs beside the API server: docker, kind, kubectl.

Lists of arguments, never a shell; bounded in time; an error has the last lines of the output.
"""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

from proviso.contracts.base import InputError

SECONDS = 600.0
"""A limit, not a measurement: six seconds of work take minutes on a machine that is busy."""
_LINES = 15


@dataclass(frozen=True)
class Done:
    """A program that has ended. tail: the last lines of both outputs."""

    status: int
    stdout: str
    tail: str


def attempt(command: Sequence[str], seconds: float = SECONDS, text: str | None = None) -> Done:
    """Runs a command that may fail. text: its stdin.

    Raises InputError where the program is missing, cannot be started or does not end in time.
    """
    path = " ".join(command[:3])
    try:
        done = subprocess.run(
            list(command),
            input=text,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=seconds,
            check=False,
        )
    except FileNotFoundError:
        why = f"install {command[0]}, or put it on PATH"
        raise InputError.event(
            "program_missing", "no such program on PATH", command[0], why
        ) from None
    except subprocess.TimeoutExpired:
        message = f"did not end within {seconds:g} s"
        raise InputError.event("program_timeout", message, path) from None
    except OSError as error:
        raise InputError.event("program_failed", f"could not be started: {error}", path) from error
    lines = f"{done.stdout}\n{done.stderr}".strip().splitlines()[-_LINES:]
    return Done(done.returncode, done.stdout, "\n".join(lines))


def call(command: Sequence[str], seconds: float = SECONDS, text: str | None = None) -> str:
    """stdout of a command that has to succeed. Raises InputError with its last lines."""
    done = attempt(command, seconds, text)
    if done.status != 0:
        message = f"ended with exit code {done.status}:\n{done.tail}"
        raise InputError.event("program_failed", message, " ".join(command[:3]))
    return done.stdout
