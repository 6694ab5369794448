"""The results of a demonstration as the report's data."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from proviso.contracts.contract import Contract, FeatureView
from proviso.contracts.publication import runs_of
from proviso.demo.report import RefusedRequest, ReportData
from proviso.gates.verdict import Verdict
from proviso.history.arrays import read_inputs
from proviso.release.directory import Release
from proviso.release.embedded import EmbeddedModel
from proviso.replay.cases import PLAIN_FILE
from proviso.training.score import score_dataset


def page_of(
    contract: Contract,
    release: Release,
    work: Path,
    replay: dict[str, Any],
    refusals: Sequence[RefusedRequest],
    verdicts: Sequence[tuple[Verdict, bool]],
    steps: Sequence[tuple[str, float]],
    commands: Sequence[str],
) -> ReportData:
    """The report of one release on its test days, whose dataset the replay left in `work`."""
    inputs = read_inputs(work / PLAIN_FILE, contract, release.service)
    service, scored = release.service, score_dataset(release, inputs)
    baseline = EmbeddedModel(release.baseline_file).probabilities(scored.encoded.vector)
    return ReportData(
        title=f"{contract.name}: {release.model}",
        release=release.parsed,
        replay=replay,
        scores=scored.probability.tolist(),
        labels=inputs.labels.tolist(),
        label_name=contract.observations_of().label.column,
        refusals=refusals,
        baseline_scores=baseline.tolist(),
        verdicts=[_shown(verdict, expected) for verdict, expected in verdicts],
        steps=steps,
        threshold=service.decision.threshold,
        freshness={view.name: _limits(contract.view_by_name[view.name]) for view in service.views},
        commands=commands,
    )


def _limits(view: FeatureView) -> dict[str, float | None]:
    """Seconds. The objective of an on-event view is of its watermark's lag, not of a row's age."""
    on_event = runs_of(view) is None
    slo = None if on_event else view.freshness_slo / 1e6
    return {"slo_s": slo, "ttl_s": view.online_ttl / 1e6}


def _shown(verdict: Verdict, expected: bool) -> dict[str, Any]:
    after = "" if expected else ", after one stored value was altered"
    return {**verdict.as_dict(), "expected": expected, "title": f"Gate {verdict.stage}{after}"}
