"""`proviso replay`."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Annotated, Any

import typer

from proviso.cli.console import emit, note, span
from proviso.cli.options import (
    End,
    EvidenceDir,
    GrpcTarget,
    History,
    Json,
    ReleaseDir,
    Sample,
    Seed,
    Sources,
    Start,
    StorePasswordFile,
    StoreUrl,
    Target,
    Transactions,
)
from proviso.cli.outputs import check_written
from proviso.clients.endpoint import clients_of
from proviso.contracts.loading import load_contract, load_plan
from proviso.contracts.places import place_sources
from proviso.online.materialize import Clocks
from proviso.online.store import OnlineStore
from proviso.release.directory import read_release
from proviso.replay.endpoint import replay_endpoint
from proviso.replay.evidence import REPLAY_FILE, SKEW_FILE
from proviso.replay.replay import ReplayContext, ReplaySettings


def replay(
    ctx: typer.Context,
    release: ReleaseDir,
    history: History,
    start: Start,
    end: End,
    sample: Sample,
    store: StoreUrl,
    target: Target,
    transactions: Transactions = None,
    source: Sources = None,
    grpc_target: GrpcTarget = None,
    store_password_file: StorePasswordFile = None,
    evidence: EvidenceDir = None,
    seed: Seed = 7,
    drill: Annotated[
        bool,
        typer.Option("--drill/--no-drill", help="Leave out runs and add unseen entities as well."),
    ] = True,
    as_json: Json = False,
) -> None:
    """Compare an endpoint's answers with the offline rows.

    The endpoint must run with the replay clock (`proviso local up --replay-clock`). Exit 1 where
    an answer differs.
    """
    sources = place_sources(load_contract(ctx.obj), transactions, source or ())
    plan, candidate = load_plan(ctx.obj), read_release(release)
    settings = ReplaySettings(sources.observed, *span(start, end), sample, seed, drill)
    out = evidence or Path("evidence") / candidate.id
    files = [out / REPLAY_FILE, out / SKEW_FILE]
    check_written(ctx.obj, files, *sources.read, history=history, releases=[release])
    with closing(OnlineStore(store, store_password_file)) as online:
        clocks = Clocks(None, plan.clock_margin, plan.write_deadline)
        context = ReplayContext(sources.contract, candidate, history, online, clocks)
        clients = clients_of(candidate.model_name, candidate.service, target, grpc_target)
        summary = replay_endpoint(context, settings, clients, out, note)
    emit(summary, as_json, lambda: _text(summary))
    if summary["reasons"] or summary["skew"].get("REVIEW"):
        raise typer.Exit(1)


def _text(summary: dict[str, Any]) -> str:
    strata = ", ".join(f"{name} {count}" for name, count in summary["strata"].items())
    return "\n".join(
        [
            f"requests: {summary['requests']} ({strata})",
            f"max |dp|: {summary['max_probability_difference']:.1e}",
            f"skew rows: {summary['skew']}",
            *summary["reasons"],
        ]
    )
