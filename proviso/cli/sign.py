"""`proviso check sign`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from feature_runtime.core.moments import format_moment, now
from proviso.checks.skew.evidence import judge_rows, refresh
from proviso.checks.skew.rows import read_rows
from proviso.checks.skew.signing import (
    LASTS,
    SignatureRequest,
    append_signature,
    critical_features,
    read_signatures,
)
from proviso.checks.skew.signing import sign as sign_row
from proviso.cli.console import emit, moment
from proviso.cli.options import DryRun, Json
from proviso.contracts.base import InputError
from proviso.contracts.loading import load_contract


def sign(
    ctx: typer.Context,
    row: Annotated[str, typer.Argument(help="case_id of a row in REVIEW.")],
    owner: Annotated[str, typer.Option("--owner", help="Owner of the row's feature.")],
    reason: Annotated[str, typer.Option("--reason", help="Reason why the row may pass.")],
    file: Annotated[Path, typer.Option("--file", help="CSV file of the compared values.")],
    expires: Annotated[
        str | None, typer.Option("--expires", help="Moment or day (default: in 7 days).")
    ] = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Sign one REVIEW row of a skew check, for a time.

    Rows of critical features cannot be signed.
    """
    critical, signed_at = critical_features(load_contract(ctx.obj)), now()
    until = signed_at + LASTS if expires is None else moment("--expires", expires)
    rows = read_rows(file)
    chosen = next((one for one in rows if one["case_id"] == row), None)
    if chosen is None:
        raise InputError.of("ROW", row[:200], f"a case_id of {file}", code="case_id_unknown")
    signature = sign_row(chosen, SignatureRequest(owner, reason, signed_at, until), critical)
    signatures = [*read_signatures(file), signature]
    judged = judge_rows(rows, signatures, signed_at, critical)
    if not dry_run:
        append_signature(file, signature)
        refresh(file, judged)
    word = "would sign" if dry_run else "signed"
    said = f"{word} {row} until {format_moment(until)}; {len(judged.blocking)} rows still block"
    result = {
        "case_id": row,
        "expires": format_moment(until),
        "blocking": len(judged.blocking),
        "dry_run": dry_run,
    }
    emit(result, as_json, lambda: said)
