"""`proviso materialize --follow`, `proviso produce` and `proviso landed`."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from proviso.cli.console import DryRun, Json, emit, note
from proviso.contracts.base import InputError
from proviso.contracts.contract import Contract, FeatureView, OnEvent
from proviso.contracts.loading import load_contract
from proviso.history.duckdb.arriving import Arriving
from proviso.history.duckdb.engine import connect
from proviso.online.materialize import Materializer
from proviso.online.stream.follower import Follower, Manner
from proviso.online.stream.landing import open_landing, snapshot
from proviso.online.stream.producer import produce as play
from proviso.online.stream.valkey import ValkeyProducer, ValkeyStream

_MEMORY = "1GB"


@dataclass(frozen=True)
class Place:
    """Where the stream is, who reads it, and where it lands."""

    store: str
    password_file: Path | None
    stream: str
    group: str
    landing: Path


def follow(
    writer: Materializer,
    views: list[FeatureView],
    place: Place,
    manner: Manner,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Follows the stream until a signal, or until it is drained."""
    chosen = on_event_views(views)
    found = {"stream": place.stream, "group": place.group, "views": [v.name for v in chosen]}
    if dry_run:
        emit(
            found, as_json, lambda: f"would follow {place.stream} into {', '.join(found['views'])}"
        )
        return
    contract = writer.contract
    with open_landing(contract, place.landing, place.stream, place.group) as landing:
        stream = ValkeyStream(
            place.store, place.password_file, place.stream, place.group, "proviso"
        )
        with connect(_MEMORY) as engine, _until_signalled() as stopped:
            arriving = Arriving(engine, contract, chosen)
            follower = Follower(writer, chosen, stream, landing, arriving, manner, note)
            done = follower.run(stopped)
        stream.close()
    emit(found | asdict(done), as_json, lambda: _said(asdict(done)))


def on_event_views(views: list[FeatureView]) -> list[FeatureView]:
    """Those that a stream makes; scheduled ones are published by runs. Raises InputError."""
    chosen = [view for view in views if isinstance(view.publication, OnEvent)]
    for view in views:
        if view not in chosen:
            note(f"{view.name}: left to `proviso materialize --as-of now`, it has a schedule")
    if not chosen:
        names = ", ".join(view.name for view in views)
        raise InputError.of("views", names, "one with publication {on: event}")
    return chosen


def _said(counts: dict[str, Any]) -> str:
    return ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in counts.items())


@contextmanager
def _until_signalled() -> Iterator[Callable[[], bool]]:
    """Whether SIGTERM or SIGINT has come; the batch at hand is finished."""
    came: list[int] = []
    kinds = (signal.SIGTERM, signal.SIGINT)
    before = [signal.signal(kind, lambda number, _: came.append(number)) for kind in kinds]
    try:
        yield lambda: bool(came)
    finally:
        for kind, handler in zip(kinds, before, strict=True):
            signal.signal(kind, handler)


def source_stream(contract: Contract, stream: str | None) -> str:
    """The stream's name; by default that of the contract's source."""
    return stream or contract.source.name


def produce(
    ctx: typer.Context,
    transactions: Annotated[Path, typer.Option("--transactions", help="Transactions (Parquet).")],
    store: Annotated[str, typer.Option("--store", help="Where the stream is, redis://host:port.")],
    store_password_file: Annotated[
        Path | None, typer.Option("--store-password-file", help="File with the store's password.")
    ] = None,
    stream: Annotated[
        str | None, typer.Option("--stream", help="Its name (default: the source's).")
    ] = None,
    rate: Annotated[
        int | None, typer.Option("--rate", min=1, help="Messages a second (default: no bound).")
    ] = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Play a file of transactions into a stream, in order of arrival."""
    contract = load_contract(ctx.obj)
    name = source_stream(contract, stream)
    if dry_run:
        emit({"stream": name}, as_json, lambda: f"would append {transactions} to {name}")
        return
    producer = ValkeyProducer(store, store_password_file, name)
    sent = play(contract, transactions, producer, rate)
    producer.close()
    emit({"stream": name, "messages": sent}, as_json, lambda: f"{sent:,} messages to {name}")


def landed(
    landing: Annotated[Path, typer.Option("--landing", help="Directory of a landing.")],
    out: Annotated[Path, typer.Option("--out", help="Parquet file to write.")],
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Write all that has landed from a stream as one file of transactions, for training."""
    if dry_run:
        emit({"would_write": str(out)}, as_json, lambda: f"would write {out}")
        return
    rows = snapshot(landing, out)
    emit({"rows": rows, "path": str(out)}, as_json, lambda: f"{rows:,} transactions: {out}")


def register(app: typer.Typer) -> None:
    """Adds this station's commands."""
    app.command()(produce)
    app.command()(landed)
