"""`proviso check skew` and `proviso check sign`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from feature_runtime.core.moments import format_moment, now
from feature_runtime.core.service import Service
from proviso.checks.evidence import write_evidence
from proviso.checks.skew.compare import SkewResult, SkewSample, SkewSources, skew_test
from proviso.checks.skew.evidence import (
    TEST_FILE,
    SkewVerdict,
    evidence_of,
    figures_of,
    inconclusive_evidence,
    judge_rows,
    refresh,
    write_test,
)
from proviso.checks.skew.rows import read_rows
from proviso.checks.skew.signing import (
    LASTS,
    SignatureRequest,
    append_signature,
    critical_features,
    read_signatures,
)
from proviso.checks.skew.signing import (
    sign as sign_row,
)
from proviso.checks.skew.window import Inconclusive, lag_warnings
from proviso.cli.console import emit, given_moment, moment, note
from proviso.cli.options import (
    DryRun,
    EvidenceDir,
    History,
    Json,
    Seed,
    StorePasswordFile,
    StoreUrl,
)
from proviso.contracts.base import InputError
from proviso.contracts.contract import Contract
from proviso.contracts.loading import load_contract, load_plan
from proviso.contracts.section import runtime_service
from proviso.online.store import OnlineStore
from proviso.release.directory import read_release


def skew(
    ctx: typer.Context,
    history: History,
    store: StoreUrl,
    out: Annotated[Path, typer.Option("--out", help="CSV file of the compared values.")],
    sample: Annotated[
        int, typer.Option("--sample", min=10, max=2_000, help="Entities of each view.")
    ] = 100,
    as_of: Annotated[
        str, typer.Option("--as-of", help="Moment, or `now`: the latest one that can be judged.")
    ] = "now",
    release: Annotated[
        Path | None,
        typer.Option("--release", help="Release directory (default: the plan's features)."),
    ] = None,
    store_password_file: StorePasswordFile = None,
    seed: Seed = 7,
    evidence: EvidenceDir = None,
    as_json: Json = False,
) -> None:
    """Compare what the store serves with the offline rows.

    Exit 1 on unsigned REVIEW rows; `proviso check sign ROW` signs one.
    """
    contract = load_contract(ctx.obj)
    service, place = _placed(ctx, contract, release, evidence, out)
    online = OnlineStore(store, store_password_file)
    sides = SkewSources(contract, service, history, online)
    asked = given_moment("--as-of", as_of)
    try:
        found = skew_test(sides, SkewSample(asked, sample, seed), note)
    except Inconclusive as why:
        _stop(place, str(why), asked, as_json)
    finally:
        online.close()
    warnings = lag_warnings(found.at, found.clock, service.limits.clock_margin, asked)
    _conclude(contract, place, found, warnings, as_json)


@dataclass(frozen=True)
class _Place:
    """Where rows and evidence go; without a release there is no evidence."""

    out: Path
    evidence: Path | None
    release: str

    @property
    def kept(self) -> Path:
        """The rows that signatures are about: those that the gate reads, where it reads some."""
        return self.out if self.evidence is None else self.evidence / TEST_FILE


def _placed(
    ctx: typer.Context, contract: Contract, release: Path | None, evidence: Path | None, out: Path
) -> tuple[Service, _Place]:
    """The service whose features are compared, and where the result goes."""
    if release is not None:
        found = read_release(release)
        return found.service, _Place(out, evidence or Path("evidence") / found.id, found.id)
    if evidence is not None:
        raise InputError.of("--evidence", "no --release", "one: evidence is of a release")
    return runtime_service(contract, load_plan(ctx.obj)), _Place(out, None, "")


def _stop(place: _Place, why: str, asked: int | None, as_json: bool) -> NoReturn:
    made_at = now()
    if place.evidence is not None:
        as_of = made_at if asked is None else asked
        found = inconclusive_evidence(place.release, why, made_at, as_of)
        write_evidence(place.evidence, found)
    result = {"verdict": "INCONCLUSIVE", "reasons": [why]}
    emit(result, as_json, lambda: f"INCONCLUSIVE: {why}")
    raise typer.Exit(1)


def _conclude(
    contract: Contract, place: _Place, found: SkewResult, warnings: Sequence[str], as_json: bool
) -> None:
    made_at = now()
    cells = write_test(place.out, found.rows)
    if place.evidence is not None:
        write_test(place.kept, found.rows)
    judged = judge_rows(cells, read_signatures(place.kept), made_at, critical_features(contract))
    if place.evidence is not None:
        kept = evidence_of(place.release, found, judged, made_at, warnings, place.kept)
        write_evidence(place.evidence, kept)
    result = {
        "verdict": judged.verdict,
        "as_of": format_moment(found.at),
        "file": str(place.kept),
        "reasons": judged.reasons,
        "warnings": warnings,
        **figures_of(found, judged),
    }
    emit(result, as_json, lambda: _text(found, judged, warnings))
    if judged.blocking:
        raise typer.Exit(1)


def _text(found: SkewResult, judged: SkewVerdict, warnings: Sequence[str]) -> str:
    figures = figures_of(found, judged)
    strata = [
        f"{view}: {', '.join(f'{name} {count}' for name, count in sizes.items())}"
        for view, sizes in figures["strata"].items()
    ]
    left_out = [f"{view}: {n} left out, just written" for view, n in found.left_out.items() if n]
    counted = (
        f"{figures['values']} values, {figures['review']} in REVIEW, {figures['signed']} signed"
    )
    return "\n".join(
        [
            *strata,
            *left_out,
            *(f"warning: {warning}" for warning in warnings),
            *judged.reasons,
            f"{judged.verdict} as of {format_moment(found.at)}: {counted}",
        ]
    )


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
        raise InputError.of(f"{file}: case_id", f"no {row[:200]}", "a row of the file")
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
