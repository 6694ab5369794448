"""The programs that a deployment calls beside the API server: docker, kind, kubectl.

Lists of arguments, never a shell; bounded in time; what a failure said last is in the error.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence

from proviso.contracts.base import InputError

SECONDS = 120.0
_LINES = 15


def call(command: Sequence[str], seconds: float = SECONDS, text: str | None = None) -> str:
    """stdout of a command. Raises InputError with what it said where it fails."""
    if shutil.which(command[0]) is None:
        raise InputError.of(command[0], "no such program on PATH", f"{command[0]}, installed")
    try:
        done = subprocess.run(
            list(command), input=text, capture_output=True, text=True, timeout=seconds, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise InputError.of(" ".join(command[:3]), str(error)[:300], "it to end well") from error
    if done.returncode != 0:
        said = "\n".join(f"{done.stdout}\n{done.stderr}".strip().splitlines()[-_LINES:])
        raise InputError.of(" ".join(command[:3]), f"exit {done.returncode}:\n{said}", "exit 0")
    return done.stdout
