"""Reads evidence files with a size limit; the content is checked by the caller."""

from __future__ import annotations

from pathlib import Path

from proviso.contracts.base import InputError

MAX_EVIDENCE_BYTES = 64 * 1024 * 1024


def read_evidence(path: Path, wanted: str) -> bytes:
    """A file's content. Raises InputError when it is absent, no file, too large or unreadable."""
    try:
        if not path.is_file():
            raise InputError.of(path, "nothing", wanted, code="evidence_missing")
        if path.stat().st_size > MAX_EVIDENCE_BYTES:
            found = f"more than {MAX_EVIDENCE_BYTES} bytes"
            raise InputError.of(path, found, wanted, code="evidence_too_large")
        return path.read_bytes()
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError.event("file_unreadable", f"cannot read: {reason}", path) from None
