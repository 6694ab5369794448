"""`proviso coverage` and `proviso schemas`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from feature_runtime.core.moments import format_moment
from proviso.checks.coverage import cover, evidence_of
from proviso.checks.evidence import Evidence, write_evidence
from proviso.cli.console import DryRun, Json, emit, moment, note
from proviso.contracts.base import InputError
from proviso.contracts.loading import load_contract
from proviso.online.schemas import Held, Schema, collect, held_schemas
from proviso.online.store import OnlineStore
from proviso.release.directory import read_release
from proviso.training.score import check_contract

EVIDENCE = Path("evidence")
Store = Annotated[str, typer.Option("--store", help="Online store, redis://host:port.")]
Password = Annotated[
    Path | None, typer.Option("--store-password-file", help="File with the store's password.")
]


def register(app: typer.Typer) -> None:
    """Adds this station's commands."""
    app.command()(coverage)
    app.command()(schemas)


def coverage(
    ctx: typer.Context,
    release: Annotated[Path, typer.Option("--release", help="Release directory.")],
    history: Annotated[Path, typer.Option("--history", help="Directory of the feature history.")],
    store: Store,
    as_of: Annotated[str, typer.Option("--as-of", help="Moment to ask at, or `now`.")] = "now",
    store_password_file: Password = None,
    evidence: Annotated[
        Path | None,
        typer.Option("--evidence", help="Where to write (default: evidence/<release id>/)."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Ask the store for the keys that a release will ask for. Exit 1 if any is missing."""
    contract, found = load_contract(ctx.obj), read_release(release)
    check_contract(found, contract)
    t = None if as_of == "now" else moment("--as-of", as_of)
    online = OnlineStore(store, store_password_file)
    t = online.clock() if t is None else t
    covered = evidence_of(
        found.id, cover(contract, found.service.views, history, online, t, note), t
    )
    online.close()
    write_evidence(evidence or EVIDENCE / found.id, covered)
    emit(covered.as_dict(), as_json, lambda: _covered(covered))
    if not covered.passed:
        raise typer.Exit(1)


def _covered(found: Evidence) -> str:
    lines = [f"as of {format_moment(found.as_of)}"]
    for name, view in found.figures["views"].items():
        keys = f"{view['live'] - view['missing']} of {view['live']} live entities have a key"
        lines.append(
            f"{name}, schema {view['schema']}: {keys}, watermark {view['watermark'] or 'none'}"
        )
    return "\n".join([*lines, *(f"warning: {w}" for w in found.warnings), *found.reasons])


def schemas(
    store: Store,
    release: Annotated[
        list[Path] | None, typer.Option("--release", help="Releases in force (repeatable).")
    ] = None,
    collected: Annotated[
        bool, typer.Option("--collect", help="Remove the schemas that none of them references.")
    ] = False,
    store_password_file: Password = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """List the schemas that the store holds and for whom; collect the retired ones."""
    if collected and not release:
        raise InputError.of(
            "--collect", "no --release", "all releases in force", "what they need stays"
        )
    references = {}
    for directory in release or []:
        found = read_release(directory)
        references[found.id] = [Schema(v.name, v.schema) for v in found.service.views]
    online = OnlineStore(store, store_password_file)
    held = held_schemas(online, references)
    retired = [one.of for one in held if one.retired and collected]
    removed = collect(online, retired, note) if retired and not dry_run else 0
    online.close()
    emit(
        {
            "schemas": [one.as_dict() for one in held],
            "retired": _names(retired),
            "removed": removed,
        },
        as_json,
        lambda: "\n".join(_line(one, one.of in retired, dry_run) for one in held),
    )


def _names(retired: list[Schema]) -> list[str]:
    return [f"{one.view}:{one.schema}" for one in retired]


def _line(held: Held, retired: bool, dry_run: bool) -> str:
    whose = ", ".join(held.releases) or "no given release"
    upto = "none" if held.complete is None else format_moment(held.complete)
    end = (", would be removed" if dry_run else ", removed") if retired else ""
    return f"{held.of.view} {held.of.schema}: {held.keys} keys, watermark {upto}, {whose}{end}"
