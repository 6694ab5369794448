"""A step's own check, as one error that names what it looked at."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from proviso.contracts.base import ContractError, Problem


def require(where: Path | str, problems: Sequence[str], wanted: str, code: str) -> None:
    """Raises ContractError with all `problems` of a step; returns when there is none."""
    if problems:
        raise ContractError([Problem(str(where), found, wanted, code=code) for found in problems])
