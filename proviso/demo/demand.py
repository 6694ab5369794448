"""A step's own check, as one error that names what it looked at."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from proviso.contracts.base import ContractError, Problem


def demand(where: Path | str, found: Sequence[str], wanted: str) -> None:
    """Raises ContractError with everything in `found`; returns when there is nothing."""
    if found:
        raise ContractError([Problem(str(where), problem, wanted) for problem in found])
