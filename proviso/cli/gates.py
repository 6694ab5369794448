"""`proviso gate`."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from proviso.cli.console import emit
from proviso.cli.options import DryRun, EvidenceDir, Json, ReleaseDir
from proviso.cli.outputs import check_written
from proviso.gates.gate import EVIDENCE, judge
from proviso.gates.verdict import text_of


class StageName(StrEnum):
    """The stages of a release, in order."""

    register = "register"
    shadow = "shadow"
    promote = "promote"


def gate(
    ctx: typer.Context,
    release: ReleaseDir,
    stage: Annotated[StageName, typer.Option("--stage", help="Stage to enter.")],
    evidence: EvidenceDir = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Judge whether a release may enter a stage.

    Exit 1 when it may not. The verdict is written beside the evidence.
    """
    verdict = judge(ctx.obj, release, stage.value, evidence)
    folder = evidence or EVIDENCE / verdict.release
    check_written(ctx.obj, [folder / verdict.file], releases=[release])
    if not dry_run:
        verdict.write(folder)
    emit(verdict.as_dict(), as_json, lambda: text_of(verdict))
    if not verdict.passed:
        raise typer.Exit(1)
