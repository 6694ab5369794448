"""Reads secrets that a contract names."""

from __future__ import annotations

import os
from pathlib import Path

from proviso.contracts.base import InputError
from proviso.contracts.locations import Secret


def read_secret(secret: Secret, folder: Path) -> str:
    """The secret's text; a file is relative to `folder`. Raises InputError, without the text."""
    if secret.env is not None:
        value, missing = os.environ.get(secret.env, ""), "the variable is not set or empty"
        return _there(value, missing, f"environment {secret.env}")
    path = folder / str(secret.file)
    try:
        return _there(path.read_text(encoding="utf-8").rstrip("\r\n"), "the file is empty", path)
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        return _there("", str(reason), path)


def _there(value: str, missing: str, named: object) -> str:
    if not value:
        why = "a location names it"
        raise InputError.event("location_secret_missing", missing, named, why) from None
    return value
