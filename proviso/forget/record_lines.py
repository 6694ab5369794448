"""Prediction records without the lines of one entity.

A pod keeps its file open for appending and would write on into a file that is no longer there. So
a file that a process has open stays as it is, and is named.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import hmac
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from proviso.contracts.files import Replacements
from proviso.forget.subject import Subject

_BUSY = (errno.EAGAIN, errno.EWOULDBLOCK)


@dataclass(frozen=True)
class Lines:
    """Which lines are the subject's. hash_key: of plans with `hash_entity_keys`."""

    subject: Subject
    hash_key: bytes | None

    def owns(self, line: bytes) -> bool:
        """Whether a line names the subject; one that is no JSON, whether its text has its id."""
        name, text = self.subject.name, str(self.subject.value)
        try:
            stated = json.loads(line)["entities"].get(name)
        except (ValueError, RecursionError, KeyError, TypeError, AttributeError):
            return json.dumps(self.subject.value).encode() in line
        return stated is not None and str(stated) in {text, self._hashed()}

    def hidden(self, line: bytes) -> bool:
        """Whether a line has a hash in place of the id, and there is no key to compare it by."""
        if self.hash_key is not None:
            return False
        try:
            stated = str(json.loads(line)["entities"].get(self.subject.name))
        except (ValueError, RecursionError, KeyError, TypeError, AttributeError):
            return False
        return len(stated) == 64 and set(stated) <= set("0123456789abcdef")

    def _hashed(self) -> str | None:
        if self.hash_key is None:
            return None
        text = f"{self.subject.name}:{self.subject.value}".encode()
        return hmac.new(self.hash_key, text, hashlib.sha256).hexdigest()


@dataclass(frozen=True)
class Found:
    """Lines of the subject, and lines that may be."""

    owned: int
    hidden: int


def search(path: Path, lines: Lines) -> Found:
    """How many lines of a file are the subject's."""
    owned = hidden = 0
    for line in _lines(path):
        owned += lines.owns(line)
        hidden += lines.hidden(line)
    return Found(owned, hidden)


def rewrite(files: Replacements, path: Path, lines: Lines) -> None:
    """Writes a file again without the subject's lines."""
    with files.writing(path) as temporary, temporary.open("wb") as out:
        out.writelines(line for line in _lines(path) if not lines.owns(line))


def in_use(path: Path) -> bool:
    """Whether any process of this machine has the file open. The kernel grants a write lease only
    on a file that is open nowhere else; a file system without leases does not tell."""
    with path.open("rb") as file:
        try:
            fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_WRLCK)
            fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_UNLCK)
        except OSError as error:
            return error.errno in _BUSY
    return False


def _lines(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        yield from file
