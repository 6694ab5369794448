"""`proviso materialize`, once or following a stream."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from proviso.cli.console import emit, given_moment, note
from proviso.cli.failures import print_problems
from proviso.cli.options import (
    DryRun,
    History,
    Json,
    ReleaseDirs,
    StorePasswordFile,
    StoreUrl,
    Stream,
)
from proviso.contracts.base import InputError
from proviso.contracts.contract import Contract, FeatureView
from proviso.contracts.loading import load_contract, load_plan
from proviso.online.materialize import Clocks, Materializer, Written, key_problem
from proviso.online.selection import views_to_write
from proviso.online.store import OnlineStore
from proviso.online.stream.follower import FollowSettings
from proviso.online.stream.following import StreamSource, follow, on_event_views


def materialize(
    ctx: typer.Context,
    history: History,
    store: StoreUrl,
    as_of: Annotated[
        str,
        typer.Option(
            "--as-of", help="Moment of the writer, or `now`; or --follow.", show_default=False
        ),
    ] = "",
    store_password_file: StorePasswordFile = None,
    release: ReleaseDirs = None,
    view: Annotated[
        list[str] | None,
        typer.Option("--view", help="Only this view (repeatable), such as the scheduled ones."),
    ] = None,
    following: Annotated[
        bool, typer.Option("--follow", help="Publish on-event views as a stream's messages arrive.")
    ] = False,
    stream: Stream = None,
    group: Annotated[
        str, typer.Option("--group", help="With --follow: the consumer group.")
    ] = "proviso",
    landing: Annotated[
        Path, typer.Option("--landing", help="With --follow: directory of landed rows.")
    ] = Path("landing"),
    settle_ms: Annotated[
        int,
        typer.Option(
            "--settle-ms", min=0, max=60_000, help="With --follow: wait to order arrivals (ms)."
        ),
    ] = 200,
    max_batch: Annotated[
        int,
        typer.Option(
            "--max-batch", min=1, max=50_000, help="With --follow: messages read at once."
        ),
    ] = 1_000,
    until_drained: Annotated[
        bool, typer.Option("--until-drained", help="With --follow: end when nothing is left.")
    ] = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Write the history to the online store.

    Once with --as-of, or with --follow as the messages of a stream arrive. Rows are written
    before the moment from which they may be read. After a crash run the command again: it
    finishes what was begun.
    """
    contract, plan = load_contract(ctx.obj), load_plan(ctx.obj)
    if following == bool(as_of):
        found = f"{as_of!r} and --follow" if following else "nothing"
        wanted = "a moment, or --follow instead"
        raise InputError.of("--as-of", found, wanted, code="options_conflict")
    views = views_to_write(contract, plan, release or [], view or [])
    if following:
        views = on_event_views(views, note)
    source = StreamSource(
        store, store_password_file, stream or contract.observations_of().rows.name, group, landing
    )
    clock = None if following else given_moment("--as-of", as_of)
    if dry_run:
        _plan(contract, views, source if following else None, as_of, as_json)
        return
    with closing(OnlineStore(store, store_password_file)) as online:
        clocks = Clocks(clock, plan.clock_margin, plan.write_deadline)
        hashed = plan.prediction_log.hash_entity_keys
        writer = Materializer(contract, history, online, clocks, hashed)
        for warning in online.warnings():
            note(f"warning: {warning}")
        if following:
            settings = FollowSettings(settle_ms * 1_000, max_batch, until_drained)
            _follow(writer, views, source, settings, as_json)
        else:
            _write(writer, views, as_json)


def _plan(
    contract: Contract,
    views: list[FeatureView],
    source: StreamSource | None,
    as_of: str,
    as_json: bool,
) -> None:
    names = ", ".join(view.name for view in views)
    if source is not None:
        text = f"would follow {source.stream} into {names}"
        emit(_followed(source, views), as_json, lambda: text)
        return
    schemas = {view.name: contract.schema_of(view) for view in views}
    text = f"would write {names} as of {as_of}"
    emit({"as_of": as_of, "views": schemas}, as_json, lambda: text)


def _followed(source: StreamSource, views: list[FeatureView]) -> dict[str, Any]:
    names = [view.name for view in views]
    return {"stream": source.stream, "group": source.group, "views": names}


def _follow(
    writer: Materializer,
    views: list[FeatureView],
    source: StreamSource,
    settings: FollowSettings,
    as_json: bool,
) -> None:
    with _until_signalled() as stopped:
        counts = asdict(follow(writer, views, source, settings, stopped, note))
    text = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in counts.items())
    emit(_followed(source, views) | counts, as_json, lambda: text)


def _write(writer: Materializer, views: list[FeatureView], as_json: bool) -> None:
    """Exit 1 when a key could not be written; the others are."""
    written = writer.bring_up(views, progress=note)
    rows = [asdict(one) for one in written]
    found = {"views": rows, "warnings": writer.store.warnings()}
    emit(found, as_json, lambda: "\n".join(map(_line, written)))
    address = writer.store.address
    problems = [key_problem(one.view, key, address) for one in written for key in one.refused]
    if problems:
        print_problems(problems, as_json)
        raise typer.Exit(1)


def _line(done: Written) -> str:
    counts = {
        "late batches": done.late_batches,
        "batches resent after a crash": done.resent,
        f"rows gave way to a later one ({', '.join(done.busy)})": done.coalesced,
    }
    more = [f"{count} {what}" for what, count in counts.items() if count]
    return ", ".join([f"{done.view}: {done.rows} rows, {done.changed} keys changed", *more])


@contextmanager
def _until_signalled() -> Iterator[Callable[[], bool]]:
    """Whether SIGTERM or SIGINT has come; the batch at hand is finished."""
    received: list[int] = []
    kinds = (signal.SIGTERM, signal.SIGINT)
    before = [signal.signal(kind, lambda number, _: received.append(number)) for kind in kinds]
    try:
        yield lambda: bool(received)
    finally:
        for kind, handler in zip(kinds, before, strict=True):
            signal.signal(kind, handler)
