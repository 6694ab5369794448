"""Drift: compares the distribution of served features with that of training.

PSI over the bins of training is what the contract bounds; KS stands beside it. A small sample
differs from any other by chance, so a verdict needs a size at which chance explains little:
without drift PSI is about chi-squared of bins - 1 degrees of freedom times (1/n + 1/m), and the
99th percentile of that must be at most half of the bound. Below that size nothing is concluded.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from math import ceil, sqrt
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from feature_runtime.core.moments import now
from proviso.checks.evidence import Evidence
from proviso.checks.options import Records
from proviso.checks.registry import Check, CheckContext
from proviso.checks.served_values import Served, ServedFeature, read_served
from proviso.contracts.base import InputError
from proviso.contracts.contract import Contract, QualityGate
from proviso.release.directory import Release
from proviso.training.distribution import Reference, references_of

KIND = "drift"
USUAL_BOUND = 0.25
"""Bound of PSI where the contract has none: the customary one for a changed population."""

_CONFIDENCE = 0.99
_SMOOTHING = 0.5  # of a value in each bin, so that an empty one is unlikely and not impossible
_SHOWN = 5

Verdict = Literal["PASS", "DRIFT", "INCONCLUSIVE"]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class FeatureDrift:
    """A feature, training against served.

    Sizes are effective ones; psi_by_chance: what PSI stays below without drift (None without
    values); needs: the smallest served size for a verdict, None when training itself was too
    small. Rates are shares of all predictions.
    """

    feature: str
    verdict: Verdict
    psi: float
    ks: float
    ks_p_value: float
    psi_by_chance: float | None
    reference_size: float
    served_size: float
    needs: int | None
    null_rate: float
    reference_null_rate: float
    default_rate: float
    reference_default_rate: float


@dataclass(frozen=True)
class Drift:
    """All features; reasons stop a release, warnings do not (the contract decides)."""

    features: tuple[FeatureDrift, ...]
    figures: Mapping[str, Any]
    reasons: tuple[str, ...]
    warnings: tuple[str, ...]


def evidence_of(release: str, served: Served, found: Drift, made_at: int) -> Evidence:
    """The measurement for the gate, as of the last prediction that was served."""
    return Evidence(
        KIND,
        release,
        made_at,
        served.last or made_at,
        found.reasons,
        found.warnings,
        found.figures,
    )


def measure(contract: Contract, references: Mapping[str, Reference], served: Served) -> Drift:
    """Every feature's drift, held to the contract's gates."""
    gates = {gate.metric: gate for gate in contract.quality_gates}
    gate = gates.get("feature_drift_psi")
    bound = USUAL_BOUND
    if gate is not None and gate.bound.side == "upper":
        bound = gate.bound.limit
    found = tuple(
        feature_drift(name, reference, served.features[name], served.predictions, bound)
        for name, reference in references.items()
    )
    said = list(_findings(gates, found, bound))
    return Drift(
        found,
        _figures(found, served),
        tuple(text for text, blocks in said if blocks),
        tuple(text for text, blocks in said if not blocks),
    )


def feature_drift(
    name: str, reference: Reference, served: ServedFeature, predictions: int, bound: float
) -> FeatureDrift:
    """One feature's figures and verdict."""
    before, after = reference.distribution.whole, served.counts
    sizes = (reference.distribution.effective, served.effective)
    needs = smallest_size(len(before), sizes[0], bound)
    shift = psi(before, after)
    apart, chance = ks(before, after, *sizes)
    enough = needs is not None and sizes[1] >= needs
    moved: Verdict = "DRIFT" if shift > bound else "PASS"
    every = max(1, predictions)
    return FeatureDrift(
        feature=name,
        verdict=moved if enough else "INCONCLUSIVE",
        psi=shift,
        ks=apart,
        ks_p_value=chance,
        psi_by_chance=noise(len(before), *sizes),
        reference_size=sizes[0],
        served_size=round(sizes[1], 1),
        needs=needs,
        null_rate=served.statuses["NULL"] / every,
        reference_null_rate=reference.null_rate,
        default_rate=served.defaults / every,
        reference_default_rate=reference.default_rate,
    )


def psi(before: Floats, after: Floats) -> float:
    """The population stability index of two histograms [bins]; an empty bin counts a half."""
    p, q = (_shares(counts) for counts in (before, after))
    return float(((p - q) * np.log(p / q)).sum())


def ks(before: Floats, after: Floats, n: float, m: float) -> tuple[float, float]:
    """The greatest distance of the two distribution functions at the bins' edges, and its p-value.
    Between edges the distance may be greater, so the true p-value may be smaller."""
    if not before.sum() or not after.sum() or not n or not m:
        return 0.0, 1.0
    apart = float(np.abs(np.cumsum(before) / before.sum() - np.cumsum(after) / after.sum()).max())
    return apart, float(stats.kstwobign.sf(apart * sqrt(n * m / (n + m))))


def noise(bins: int, n: float, m: float) -> float | None:
    """What PSI stays below in 99 of 100 pairs of samples of one population."""
    return _critical(bins) * (1 / n + 1 / m) if n and m else None


