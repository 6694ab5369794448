"""`proviso gate`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from proviso.cli.console import DryRun, Json, emit
from proviso.gates.gate import EVIDENCE, judge
from proviso.gates.verdict import text_of


class StageName(StrEnum):
    """The stages a release passes, in order."""

    register = "register"
    shadow = "shadow"
    promote = "promote"


def gate(
    ctx: typer.Context,
    release: Annotated[Path, typer.Option("--release", help="Release directory.")],
    stage: Annotated[StageName, typer.Option("--stage", help="What the release asks for.")],
    evidence: Annotated[
        Path | None,
        typer.Option("--evidence", help="Evidence directory (default: evidence/<release id>/)."),
    ] = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Say whether a release may go on, with every reason; exit 1 when it may not."""
    verdict = judge(ctx.obj, release, stage.value, evidence)
    if not dry_run:
        verdict.write(evidence or EVIDENCE / verdict.release)
    emit(verdict.as_dict(), as_json, lambda: text_of(verdict))
    if not verdict.passed:
        raise typer.Exit(1)


def register(app: typer.Typer) -> None:
    """Adds this station's commands."""
    app.command()(gate)
