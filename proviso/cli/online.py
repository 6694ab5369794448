"""`proviso materialize` and `proviso replay`."""

from __future__ import annotations

import asyncio
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from proviso.cli.console import DryRun, Json, emit, moment, note
from proviso.cli.follow import Place, follow, source_stream
from proviso.clients.endpoint import Client, Clients, GrpcClient, RestClient
from proviso.contracts.base import InputError
from proviso.contracts.contract import Contract, FeatureView
from proviso.contracts.loading import load_contract, load_plan
from proviso.contracts.section import consumed_views, service_of
from proviso.online.materialize import Clocks, Materializer, Written
from proviso.online.store import OnlineStore
from proviso.online.stream.follower import Manner
from proviso.release.directory import read_release
from proviso.replay.evidence import passed, summarize
from proviso.replay.replay import Span, Stage, perform, rehearse

History = Annotated[Path, typer.Option("--history", help="Directory of the feature history.")]
Store = Annotated[str, typer.Option("--store", help="Online store, redis://host:port.")]
Password = Annotated[
    Path | None, typer.Option("--store-password-file", help="File with the store's password.")
]


def materialize(
    ctx: typer.Context,
    history: History,
    store: Store,
    as_of: Annotated[
        str, typer.Option("--as-of", help="Moment of the writer, or `now`.", show_default=False)
    ] = "",
    store_password_file: Password = None,
    release: Annotated[
        list[Path] | None, typer.Option("--release", help="Releases in force (repeatable).")
    ] = None,
    view: Annotated[
        list[str] | None,
        typer.Option("--view", help="Only this view (repeatable), as one that nobody follows."),
    ] = None,
    following: Annotated[
        bool, typer.Option("--follow", help="Publish on-event views as a stream's messages arrive.")
    ] = False,
    stream: Annotated[
        str | None,
        typer.Option("--stream", help="With --follow: its name (default: the source's)."),
    ] = None,
    group: Annotated[
        str, typer.Option("--group", help="With --follow: the consumer group.")
    ] = "proviso",
    landing: Annotated[
        Path, typer.Option("--landing", help="With --follow: where transactions land.")
    ] = Path("landing"),
    settle_ms: Annotated[
        int, typer.Option("--settle-ms", min=0, max=60_000, help="Time to put arrivals in order.")
    ] = 200,
    max_batch: Annotated[
        int, typer.Option("--max-batch", min=1, max=50_000, help="Messages read at once.")
    ] = 1_000,
    until_drained: Annotated[
        bool, typer.Option("--until-drained", help="With --follow: end when nothing is left.")
    ] = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Write the history's rows into the online store, ahead of their visibility.

    After a crash run it again: it finishes what was begun.
    """
    contract, plan = load_contract(ctx.obj), load_plan(ctx.obj)
    views = _views(contract, release or [])
    if not release:
        views = consumed_views(contract, service_of(contract, plan))
    views = _chosen(views, view or [])
    if following == bool(as_of):
        raise InputError.of("--as-of", repr(as_of), "a moment, or --follow instead")
    if following:
        online = OnlineStore(store, store_password_file)
        clocks = Clocks(None, plan.clock_margin, plan.write_deadline)
        writer = Materializer(contract, history, online, clocks)
        name = source_stream(contract, stream)
        place = Place(store, store_password_file, name, group, landing)
        manner = Manner(settle_ms * 1_000, max_batch, until_drained)
        follow(writer, views, place, manner, dry_run, as_json)
        online.close()
        return
    clock = None if as_of == "now" else moment("--as-of", as_of)
    if dry_run:
        plan_of = {"as_of": as_of, "views": {v.name: contract.schema_of(v) for v in views}}
        emit(plan_of, as_json, lambda: f"would write {', '.join(plan_of['views'])} as of {as_of}")
        return
    online = OnlineStore(store, store_password_file)
    clocks = Clocks(clock, plan.clock_margin, plan.write_deadline)
    written = Materializer(contract, history, online, clocks).bring_up(views, progress=note)
    online.close()
    emit(
        {"views": [asdict(w) for w in written]},
        as_json,
        lambda: "\n".join(map(_said, written)),
    )


def _said(done: Written) -> str:
    counts = {"batches late": done.late_batches, "batches of a dead writer resent": done.resent}
    more = [f"{count} {what}" for what, count in counts.items() if count]
    return ", ".join([f"{done.view}: {done.rows} rows, {done.changed} keys changed", *more])


def _chosen(views: list[FeatureView], wanted: list[str]) -> list[FeatureView]:
    """The views asked for; all where none is."""
    known = [view.name for view in views]
    for name in wanted:
        if name not in known:
            raise InputError.of("--view", repr(name), f"one of {', '.join(known)}")
    return [view for view in views if not wanted or view.name in wanted]


def _views(contract: Contract, releases: list[Path]) -> list[FeatureView]:
    """The views of all releases in force; each must have the contract's schema."""
    found: dict[str, FeatureView] = {}
    for directory in releases:
        for view in read_release(directory).service.views:
            known = contract.view_by_name.get(view.name)
            wanted = contract.schema_of(known) if known else "no such view"
            if known is None or wanted != view.schema:
                raise InputError.of(
                    f"{directory}: view {view.name}",
                    f"schema {view.schema}",
                    wanted,
                    "this history holds the contract's schema",
                )
            found[view.name] = known
    return list(found.values())


def replay(
    ctx: typer.Context,
    release: Annotated[Path, typer.Option("--release", help="Release directory.")],
    history: History,
    transactions: Annotated[Path, typer.Option("--transactions", help="Transactions (Parquet).")],
    start: Annotated[str, typer.Option("--start", help="First moment, inclusive.")],
    end: Annotated[str, typer.Option("--end", help="Last moment, exclusive.")],
    sample: Annotated[int, typer.Option("--sample", min=1, max=100_000, help="How many requests.")],
    store: Store,
    target: Annotated[str, typer.Option("--target", help="Endpoint, http://host:port.")],
    grpc_target: Annotated[
        str | None,
        typer.Option(
            "--grpc-target", help="host:port for V2 gRPC; then half of the requests use it."
        ),
    ] = None,
    store_password_file: Password = None,
    evidence: Annotated[
        Path | None,
        typer.Option("--evidence", help="Where to write (default: evidence/<release id>/)."),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Which sample.")] = 7,
    drill: Annotated[
        bool, typer.Option(help="Leave out runs and ask about unseen entities, too.")
    ] = True,
    as_json: Json = False,
) -> None:
    """Hold the endpoint to its offline rows; it must run with the replay clock. Exit 1 on skew."""
    plan, found = load_plan(ctx.obj), read_release(release)
    online = OnlineStore(store, store_password_file)
    clocks = Clocks(None, plan.clock_margin, plan.write_deadline)
    stage = Stage(load_contract(ctx.obj), found, history, online, clocks)
    span = Span(transactions, moment("--start", start), moment("--end", end), sample, seed, drill)
    where = evidence or Path("evidence") / found.id
    with tempfile.TemporaryDirectory(prefix="proviso-replay-") as work:
        rehearsal = rehearse(stage, span, Path(work))

    async def play() -> dict[str, Any]:
        protocols: list[Client] = [RestClient(target, found.model_name, found.service)]
        if grpc_target:
            protocols.append(GrpcClient(grpc_target, found.model_name, found.service))
        async with Clients(*protocols) as clients:
            outcomes = await perform(stage, rehearsal, span, clients, note)
        return summarize(stage.contract, found.id, rehearsal, outcomes, where)

    summary = asyncio.run(play())
    online.close()
    reasons = passed(summary) if drill else [r for r in passed(summary) if "stratum" not in r]
    emit(summary | {"reasons": reasons}, as_json, lambda: _text(summary, reasons))
    if reasons or summary["skew"].get("REVIEW"):
        raise typer.Exit(1)


def _text(summary: dict[str, Any], reasons: list[str]) -> str:
    strata = ", ".join(f"{name} {count}" for name, count in summary["strata"].items())
    return "\n".join(
        [
            f"requests: {summary['requests']} ({strata})",
            f"max |dp|: {summary['max_probability_difference']:.1e}",
            f"skew rows: {summary['skew']}",
            *reasons,
        ]
    )


def register(app: typer.Typer) -> None:
    """Adds this station's commands."""
    app.command()(materialize)
    app.command()(replay)
