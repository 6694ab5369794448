"""The project of `proviso init`, completed as its owners would: signed, with evidence.

Its contract states every key, in version 1: tests break one of them each.
"""

from __future__ import annotations

import re
from pathlib import Path

from proviso.contracts.loading import CONTRACT_FILE, PAYLOADS_FILE, PLAN_FILE, SKEW_FILE
from proviso.contracts.starter import template_files, template_text

EVIDENCE = Path(__file__).parent / "parcels"
_UNSIGNED = re.compile(r"owner: (\S+), signed_off_by: null\}")


def project_text(name: str) -> str:
    """The text of one of the complete project's files."""
    if name in (CONTRACT_FILE, PAYLOADS_FILE, SKEW_FILE):
        return (EVIDENCE / name).read_text(encoding="utf-8")
    text = template_text(name)
    return signed(text) if name == PLAN_FILE else text


def signed(plan: str) -> str:
    """A plan's text with the sign-offs of all owners."""
    return _UNSIGNED.sub(r"owner: \1, signed_off_by: \1, signed_off_on: 2026-11-20}", plan)


def write_project(directory: Path) -> Path:
    """Writes the complete project into a directory, which it makes."""
    directory.mkdir(parents=True, exist_ok=True)
    for name in (*template_files(), PAYLOADS_FILE, SKEW_FILE):
        (directory / name).write_text(project_text(name), encoding="utf-8")
    return directory
