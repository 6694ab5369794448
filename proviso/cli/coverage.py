"""`proviso check coverage`."""

from __future__ import annotations

from pathlib import Path

import typer

from feature_runtime.core.moments import format_moment
from proviso.checks.coverage import cover, evidence_of
from proviso.checks.evidence import Evidence, write_evidence
from proviso.cli.console import emit, given_moment, note
from proviso.cli.options import (
    AsOf,
    EvidenceDir,
    History,
    Json,
    ReleaseDir,
    StorePasswordFile,
    StoreUrl,
)
from proviso.contracts.loading import load_contract
from proviso.online.store import OnlineStore
from proviso.release.directory import read_release
from proviso.training.score import check_contract

EVIDENCE = Path("evidence")


def coverage(
    ctx: typer.Context,
    release: ReleaseDir,
    history: History,
    store: StoreUrl,
    as_of: AsOf = "now",
    store_password_file: StorePasswordFile = None,
    evidence: EvidenceDir = None,
    as_json: Json = False,
) -> None:
    """Look up every key that a release will read.

    Exit 1 if a live entity has none.
    """
    contract, found = load_contract(ctx.obj), read_release(release)
    check_contract(found, contract)
    t = given_moment("--as-of", as_of)
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
