"""`proviso check shadow` and `proviso check load`."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from proviso.checks import load as stress
from proviso.checks.evidence import Evidence, write_evidence
from proviso.checks.shadow import compare
from proviso.cli.console import emit, note
from proviso.cli.options import EvidenceDir, GrpcTarget, Json, ReleaseDir, Target, Transactions
from proviso.clients.endpoint import clients_of
from proviso.contracts.loading import load_contract, load_plan
from proviso.release.directory import read_release


def shadow(
    release: ReleaseDir,
    served: Annotated[
        Path, typer.Option("--served", help="Prediction record of the live release (JSONL).")
    ],
    shadowed: Annotated[
        Path, typer.Option("--shadowed", help="Prediction record of the candidate (JSONL).")
    ],
    evidence: EvidenceDir = None,
    as_json: Json = False,
) -> None:
    """Compare a candidate's decisions with the live ones.

    Exit 1 without a request in both records.
    """
    found = compare(served, shadowed, read_release(release).id)
    _keep(found, evidence, as_json)


def load(
    ctx: typer.Context,
    release: ReleaseDir,
    transactions: Transactions,
    target: Target,
    grpc_target: GrpcTarget = None,
    seconds: Annotated[
        float | None,
        typer.Option(
            "--seconds",
            min=1,
            max=3600,
            help="Seconds at each concurrency (default: the plan's).",
        ),
    ] = None,
    evidence: EvidenceDir = None,
    as_json: Json = False,
) -> None:
    """Measure latency, rate and errors under load."""
    plan, found = load_plan(ctx.obj), read_release(release)
    asked = stress.load_requests(load_contract(ctx.obj), found.service, transactions)
    lasting = plan.stress_test.duration / 1e6 if seconds is None else seconds

    async def run() -> list[stress.Level]:
        async with clients_of(found.model_name, found.service, target, grpc_target) as clients:
            levels = plan.stress_test.concurrency
            return await stress.measure(clients, asked, levels, lasting, note)

    _keep(stress.evidence_of(found.id, asyncio.run(run())), evidence, as_json)


def _keep(found: Evidence, evidence: Path | None, as_json: bool) -> None:
    path = write_evidence(evidence or Path("evidence") / found.release, found)
    emit(found.as_dict(), as_json, lambda: _text(found, path))
    if not found.passed:
        raise typer.Exit(1)


def _text(found: Evidence, path: Path) -> str:
    figures = [
        f"{name}: {value:g}"
        for name, value in found.figures.items()
        if isinstance(value, int | float)
    ]
    return "\n".join([*figures, *found.reasons, f"kept in {path}"])
