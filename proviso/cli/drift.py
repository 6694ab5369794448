"""`proviso check drift`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from feature_runtime.core.moments import now
from proviso.checks.drift import Drift, evidence_of, measure
from proviso.checks.evidence import write_evidence
from proviso.checks.served_values import read_served
from proviso.cli.console import emit
from proviso.cli.options import EvidenceDir, Json, ReleaseDir
from proviso.contracts.base import InputError
from proviso.contracts.loading import load_contract
from proviso.release.directory import RELEASE_FILE, Release, read_release
from proviso.training.distribution import Reference, references_of


def drift(
    ctx: typer.Context,
    release: ReleaseDir,
    record: Annotated[
        list[Path], typer.Option("--record", help="Prediction record, JSONL (repeatable).")
    ],
    evidence: EvidenceDir = None,
    as_json: Json = False,
) -> None:
    """Compare served distributions with those of training.

    A warning, unless a quality gate of the contract blocks a stage: then exit 1.
    """
    contract, found = load_contract(ctx.obj), read_release(release)
    references = _references(found)
    distributions = {name: one.distribution for name, one in references.items()}
    served = read_served(record, found.id, found.service, distributions)
    result = measure(contract, references, served)
    where = evidence or Path("evidence") / found.id
    write_evidence(where, evidence_of(found.id, served, result, now()))
    shown = {"reasons": result.reasons, "warnings": result.warnings, **result.figures}
    emit(shown, as_json, lambda: _text(result))
    if result.reasons:
        raise typer.Exit(1)


def _references(release: Release) -> dict[str, Reference]:
    try:
        return references_of(release.card)
    except (KeyError, TypeError, ValueError, AttributeError):
        place = f"{release.directory / RELEASE_FILE}: card.features.distribution"
        wanted = "what training saw of every feature"
        raise InputError.of(place, "nothing usable", wanted, "train the release again") from None


def _text(result: Drift) -> str:
    head = (
        f"{'feature':44} {'verdict':12} {'PSI':>7} {'KS':>6} {'p':>6} {'train':>8} {'served':>8}"
        f" {'needs':>6} {'null':>13} {'default':>13}"
    )
    lines = [
        f"{one.feature:44} {one.verdict:12} {one.psi:7.4f} {one.ks:6.3f} {one.ks_p_value:6.3f}"
        f" {one.reference_size:8.0f} {one.served_size:8.0f} {one.needs or '-':>6}"
        f" {one.reference_null_rate:6.3f}>{one.null_rate:6.3f}"
        f" {one.reference_default_rate:6.3f}>{one.default_rate:6.3f}"
        for one in result.features
    ]
    warnings = [f"warning: {text}" for text in result.warnings]
    return "\n".join([head, *lines, *warnings, *result.reasons])
