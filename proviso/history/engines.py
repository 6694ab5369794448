"""Picks the history engine by name; the only module outside `history.duckdb` that names it.

    from proviso.history.engines import history_engine
    history_engine().build_dataset(contract, history, transactions, start, end, out)

The environment variable PROVISO_ENGINE names another engine than DuckDB. CONTRIBUTING.md lists
the steps by which an engine is added.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, cast

from proviso.contracts.base import InputError
from proviso.history.ports import HistoryEngine

if TYPE_CHECKING:
    from proviso.history import duckdb

    # mypy: the module has every operation, with the port's types.
    _DUCKDB: HistoryEngine = duckdb

VARIABLE = "PROVISO_ENGINE"
DEFAULT = "duckdb"
ENGINES = {"duckdb": "proviso.history.duckdb"}
"""Modules by name; a module is imported when its engine is first asked for."""


def history_engine(name: str | None = None) -> HistoryEngine:
    """The engine of a name, else of PROVISO_ENGINE, else DuckDB. Raises InputError."""
    chosen = name or os.environ.get(VARIABLE) or DEFAULT
    if chosen not in ENGINES:
        known = f"one of {', '.join(sorted(ENGINES))}"
        raise InputError.of(VARIABLE, chosen, known, code="history_engine_unknown")
    return cast("HistoryEngine", import_module(ENGINES[chosen]))
