"""Drift: compares the distribution of served features with that of training.

A feature is DRIFT when its PSI over the bins of training is beyond both its bound and what chance
gives at the samples' sizes, when its null, default or unusable rate has jumped, or when a value
that varied is served as a constant. Where chance could hide a great drift it is INCONCLUSIVE, with
the reason. KS stands beside PSI and bounds nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from feature_runtime.core.availability import Status
from feature_runtime.core.moments import now
from proviso.checks.drift_statistics import (
    at_size,
    chance_of_constant,
    chance_of_rise,
    ks,
    psi,
    psi_by_chance,
    psi_by_draws,
    smallest_size,
)
from proviso.checks.evidence import Evidence
from proviso.checks.options import Records
from proviso.checks.registry import Check, CheckContext
from proviso.checks.served_values import Served, ServedFeature, read_served
from proviso.contracts.base import InputError
from proviso.contracts.contract import Contract, QualityGate
from proviso.release.directory import Release
from proviso.training.distribution import Distribution, Reference, references_of

KIND = "drift"
METRIC = "feature_drift_psi"
USUAL_BOUND = 0.25
"""Bound of PSI where the contract has none: the customary one for a changed population."""
JUMP = 0.05
"""A rate that is above training's by more than this share of predictions has jumped."""
HIDDEN = 4.0
"""Where chance gives more than so many times the bound, it could hide a great drift."""
FALSE_ALARMS = 0.01
"""Share of checks without drift in which chance makes some feature's PSI (or rate) DRIFT."""

_LEAST = 5.0  # independent predictions; a constant or a rate of fewer says nothing
_SHOWN = 5

Verdict = Literal["PASS", "DRIFT", "INCONCLUSIVE"]


@dataclass(frozen=True)
class FeatureDrift:
    """A feature, training against served.

    codes: why the verdict is not PASS. Sizes are effective ones; psi_by_chance: what PSI exceeds
    by chance in a small share of checks (None without values); ks: 0 for strings, which have no
    order; needs: the smallest served size that allows a verdict, None when training itself was too
    small. Rates are of all predictions.
    """

    feature: str
    verdict: Verdict
    codes: tuple[str, ...]
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
    unusable_rate: float
    reference_unusable_rate: float

    @property
    def psi_beyond_chance(self) -> float:
        """PSI where chance does not explain it, else 0."""
        return self.psi if self.psi > (self.psi_by_chance or 0.0) else 0.0


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
    gates = [gate for gate in contract.quality_gates if gate.metric in _FIELDS]
    upper = (g.bound for g in gates if _bounds_psi(g) and g.bound.side == "upper")
    bound = min((one.limit for one in upper), default=USUAL_BOUND)
    terms = DriftTerms(bound, FALSE_ALARMS / max(1, len(references)))
    found = tuple(
        feature_drift(name, reference, served.features[name], terms)
        for name, reference in references.items()
    )
    said = list(_findings(gates, found, bound))
    return Drift(
        found,
        _figures(found, served),
        tuple(text for text, blocks in said if blocks),
        tuple(text for text, blocks in said if not blocks),
    )


@dataclass(frozen=True)
class DriftTerms:
    """bound: of PSI; level: how often chance may make one feature's finding."""

    bound: float
    level: float


def feature_drift(
    name: str, reference: Reference, served: ServedFeature, terms: DriftTerms
) -> FeatureDrift:
    """One feature's figures and verdict."""
    known = reference.distribution.effective
    before = at_size(reference.distribution.whole, known)
    after = at_size(served.counts, served.effective)
    ordered = isinstance(reference.distribution, Distribution)
    shift = psi(before, after)
    apart, p_value = ks(before, after) if ordered else (0.0, 1.0)
    chance = psi_by_chance(before, after, terms.level)
    if chance is not None and terms.bound < shift <= chance:
        chance = psi_by_draws(before, after, terms.level)
    bins = int((before > 0).sum())
    found = FeatureDrift(
        feature=name,
        verdict="PASS",
        codes=(),
        psi=shift,
        ks=apart,
        ks_p_value=p_value,
        psi_by_chance=chance,
        reference_size=known,
        served_size=round(served.effective, 1),
        needs=smallest_size(bins, known, HIDDEN * terms.bound, terms.level),
        null_rate=served.share(Status.NULL),
        reference_null_rate=reference.null_rate,
        default_rate=served.defaults / max(1, served.predictions),
        reference_default_rate=reference.default_rate,
        unusable_rate=1 - served.share(Status.OK),
        reference_unusable_rate=reference.unusable_rate,
    )
    return _judged(found, reference, served, terms)


def _judged(
    found: FeatureDrift, reference: Reference, served: ServedFeature, terms: DriftTerms
) -> FeatureDrift:
    drifted = tuple(_drift_codes(found, reference, served, terms))
    if drifted:
        return replace(found, verdict="DRIFT", codes=drifted)
    unsure = _inconclusive_code(found, terms.bound)
    return replace(found, verdict="INCONCLUSIVE", codes=(unsure,)) if unsure else found


