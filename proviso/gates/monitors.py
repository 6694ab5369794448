"""The contract's quality gates at a stage: each bound against the figure that measured it.

A gate that blocks a stage needs its figure, and no figure is a no. One that blocks nothing is a
warning for the reader of the verdict.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from proviso.contracts.base import InputError
from proviso.contracts.contract import QualityGate
from proviso.gates.evidence import Desk
from proviso.gates.register import Subject
from proviso.gates.verdict import Finding, Stage

MEASURED_BY: Mapping[str, str] = {
    "feature_missing_rate": "coverage",
    "freshness_breach_rate": "freshness",
    "skew_failure_rate": "skew",
    "feature_null_rate": "drift",
    "default_used_rate": "drift",
    "feature_drift_psi": "drift",
    "latency_p95_ms": "load",
    "latency_p99_ms": "load",
    "http_error_rate": "load",
}
"""Which evidence holds a metric's figure, under the metric's own name."""


def quality_gate_findings(subject: Subject, desk: Desk, stage: Stage) -> Iterator[Finding]:
    """Every quality gate that blocks this stage, and at `shadow` those that only warn."""
    for gate in subject.contract.quality_gates:
        if gate.blocks == stage:
            yield _held(gate, desk)
        elif gate.blocks == "none" and stage == "shadow":
            found = _held(gate, desk)
            word = "" if found.ok else "warning: "
            yield Finding(found.check, True, f"{word}{found.detail}")


def _held(gate: QualityGate, desk: Desk) -> Finding:
    check = f"quality gate {gate.name}"
    kind = MEASURED_BY.get(gate.metric)
    if kind is None:
        return Finding(check, False, f"{gate.metric}: nothing measures it before production")
    try:
        figure = desk.read(kind).figures.get(gate.metric)
    except InputError as error:
        return Finding(check, False, str(error)[:500])
    if isinstance(figure, bool) or not isinstance(figure, int | float):
        said = f"{kind}.json: found no {gate.metric}, wanted its figure"
        return Finding(check, False, said)
    within = (gate.max is None or figure <= gate.max) and (gate.min is None or figure >= gate.min)
    bound = f"at most {gate.max:g}" if gate.max is not None else f"at least {gate.min:g}"
    return Finding(check, within, f"{gate.metric} {figure:.4g}, {bound}, owner {gate.owner}")
