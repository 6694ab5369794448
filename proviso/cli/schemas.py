"""`proviso schemas list` and `proviso schemas collect`."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from feature_runtime.core.moments import format_moment
from proviso.cli.console import emit, note
from proviso.cli.options import DryRun, Json, ReleaseDirs, StorePasswordFile, StoreUrl
from proviso.contracts.base import InputError
from proviso.online.schemas import Schema, StoredSchema, stored_schemas
from proviso.online.schemas import collect as remove_schemas
from proviso.online.store import OnlineStore
from proviso.release.directory import read_release


def list_schemas(
    store: StoreUrl,
    release: ReleaseDirs = None,
    store_password_file: StorePasswordFile = None,
    as_json: Json = False,
) -> None:
    """List the schemas, and the releases that read each."""
    with closing(OnlineStore(store, store_password_file)) as online:
        held = stored_schemas(online, _references(release or []))
    _print(held, [], 0, "", as_json)


def collect(
    store: StoreUrl,
    release: ReleaseDirs = None,
    store_password_file: StorePasswordFile = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Remove the schemas that no given release reads."""
    if not release:
        found, why = "nothing", "the schemas that they read are kept"
        raise InputError.of("--release", found, "all releases in force", why, code="no_release")
    with closing(OnlineStore(store, store_password_file)) as online:
        held = stored_schemas(online, _references(release))
        retired = [one.of for one in held if one.retired]
        removed = remove_schemas(online, retired, note) if retired and not dry_run else 0
    _print(held, retired, removed, ", would be removed" if dry_run else ", removed", as_json)


def _references(releases: list[Path]) -> dict[str, list[Schema]]:
    """The schemas that each release reads, by its id."""
    read = map(read_release, releases)
    return {one.id: [Schema(v.name, v.schema) for v in one.service.views] for one in read}


def _print(
    held: Sequence[StoredSchema], retired: list[Schema], removed: int, outcome: str, as_json: bool
) -> None:
    """outcome: what becomes of the retired ones, behind their lines."""
    result = {
        "schemas": [one.as_dict() for one in held],
        "retired": [f"{one.view}:{one.schema}" for one in retired],
        "removed": removed,
    }
    lines = [_line(one) + (outcome if one.of in retired else "") for one in held]
    emit(result, as_json, lambda: "\n".join(lines))


def _line(held: StoredSchema) -> str:
    readers = ", ".join(held.releases) or "no given release"
    complete = "none" if held.complete is None else format_moment(held.complete)
    return f"{held.of.view} {held.of.schema}: {held.keys} keys, watermark {complete}, {readers}"
