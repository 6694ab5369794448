"""`proviso stream produce` and `proviso stream export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from proviso.cli.console import emit
from proviso.cli.options import (
    DryRun,
    Json,
    ParquetFile,
    Sources,
    StorePasswordFile,
    StoreUrl,
    Stream,
    Transactions,
)
from proviso.cli.outputs import check_written
from proviso.contracts.loading import load_contract
from proviso.contracts.places import observed_place, place_sources
from proviso.online.stream.landing import snapshot
from proviso.online.stream.producer import produce as send_file
from proviso.online.stream.valkey import ValkeyProducer


def produce(
    ctx: typer.Context,
    store: StoreUrl,
    transactions: Transactions = None,
    source: Sources = None,
    store_password_file: StorePasswordFile = None,
    stream: Stream = None,
    rate: Annotated[
        int | None, typer.Option("--rate", min=1, help="Messages per second (default: no limit).")
    ] = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Send a file of rows to a stream, in order."""
    sources = place_sources(load_contract(ctx.obj), transactions, source or ())
    contract, observed = sources.contract, sources.observed
    name = stream or contract.observations_of().rows.name
    if dry_run:
        shown = observed_place(contract, observed)
        emit({"stream": name}, as_json, lambda: f"would append {shown} to {name}")
        return
    producer = ValkeyProducer(store, store_password_file, name)
    sent = send_file(contract, observed, producer, rate)
    producer.close()
    emit({"stream": name, "messages": sent}, as_json, lambda: f"{sent:,} messages to {name}")


def export(
    ctx: typer.Context,
    landing: Annotated[Path, typer.Option("--landing", help="Directory of the landing.")],
    out: ParquetFile,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Write a stream's landed rows to one file."""
    check_written(ctx.obj, [out], landing)
    if dry_run:
        emit({"would_write": str(out)}, as_json, lambda: f"would write {out}")
        return
    rows = snapshot(landing, out)
    emit({"rows": rows, "path": str(out)}, as_json, lambda: f"{rows:,} rows: {out}")