def _drift_codes(
    found: FeatureDrift, reference: Reference, served: ServedFeature, terms: DriftTerms
) -> Iterator[str]:
    if found.psi_by_chance is not None and found.psi > max(terms.bound, found.psi_by_chance):
        yield "drift_psi"
    sizes = (found.reference_size, served.effective_predictions)
    for code, before, after in (
        ("drift_null_rate", found.reference_null_rate, found.null_rate),
        ("drift_default_rate", found.reference_default_rate, found.default_rate),
        ("drift_unusable_rate", found.reference_unusable_rate, found.unusable_rate),
    ):
        jumped = after - before > JUMP and sizes[1] >= _LEAST
        if jumped and chance_of_rise(before, sizes[0], after, sizes[1]) < terms.level / 3:
            yield code
    if _constant(reference, served, terms.level):
        yield "drift_constant"


def _constant(reference: Reference, served: ServedFeature, level: float) -> bool:
    """Whether one value is served where training had several, and chance does not explain it."""
    known = reference.distribution
    if not known.varied or not served.constant or served.effective < _LEAST:
        return False
    share = float(known.whole[served.bin_of(served.first)] / known.whole.sum())
    return chance_of_constant(share, served.effective) < level


def _inconclusive_code(found: FeatureDrift, bound: float) -> str:
    """Why there is no verdict; '' where it is PASS."""
    if not found.reference_size:
        return "drift_reference_empty"
    if found.psi_by_chance is None:
        return "drift_served_empty"
    if found.psi <= bound or found.psi_by_chance <= HIDDEN * bound:
        return ""
    return "drift_reference_too_small" if found.needs is None else "drift_served_too_small"


def _figures(found: Sequence[FeatureDrift], served: Served) -> dict[str, Any]:
    """Of each metric the worst, by its name, and the least, for a gate that asks for a minimum.

    No PSI where some feature allows no verdict. PSI is that which chance does not explain.
    """
    verdicts = {one.verdict for one in found}
    verdict = next((v for v in ("DRIFT", "INCONCLUSIVE") if v in verdicts), "PASS")
    values = {metric: [getattr(one, name) for one in found] for metric, name in _FIELDS.items()}
    if "INCONCLUSIVE" in verdicts:
        values[METRIC] = []
    return {
        "verdict": verdict if found else "INCONCLUSIVE",
        "reason_codes": sorted({code for one in found for code in one.codes}),
        **{metric: max(some, default=None) for metric, some in values.items()},
        **{f"{metric}_least": min(some, default=None) for metric, some in values.items()},
        "predictions": served.predictions,
        "of_other_releases": served.others,
        "torn_lines": served.torn + served.unfit,
        "features": [asdict(one) for one in found],
    }


def _findings(
    gates: Sequence[QualityGate], found: Sequence[FeatureDrift], bound: float
) -> Iterator[tuple[str, bool]]:
    """(what is wrong, whether it blocks)."""
    blocks = any(_blocks(gate) for gate in gates if _bounds_psi(gate))
    for text in (*_drifted(found, bound), *_unsure(found)):
        yield text, blocks
    for gate in gates:
        if _bounds_psi(gate) and gate.bound.side == "upper":
            continue
        for one in found:
            value = getattr(one, _FIELDS[gate.metric])
            if not gate.bound.holds(value):
                said = f"{gate.metric} of {one.feature}: found {value:.3g}"
                yield f"{said}, wanted {gate.bound.words}", _blocks(gate)


def _drifted(found: Sequence[FeatureDrift], bound: float) -> Iterator[str]:
    for one in found:
        rise = f"wanted at most {JUMP:g} above training's"
        words = {
            "drift_psi": f"PSI of {one.feature}: found {one.psi:.3g}, wanted at most {bound:g}",
            "drift_null_rate": f"null rate of {one.feature}: found {one.null_rate:.3g}, "
            f"{rise} {one.reference_null_rate:.3g}",
            "drift_default_rate": f"default rate of {one.feature}: found {one.default_rate:.3g}, "
            f"{rise} {one.reference_default_rate:.3g}",
            "drift_unusable_rate": f"unusable rate of {one.feature}: found "
            f"{one.unusable_rate:.3g}, {rise} {one.reference_unusable_rate:.3g}",
            "drift_constant": f"{one.feature}: found one value in all predictions, wanted "
            "several, as in training",
        }
        if one.verdict == "DRIFT":
            yield from (f"{words[code]} [{code}]" for code in one.codes)


def _unsure(found: Sequence[FeatureDrift]) -> Iterator[str]:
    unsure = [one for one in found if one.verdict == "INCONCLUSIVE"]
    for one in unsure[:_SHOWN]:
        size, known = (f"{n:.0f} independent values" for n in (one.served_size, one.reference_size))
        words = {
            "drift_reference_empty": "training had no usable value",
            "drift_served_empty": "no usable value was served",
            "drift_reference_too_small": f"training had {known}, which allow no verdict",
            "drift_served_too_small": f"found {size}, wanted at least {one.needs}",
        }
        [code] = one.codes
        yield f"INCONCLUSIVE {one.feature}: {words[code]} [{code}]"
    if len(unsure) > _SHOWN:
        yield f"INCONCLUSIVE: and {len(unsure) - _SHOWN} more features"


_FIELDS = {
    METRIC: "psi_beyond_chance",
    "feature_null_rate": "null_rate",
    "default_used_rate": "default_rate",
}
"""The figure of a FeatureDrift by the metric that bounds it."""


def _bounds_psi(gate: QualityGate) -> bool:
    return gate.metric == METRIC


def _blocks(gate: QualityGate) -> bool:
    return gate.blocks != "none"


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
    figures=tuple(_FIELDS),
    needs_verdict=(METRIC,),
    finding="drift",
    text=_text,
)
