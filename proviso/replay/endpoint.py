"""Replays a sample against an endpoint and keeps the evidence: what `proviso replay` does."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import Any

from proviso.clients.endpoint import Clients
from proviso.replay.evidence import replay_failures, write_replay_evidence
from proviso.replay.replay import (
    Progress,
    ReplayContext,
    ReplaySettings,
    prepare_replay,
    run_replay,
)


def replay_endpoint(
    context: ReplayContext,
    settings: ReplaySettings,
    clients: Clients,
    out: Path,
    progress: Progress,
) -> dict[str, Any]:
    """The content of replay.json, with `reasons` why it does not pass. Closes the clients.

    Writes replay.json and skew.csv into `out`. Raises InputError.
    """
    with tempfile.TemporaryDirectory(prefix="proviso-replay-") as work:
        prepared = prepare_replay(context, settings, Path(work))

    async def play() -> dict[str, Any]:
        async with clients:
            results = await run_replay(context, prepared, settings, clients, progress)
        return write_replay_evidence(context.contract, context.release.id, prepared, results, out)

    summary = asyncio.run(play())
    return summary | {"reasons": replay_failures(summary, strata=settings.drill)}
