"""Evidence files as the gate reads them: bounded, and never believed to be whole."""

from __future__ import annotations

from pathlib import Path

from proviso.contracts.base import InputError

MAX_EVIDENCE_BYTES = 64 * 1024 * 1024


def read_evidence(path: Path, wanted: str) -> bytes:
    """A file's content. Raises InputError when it is absent, no file, too large or unreadable."""
    try:
        if not path.is_file():
            raise InputError.of(path, "nothing", wanted)
        if path.stat().st_size > MAX_EVIDENCE_BYTES:
            found = f"more than {MAX_EVIDENCE_BYTES} bytes"
            raise InputError.of(path, found, wanted)
        return path.read_bytes()
    except OSError as error:
        raise InputError.of(path, error.strerror or "an error", wanted) from None
