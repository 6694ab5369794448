"""Replays a sample against an endpoint and keeps the evidence: what `proviso replay` does."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import Any

from proviso.clients.endpoint import Clients
from proviso.replay.evidence import passed, summarize
from proviso.replay.replay import Progress, Span, Stage, perform, rehearse


def replay_endpoint(
    stage: Stage, span: Span, clients: Clients, out: Path, progress: Progress
) -> dict[str, Any]:
    """The content of replay.json, with `reasons` why it does not pass. Closes the clients.

    Writes replay.json and skew.csv into `out`. Raises InputError.
    """
    with tempfile.TemporaryDirectory(prefix="proviso-replay-") as work:
        rehearsal = rehearse(stage, span, Path(work))

    async def play() -> dict[str, Any]:
        async with clients:
            outcomes = await perform(stage, rehearsal, span, clients, progress)
        return summarize(stage.contract, stage.release.id, rehearsal, outcomes, out)

    summary = asyncio.run(play())
    reasons = [r for r in passed(summary) if span.drill or "stratum" not in r]
    return summary | {"reasons": reasons}
