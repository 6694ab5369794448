"""The clock that a file of transactions is read by: rows beyond it are set aside (docs/time.md)."""

from __future__ import annotations

from pathlib import Path

from feature_runtime.core.moments import now
from proviso.history.values import SourceClock
from proviso.simulation.ongoing import simulated_until


def source_clock(transactions: Path | None, margin: int, *stated: int | None) -> SourceClock:
    """This machine's clock, or a later one that is stated.

    stated: moments that the caller names, such as --as-of or the end of the test days. A
    simulated file states its own end. transactions: None where they are no file of this machine.
    """
    simulated = None if transactions is None else simulated_until(transactions)
    given = (moment for moment in (simulated, *stated) if moment is not None)
    return SourceClock(max((now(), *given)), margin)
