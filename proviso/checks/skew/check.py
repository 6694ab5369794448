"""`proviso check skew`: the sampled test, its rows, and the verdict with the owners' signatures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from feature_runtime.core.moments import format_moment, now
from feature_runtime.core.service import Service
from proviso.checks.evidence import Evidence
from proviso.checks.options import AsOf, History, Seed, Store
from proviso.checks.registry import Check, CheckContext, Option
from proviso.checks.skew.compare import SkewResult, SkewSample, SkewSources, skew_test
from proviso.checks.skew.evidence import (
    KIND,
    TEST_FILE,
    evidence_of,
    inconclusive_evidence,
    judge_rows,
    write_test,
)
from proviso.checks.skew.signing import critical_features, read_signatures
from proviso.checks.skew.window import Inconclusive, lag_warnings
from proviso.contracts.base import InputError
from proviso.contracts.section import runtime_service


@dataclass(frozen=True)
class SkewOptions:
    """What `proviso check skew` takes."""

    store: Store
    history: History
    out: Annotated[Path | None, Option("File for the rows, CSV; required without a release.")] = (
        None
    )
    as_of: AsOf = None
    sample: Annotated[int, Option("Entities of each view.", min=10, max=2_000)] = 100
    seed: Seed = 7


def _measure(context: CheckContext, options: SkewOptions) -> Evidence:
    service = _service(context)
    sources = SkewSources(context.contract, service, options.history, options.store)
    files = _row_files(context, options)
    sample = SkewSample(options.as_of, options.sample, options.seed)
    try:
        result = skew_test(sources, sample, context.progress)
    except Inconclusive as why:
        made_at = now()
        as_of = made_at if options.as_of is None else options.as_of
        return inconclusive_evidence(context.release_id, str(why), made_at, as_of)
    margin = service.limits.clock_margin
    lagging = lag_warnings(result.at, result.clock, margin, options.as_of)
    warnings = (*lagging, *options.store.warnings())
    return _judged(context, result, files, warnings)


def _service(context: CheckContext) -> Service:
    if context.release is None:
        return runtime_service(context.contract, context.plan)
    return context.release.service


def _row_files(context: CheckContext, options: SkewOptions) -> list[Path]:
    """Where the rows go; the last file is the one that signatures are beside."""
    kept = context.folder is not None and context.release is not None
    files = [options.out] if options.out is not None else []
    if kept and context.folder is not None:
        files.append(context.folder / TEST_FILE)
    if not files:
        raise InputError.of("--out", "nothing", "a file for the rows", code="option_missing")
    return files


def _judged(
    context: CheckContext, result: SkewResult, files: Sequence[Path], warnings: Sequence[str]
) -> Evidence:
    made_at = now()
    for file in files:
        cells = write_test(file, result.rows)
    critical = critical_features(context.contract)
    verdict = judge_rows(cells, read_signatures(files[-1]), made_at, critical)
    return evidence_of(context.release_id, result, verdict, made_at, warnings, files[-1])


def _text(evidence: Evidence) -> str:
    figures = evidence.figures
    if "strata" not in figures:
        return "\n".join(evidence.reasons)
    strata = [
        f"{view}: {', '.join(f'{name} {count}' for name, count in sizes.items())}"
        for view, sizes in figures["strata"].items()
    ]
    left_out = [
        f"{view}: {count} left out, just written"
        for view, count in figures["left_out"].items()
        if count
    ]
    counted = (
        f"{figures['values']} values, {figures['review']} in REVIEW, {figures['signed']} signed"
    )
    return "\n".join(
        [
            *strata,
            *left_out,
            *(f"warning: {warning}" for warning in evidence.warnings),
            *evidence.reasons,
            f"{figures['verdict']} as of {format_moment(evidence.as_of)}: {counted}",
        ]
    )


CHECK = Check(
    name=KIND,
    options=SkewOptions,
    measure=_measure,
    figures=("skew_failure_rate",),
    stage="shadow",
    finding="skew",
    signed_rows=TEST_FILE,
    needs_release=False,
    text=_text,
)
