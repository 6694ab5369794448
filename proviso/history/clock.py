"""The clock that a file of transactions is read by: rows beyond it are set aside (docs/time.md)."""

from __future__ import annotations

from pathlib import Path

from feature_runtime.core.moments import now
from proviso.history.values import SourceClock
from proviso.simulation.ongoing import simulated_until


def source_clock(transactions: Path, margin: int, *stated: int | None) -> SourceClock:
    """This machine's clock, or a later one that is stated.

    stated: moments that the caller names, such as --as-of or the end of the test days. A
    simulated file states its own end.
    """
    given = (moment for moment in (simulated_until(transactions), *stated) if moment is not None)
    return SourceClock(max((now(), *given)), margin)
