"""The contract's quality gates at a stage: each bound against the figure of a check's evidence.

A gate that blocks a stage needs its figure; without one the stage is refused. One that blocks
nothing is a warning in the verdict of `shadow`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from proviso.checks.registry import Stage, check_measuring
from proviso.contracts.base import InputError
from proviso.contracts.contract import QualityGate
from proviso.gates.evidence import EvidenceFolder
from proviso.gates.register import Subject
from proviso.gates.verdict import Finding


def quality_gate_findings(
    subject: Subject, folder: EvidenceFolder, stage: Stage
) -> Iterator[Finding]:
    """Every quality gate that blocks this stage, and at `shadow` those that only warn."""
    for gate in subject.contract.quality_gates:
        if gate.blocks == stage:
            yield _finding(gate, folder)
        elif gate.blocks == "none" and stage == "shadow":
            yield _as_warning(_finding(gate, folder))


def _as_warning(finding: Finding) -> Finding:
    word = "" if finding.ok else "warning: "
    return Finding(finding.check, True, f"{word}{finding.detail}", finding.code)


def _finding(gate: QualityGate, folder: EvidenceFolder) -> Finding:
    name = f"quality gate {gate.name}"
    check = check_measuring(gate.metric)
    if check is None:
        said = f"{gate.metric}: no check measures it before production"
        return Finding.refused(name, "metric_not_measured", said)
    try:
        figures = folder.read(check.name).figures
    except InputError as error:
        return Finding.refused_by(name, error)
    if gate.metric in check.needs_verdict and figures.get("verdict") != "PASS":
        said = f"{check.file}: found verdict {figures.get('verdict')}, wanted PASS"
        codes = f"{gate.metric} {figures.get(gate.metric)}, {figures.get('reason_codes')}"
        return Finding.refused(name, "verdict_not_passed", f"{said} ({codes})")
    figure = _worst(figures, gate)
    if isinstance(figure, bool) or not isinstance(figure, int | float):
        said = f"{check.file}: found no {gate.metric}, wanted its figure"
        return Finding.refused(name, "figure_missing", said)
    said = f"{gate.metric} {figure:.4g}, {gate.bound.words}, owner {gate.owner}"
    if gate.bound.holds(figure):
        return Finding.passed(name, said)
    return Finding.refused(name, "figure_out_of_bounds", said)


def _worst(figures: Mapping[str, Any], gate: QualityGate) -> Any:
    """A metric's figure is its greatest; a bound from below is held against the least."""
    greatest = figures.get(gate.metric)
    return greatest if gate.bound.side == "upper" else figures.get(f"{gate.metric}_least", greatest)