def smallest_size(bins: int, reference: float, bound: float) -> int | None:
    """The smallest served sample at which noise is at most half of the bound."""
    left = bound / 2 / _critical(bins) - 1 / reference if reference else 0
    return ceil(1 / left) if left > 0 else None


def _critical(bins: int) -> float:
    return float(stats.chi2.ppf(_CONFIDENCE, bins - 1))


def _shares(counts: Floats) -> Floats:
    smooth = counts + _SMOOTHING
    return np.asarray(smooth / smooth.sum())


def _figures(found: Sequence[FeatureDrift], served: Served) -> dict[str, Any]:
    """The worst of each metric, by its name; no PSI where some feature allows no verdict."""
    unsure = any(one.verdict == "INCONCLUSIVE" for one in found)
    worst = max((one.psi for one in found), default=0.0)
    return {
        "feature_drift_psi": None if unsure or not found else worst,
        "feature_null_rate": max((one.null_rate for one in found), default=0.0),
        "default_used_rate": max((one.default_rate for one in found), default=0.0),
        "predictions": served.predictions,
        "of_other_releases": served.others,
        "torn_lines": served.torn,
        "features": [asdict(one) for one in found],
    }


def _findings(
    gates: Mapping[str, QualityGate], found: Sequence[FeatureDrift], bound: float
) -> Iterator[tuple[str, bool]]:
    """(what is wrong, whether it blocks)."""
    drift = gates.get("feature_drift_psi")
    for text in (*_drifted(found, bound), *_unsure(found)):
        yield text, _blocks(drift)
    rates = {
        "feature_null_rate": {one.feature: one.null_rate for one in found},
        "default_used_rate": {one.feature: one.default_rate for one in found},
    }
    for metric, by_feature in rates.items():
        gate = gates.get(metric)
        if gate is None:
            continue
        for feature, rate in by_feature.items():
            if not gate.bound.holds(rate):
                said = f"{metric} of {feature}: found {rate:.3g}, wanted {gate.bound.words}"
                yield said, _blocks(gate)


def _drifted(found: Sequence[FeatureDrift], bound: float) -> Iterator[str]:
    for one in found:
        if one.verdict == "DRIFT":
            yield f"PSI of {one.feature}: found {one.psi:.3g}, wanted at most {bound:g}"


def _unsure(found: Sequence[FeatureDrift]) -> Iterator[str]:
    unsure = [one for one in found if one.verdict == "INCONCLUSIVE"]
    for one in unsure[:_SHOWN]:
        size = f"{one.served_size:.0f} independent values"
        wanted = "a greater training set" if one.needs is None else f"at least {one.needs}"
        yield f"INCONCLUSIVE {one.feature}: found {size}, wanted {wanted}"
    if len(unsure) > _SHOWN:
        yield f"INCONCLUSIVE: and {len(unsure) - _SHOWN} more features"


def _blocks(gate: QualityGate | None) -> bool:
    return gate is not None and gate.blocks != "none"


@dataclass(frozen=True)
class DriftOptions:
    """What `proviso check drift` takes."""

    record: Records


def _measure(context: CheckContext, options: DriftOptions) -> Evidence:
    release = context.required_release()
    references = reference_distributions(release)
    distributions = {name: one.distribution for name, one in references.items()}
    served = read_served(options.record, release.id, release.service, distributions)
    return evidence_of(release.id, served, measure(context.contract, references, served), now())


def reference_distributions(release: Release) -> dict[str, Reference]:
    """Each feature's distribution on the training days, of the model card. Raises InputError."""
    try:
        return references_of(release.card)
    except (KeyError, TypeError, ValueError, AttributeError):
        place = f"{release.file}: card.features.distribution"
        wanted = "each feature's distribution on the training days"
        raise InputError.of(
            place, "nothing usable", wanted, "train the release again", code="card_invalid"
        ) from None


def _text(evidence: Evidence) -> str:
    head = (
        f"{'feature':44} {'verdict':12} {'PSI':>7} {'KS':>6} {'p':>6} {'train':>8} {'served':>8}"
        f" {'needs':>6} {'null':>13} {'default':>13}"
    )
    lines = [_line(FeatureDrift(**feature)) for feature in evidence.figures["features"]]
    warnings = [f"warning: {text}" for text in evidence.warnings]
    return "\n".join([head, *lines, *warnings, *evidence.reasons])


def _line(one: FeatureDrift) -> str:
    return (
        f"{one.feature:44} {one.verdict:12} {one.psi:7.4f} {one.ks:6.3f} {one.ks_p_value:6.3f}"
        f" {one.reference_size:8.0f} {one.served_size:8.0f} {one.needs or '-':>6}"
        f" {one.reference_null_rate:6.3f}>{one.null_rate:6.3f}"
        f" {one.reference_default_rate:6.3f}>{one.default_rate:6.3f}"
    )


CHECK = Check(
    name=KIND,
    options=DriftOptions,
    measure=_measure,
    figures=("feature_drift_psi", "feature_null_rate", "default_used_rate"),
    finding="drift",
    text=_text,
)
