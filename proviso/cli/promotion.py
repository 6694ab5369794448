"""`proviso shadow` and `proviso load`: what promotion needs beside the evidence of `shadow`."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from proviso.checks import load as stress
from proviso.checks.evidence import Evidence, write_evidence
from proviso.checks.shadow import compare
from proviso.cli.console import Json, emit, note
from proviso.clients.endpoint import Client, Clients, GrpcClient, RestClient
from proviso.contracts.loading import load_contract, load_plan
from proviso.release.directory import Release, read_release

ReleaseDir = Annotated[Path, typer.Option("--release", help="Release directory.")]
EvidenceDir = Annotated[
    Path | None,
    typer.Option("--evidence", help="Where to write (default: evidence/<release id>/)."),
]


def shadow(
    release: ReleaseDir,
    served: Annotated[Path, typer.Option(help="Prediction record of the release in force.")],
    shadowed: Annotated[Path, typer.Option(help="Prediction record of the candidate.")],
    evidence: EvidenceDir = None,
    as_json: Json = False,
) -> None:
    """Compare what the candidate decided on mirrored requests; exit 1 when there are none."""
    found = compare(served, shadowed, read_release(release).id)
    _keep(found, evidence, as_json)


def load(
    ctx: typer.Context,
    release: ReleaseDir,
    transactions: Annotated[Path, typer.Option(help="Whom to ask about (Parquet).")],
    target: Annotated[str, typer.Option(help="Endpoint, http://host:port.")],
    grpc_target: Annotated[
        str | None, typer.Option(help="host:port for V2 gRPC; then half of the requests use it.")
    ] = None,
    seconds: Annotated[
        float | None, typer.Option(min=1, max=3600, help="A level's length (default: the plan's).")
    ] = None,
    evidence: EvidenceDir = None,
    as_json: Json = False,
) -> None:
    """Ask the endpoint at the plan's concurrencies, and keep latencies, rate and errors."""
    plan, found = load_plan(ctx.obj), read_release(release)
    asked = stress.load_requests(load_contract(ctx.obj), found.service, transactions)
    lasting = plan.stress_test.duration / 1e6 if seconds is None else seconds

    async def run() -> list[stress.Level]:
        async with _clients(found, target, grpc_target) as clients:
            levels = plan.stress_test.concurrency
            return await stress.measure(clients, asked, levels, lasting, note)

    _keep(stress.evidence_of(found.id, asyncio.run(run())), evidence, as_json)


def _clients(release: Release, target: str, grpc_target: str | None) -> Clients:
    protocols: list[Client] = [RestClient(target, release.model_name, release.service)]
    if grpc_target:
        protocols.append(GrpcClient(grpc_target, release.model_name, release.service))
    return Clients(*protocols)


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


def register(app: typer.Typer) -> None:
    """Adds this station's commands."""
    app.command()(shadow)
    app.command()(load)
