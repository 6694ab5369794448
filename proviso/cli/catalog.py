"""`proviso catalog`."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from proviso.catalog.entries import Measured
from proviso.catalog.measuring import freshness_of, statistics_of
from proviso.catalog.page import check_views, summary, write_catalog
from proviso.checks.freshness import FreshnessTarget, bound_of
from proviso.cli.console import Json, emit, moment, note, step
from proviso.contracts.loading import load_contract, load_plan
from proviso.online.store import OnlineStore
from proviso.release.directory import read_release

SAMPLE = 500
SEED = 7


def register(app: typer.Typer) -> None:
    """Adds this station's commands."""
    app.command()(catalog)


def catalog(
    ctx: typer.Context,
    out: Annotated[Path, typer.Option("--out", help="HTML file to write.")],
    history: Annotated[
        Path | None, typer.Option("--history", help="Show what the features look like now.")
    ] = None,
    store: Annotated[
        str | None, typer.Option("--store", help="Show how fresh it serves, redis://host:port.")
    ] = None,
    store_password_file: Annotated[
        Path | None, typer.Option("--store-password-file", help="File with the store's password.")
    ] = None,
    as_of: Annotated[
        str, typer.Option("--as-of", help="Moment that the store serves at, or `now`.")
    ] = "now",
    release: Annotated[
        list[Path] | None, typer.Option("--release", help="Releases to list (repeatable).")
    ] = None,
    as_json: Json = False,
) -> None:
    """Write the contract as a page: features, owners, lineage, consumers, what ends when."""
    contract = load_contract(ctx.obj)
    check_views(contract)
    measured = Measured(releases=tuple(read_release(found) for found in release or []))
    if history is not None:
        with step("figures of the history"):
            measured = replace(measured, statistics=statistics_of(contract, history))
    if store is not None:
        t = None if as_of == "now" else moment("--as-of", as_of)
        online = OnlineStore(store, store_password_file)
        margin = load_plan(ctx.obj).clock_margin
        t = online.clock() if t is None else t
        target = FreshnessTarget(t, SAMPLE, SEED, history, margin, bound_of(contract))
        fresh = freshness_of(contract, online, target, note)
        online.close()
        measured = replace(measured, freshness=fresh, as_of=t)
    made_at = datetime.now(UTC)
    write_catalog(contract, measured, made_at, out)
    said = {"page": str(out), **summary(contract, measured, made_at.date())}
    emit(said, as_json, lambda: _text(said))


def _text(said: dict[str, Any]) -> str:
    counts = f"{said['features']} features in {said['views']} views, {said['services']} services"
    return "\n".join([f"{said['page']}: {counts}", *said["notices"]])
