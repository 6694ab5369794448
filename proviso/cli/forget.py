"""`proviso forget`."""

from __future__ import annotations

from contextlib import ExitStack, closing
from pathlib import Path
from typing import Annotated

import typer

from proviso.cli.console import emit, note
from proviso.cli.options import DryRun, Json, Memory, StorePasswordFile
from proviso.cli.outputs import check_written
from proviso.contracts.base import InputError
from proviso.contracts.files import check_is_file
from proviso.contracts.loading import load_contract
from proviso.forget.run import Places
from proviso.forget.run import forget as run_forget
from proviso.forget.subject import parse_subject
from proviso.history.values import DEFAULT_MEMORY
from proviso.online.store import OnlineStore

_SHORTEST_KEY = 16


def forget(
    ctx: typer.Context,
    entity: Annotated[
        str, typer.Option("--entity", help="Entity and id, such as customer:C00001.")
    ],
    transactions: Annotated[
        Path | None, typer.Option("--transactions", help="Our copy of the observed rows.")
    ] = None,
    history: Annotated[
        Path | None, typer.Option("--history", help="Directory of the feature history.")
    ] = None,
    landing: Annotated[
        Path | None, typer.Option("--landing", help="Directory of a stream's landing.")
    ] = None,
    files: Annotated[
        list[Path] | None,
        typer.Option(
            "--in",
            help="Datasets, predictions, rows set aside, prediction records (.jsonl): a file, or a"
            " folder of them (repeatable).",
        ),
    ] = None,
    store: Annotated[
        str | None, typer.Option("--store", help="Online store, redis://HOST:PORT/DB.")
    ] = None,
    store_password_file: StorePasswordFile = None,
    hash_key_file: Annotated[
        Path | None,
        typer.Option("--hash-key-file", help="The key by which prediction records hash ids."),
    ] = None,
    memory: Memory = DEFAULT_MEMORY,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Remove an entity from history, store, datasets and records.

    The files are written again without its rows. Prints what was removed and what remains. Exit 1
    if something that was given still has it.
    """
    contract = load_contract(ctx.obj)
    subject = parse_subject(contract, entity)
    named = [one for one in (transactions, *(files or [])) if one is not None and one.is_file()]
    check_written(ctx.obj, named)
    key = _key(hash_key_file)
    places = Places(transactions, history, landing, tuple(files or ()), key)
    with ExitStack() as opened:
        online = None
        if store is not None:
            online = opened.enter_context(closing(OnlineStore(store, store_password_file)))
        report = run_forget(
            *(contract, subject, places, online), dry_run=dry_run, progress=note, memory=memory
        )
    emit(report.as_dict(), as_json, lambda: report.text)
    if not report.finished:
        raise typer.Exit(1)


def _key(path: Path | None) -> bytes | None:
    if path is None:
        return None
    check_is_file(path, "the key of the prediction records")
    key = path.read_bytes().strip()
    if len(key) < _SHORTEST_KEY:
        wanted = f"at least {_SHORTEST_KEY} bytes, as the pods have it"
        raise InputError.of(path, f"{len(key)} bytes", wanted, code="hash_key_too_short")
    return key
