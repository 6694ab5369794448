"""`proviso catalog`."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from proviso.catalog.measuring import Sources, measured
from proviso.catalog.page import check_views, summary, write_catalog
from proviso.cli.console import emit, given_moment, note
from proviso.cli.options import AsOf, Json, StorePasswordFile
from proviso.cli.outputs import check_written
from proviso.contracts.loading import load_contract, load_plan


def catalog(
    ctx: typer.Context,
    out: Annotated[Path, typer.Option("--out", help="HTML file to write.")],
    history: Annotated[
        Path | None,
        typer.Option("--history", help="Directory of the feature history: adds its figures."),
    ] = None,
    store: Annotated[
        str | None,
        typer.Option("--store", help="Online store, redis://HOST:PORT/DB: adds freshness."),
    ] = None,
    store_password_file: StorePasswordFile = None,
    as_of: AsOf = "now",
    release: Annotated[
        list[Path] | None,
        typer.Option("--release", help="Directory of a release to list (repeatable)."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Write a page of features, owners and consumers."""
    contract = load_contract(ctx.obj)
    check_written(ctx.obj, [out], history=history, releases=release or ())
    check_views(contract)
    margin = load_plan(ctx.obj).clock_margin if store else 0
    at = given_moment("--as-of", as_of)
    sources = Sources(release or (), history, store, store_password_file, at, margin)
    found = measured(contract, sources, note)
    made_at = datetime.now(UTC)
    write_catalog(contract, found, made_at, out)
    result = {"page": str(out), **summary(contract, found, made_at.date())}
    emit(result, as_json, lambda: _text(result))


def _text(result: dict[str, Any]) -> str:
    counts = "{features} features in {views} views, {services} services".format_map(result)
    return "\n".join([f"{result['page']}: {counts}", *result["notices"]])
