"""`proviso check freshness`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from feature_runtime.core.moments import SECOND, format_duration, format_moment
from feature_runtime.core.service import View
from proviso.checks.evidence import Evidence, write_evidence
from proviso.checks.freshness import FreshnessTarget, bound_of, evidence_of, measure
from proviso.cli.console import emit, given_moment, note
from proviso.cli.options import AsOf, EvidenceDir, Json, Seed, StorePasswordFile, StoreUrl
from proviso.contracts.base import InputError
from proviso.contracts.contract import Contract
from proviso.contracts.loading import load_contract, load_plan
from proviso.contracts.plan import Plan
from proviso.contracts.section import runtime_service
from proviso.online.store import OnlineStore
from proviso.release.directory import read_release
from proviso.training.score import check_contract

EVIDENCE = Path("evidence")
_AGES = ("age_median_s", "age_p95_s", "age_max_s")


def freshness(
    ctx: typer.Context,
    store: StoreUrl,
    release: Annotated[
        Path | None,
        typer.Option("--release", help="Release directory (default: views of the plan's service)."),
    ] = None,
    history: Annotated[
        Path | None,
        typer.Option(
            "--history", help="Directory of the feature history: its live entities (default: keys)."
        ),
    ] = None,
    as_of: AsOf = "now",
    sample: Annotated[
        int, typer.Option("--sample", min=1, max=100_000, help="Entities of each view.")
    ] = 500,
    seed: Seed = 7,
    store_password_file: StorePasswordFile = None,
    evidence: EvidenceDir = None,
    as_json: Json = False,
) -> None:
    """Measure the age of what is served, per view.

    Exit 1 if a view is too old.
    """
    if evidence is not None and release is None:
        raise InputError.of("--evidence", "no --release", "the release that it speaks of")
    contract, plan = load_contract(ctx.obj), load_plan(ctx.obj)
    of, views = _asked(contract, plan, release)
    t = given_moment("--as-of", as_of)
    online = OnlineStore(store, store_password_file)
    target = FreshnessTarget(
        t=online.clock() if t is None else t,
        sample=sample,
        seed=seed,
        history=history,
        margin=plan.clock_margin,
        bound=bound_of(contract),
    )
    found = evidence_of(of, measure(contract, views, online, target, note), target)
    online.close()
    if release is not None:
        write_evidence(evidence or EVIDENCE / of, found)
    emit(found.as_dict(), as_json, lambda: _text(found))
    if not found.passed:
        raise typer.Exit(1)


def _asked(contract: Contract, plan: Plan, release: Path | None) -> tuple[str, tuple[View, ...]]:
    """Whose views are asked about, and those as the pod reads them."""
    if release is None:
        return "", runtime_service(contract, plan).views
    found = read_release(release)
    check_contract(found, contract)
    return found.id, found.service.views


def _text(found: Evidence) -> str:
    lines = [f"as of {format_moment(found.as_of)}, live by {found.figures['live_by']}"]
    for name, view in found.figures["views"].items():
        lines.append(f"{name}: {'fresh' if view['fresh'] else 'NOT FRESH'}, {_line(view)}")
    return "\n".join([*lines, *(f"warning: {w}" for w in found.warnings), *found.reasons])


def _line(view: dict[str, Any]) -> str:
    ages = "/".join(_duration(view[name]) for name in _AGES)
    return (
        f"objective {_duration(view['slo_s'])}, {view['publication']}: age {ages} "
        f"(median/p95/max of {view['entities']}), {view['stale']} STALE, "
        f"{view['missing']} missing, "
        f"watermark {view['watermark'] or 'none'} ({_duration(view['watermark_lag_s'])} behind), "
        f"breach rate {view['freshness_breach_rate']:.2%}"
    )


def _duration(seconds: float | None) -> str:
    return "-" if seconds is None else format_duration(round(seconds) * SECOND)
