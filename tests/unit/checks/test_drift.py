"""Drift is named when it is there, not when chance made it, and never from too few values."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from feature_runtime.core.encode import Encoder
from feature_runtime.core.moments import format_moment
from feature_runtime.core.release import parse_release, read_release
from feature_runtime.core.service import parse_service
from feature_runtime.serving.lookup import FeatureLookup
from feature_runtime.serving.outcome import Decider
from feature_runtime.serving.record import Recorder
from feature_runtime.serving.request import ScoringRequest
from feature_runtime.serving.sinks import json_lines
from proviso.checks.drift import Drift, FeatureDrift, feature_drift, measure, noise, psi
from proviso.checks.served_values import Served, ServedFeature, read_served
from proviso.contracts.contract import Contract, QualityGate
from proviso.training.distribution import (
    Distribution,
    Reference,
    distribution_of,
    effective_size,
    references_of,
)
from tests.history_data import contract
from tests.local.pod_stack import T, make_release, section

Floats = NDArray[np.float64]
FEATURE = "buyer_hourly:spent_3h"
RELEASE = "r-0123456789abcdef"
BOUND = 0.25


def draw(seed: int, size: int, shift: float = 0.0, spread: float = 1.0) -> Floats:
    """Amounts as a feature has them: many zeros, a long tail."""
    rng = np.random.default_rng(seed)
    amounts = np.exp(rng.normal(3 + shift, spread, size))
    return np.where(rng.random(size) < 0.3, 0.0, np.round(amounts, 2))


def reference(values: Floats, entities: NDArray[np.int64] | None = None) -> Reference:
    owners = np.arange(len(values)) if entities is None else entities
    return Reference(distribution_of(values, owners), 0.1, 0.2)


def served(known: Reference, values: Sequence[float], entities: int = 2**16) -> ServedFeature:
    found = ServedFeature.of(known.distribution)
    for i, value in enumerate(values):
        found.add(i % entities, {"status": "OK", "value": value})
    return found


def drift(known: Reference, values: Floats, entities: int = 2**16) -> FeatureDrift:
    seen = served(known, values.tolist(), entities)
    return feature_drift(FEATURE, known, seen, len(values), BOUND)


KNOWN = reference(draw(0, 20_000))


def test_the_same_population_is_not_called_drift() -> None:
    verdicts = [drift(KNOWN, draw(seed, 300)).verdict for seed in range(1, 101)]
    assert set(verdicts) == {"PASS"}


@pytest.mark.parametrize(("shift", "spread"), [(1.2, 1.0), (-1.2, 1.0), (0.0, 0.4), (0.0, 2.5)])
def test_another_population_is_called_drift(shift: float, spread: float) -> None:
    for seed in range(1, 21):
        found = drift(KNOWN, draw(seed, 300, shift, spread))
        assert found.verdict == "DRIFT"
        assert found.ks_p_value < 0.01


def test_too_few_values_allow_no_verdict_whatever_they_are() -> None:
    for shift in (0.0, 3.0):
        found = drift(KNOWN, draw(1, 100, shift))
        assert found.verdict == "INCONCLUSIVE"
        assert found.needs is not None
        assert 100 < found.needs <= 300


def test_from_the_size_that_is_asked_for_on_there_is_a_verdict() -> None:
    needs = drift(KNOWN, draw(1, 10)).needs
    assert needs is not None
    sizes = (needs - 1, needs)
    assert [drift(KNOWN, draw(1, n)).verdict for n in sizes] == ["INCONCLUSIVE", "PASS"]


def test_many_predictions_of_few_entities_are_few_values() -> None:
    assert drift(KNOWN, draw(1, 3_000), entities=20).verdict == "INCONCLUSIVE"
    assert drift(KNOWN, draw(1, 3_000), entities=20).served_size == pytest.approx(20)


def test_a_training_set_of_few_entities_allows_no_verdict() -> None:
    values = draw(0, 5_000)
    found = drift(reference(values, np.arange(5_000) % 100), draw(1, 3_000))
    assert (found.verdict, found.needs) == ("INCONCLUSIVE", None)


@pytest.mark.parametrize(("n", "m"), [(300, 5_000), (500, 500)])
def test_chance_explains_as_much_as_is_said(n: int, m: int) -> None:
    """Without drift PSI stays below the stated noise in about 99 of 100 cases."""
    chance = noise(len(KNOWN.distribution.whole), n, m)
    assert chance is not None
    found = []
    for seed in range(300):
        known = reference(draw(seed, m)).distribution
        places = np.searchsorted(known.edges, draw(10_000 + seed, n), side="left") + 1
        after = np.bincount(places, minlength=len(known.whole)).astype(np.float64)
        found.append(psi(known.whole, after))
    assert np.mean(np.array(found) <= chance) >= 0.97
    assert chance / 4 <= np.median(found), "and not because the noise is overstated"


def test_a_constant_that_begins_to_vary_is_drift() -> None:
    known = reference(np.zeros(5_000))
    assert drift(known, np.zeros(500)).verdict == "PASS"
    assert drift(known, np.where(np.arange(500) % 5 == 0, 1.0, 0.0)).verdict == "DRIFT"
    assert drift(known, np.where(np.arange(500) % 5 == 0, -1.0, 0.0)).verdict == "DRIFT"


def test_bins_are_of_equal_weight_and_hold_their_upper_edge() -> None:
    found = distribution_of(np.arange(100, dtype=np.float64), np.arange(100))
    assert (found.low, found.counts) == (0.0, (10,) * 10)
    assert found.edges == tuple(float(n) for n in range(9, 100, 10))
    places = {-0.1: 0, 0.0: 1, 9.0: 1, 9.1: 2, 99.0: 10, 99.1: 11}
    assert {value: found.bin_of(value) for value in places} == places
    assert len(found.whole) == 12


def test_ties_share_a_bin() -> None:
    found = distribution_of(np.array([0.0] * 60 + [1.0] * 30 + [7.0] * 10), np.arange(100))
    assert (found.edges, found.counts) == ((0.0, 1.0, 7.0), (60, 30, 10))


def test_a_feature_that_training_never_saw_allows_no_verdict() -> None:
    known = reference(np.array([]))
    found = drift(known, np.ones(500))
    assert (found.verdict, found.psi_by_chance) == ("INCONCLUSIVE", None)


def test_entities_of_equal_weight_count_in_full() -> None:
    assert effective_size(np.array([3, 3, 3, 0])) == 3
    assert effective_size(np.array([1] * 50)) == 50
    assert effective_size(np.array([997, 1, 1, 1])) < 1.01
    assert effective_size(np.array([0])) == 0


def gate(metric: str, most: float, blocks: str) -> QualityGate:
    stated = {"metric": metric, "max": most, "blocks": blocks, "schedule": "P1D"}
    return QualityGate.model_validate({"name": metric, "owner": "data@shop.example", **stated})


def judged(values: Floats, *gates: QualityGate, defaults: int = 0) -> Drift:
    owned = contract()
    bound: Contract = owned.model_copy(update={"quality_gates": [*owned.quality_gates, *gates]})
    feature = served(KNOWN, values.tolist())
    feature.defaults, feature.statuses["NULL"] = defaults, defaults
    return measure(bound, {FEATURE: KNOWN}, Served({FEATURE: feature}, len(values) + defaults))


@pytest.mark.parametrize("gates", [(), (gate("feature_drift_psi", BOUND, "none"),)])
def test_drift_is_a_warning_unless_the_contract_makes_it_a_gate(
    gates: Sequence[QualityGate],
) -> None:
    found = judged(draw(1, 300, 2.0), *gates)
    assert found.reasons == ()
    assert found.warnings[0].startswith(f"PSI of {FEATURE}: found ")
    assert found.warnings[0].endswith("wanted at most 0.25")
    assert found.figures["feature_drift_psi"] == found.features[0].psi > BOUND


def test_a_gate_stops_drift_and_what_cannot_be_told() -> None:
    blocking = gate("feature_drift_psi", BOUND, "shadow")
    assert judged(draw(1, 300, 2.0), blocking).reasons[0].startswith("PSI of")
    unsure = judged(draw(1, 50), blocking)
    assert unsure.reasons[0].startswith(f"INCONCLUSIVE {FEATURE}: found 50 independent values")
    assert unsure.figures["feature_drift_psi"] is None
    assert judged(draw(1, 300), blocking).reasons == ()


@pytest.mark.parametrize("metric", ["feature_null_rate", "default_used_rate"])
@pytest.mark.parametrize("blocks", ["none", "shadow"])
def test_rates_are_held_to_their_gates(metric: str, blocks: str) -> None:
    over = judged(draw(1, 300), gate(metric, 0.4, blocks), defaults=300)
    said = over.reasons if blocks == "shadow" else over.warnings
    assert f"{metric} of {FEATURE}: found 0.5, wanted at most 0.4" in said
    within = judged(draw(1, 300), gate(metric, 0.5, blocks), defaults=300)
    assert (within.reasons, within.warnings) == ((), ())
    assert within.figures[metric] == 0.5


def a_line(features: Mapping[str, Any], **changes: Any) -> str:
    record = {
        "schema": "proviso.prediction.v1",
        "scored_at": format_moment(T),
        "release": RELEASE,
        "entities": {"customer": "c1", "merchant": "m1"},
        "features": features,
    }
    return json.dumps({**record, **changes})


ONE = {"customer_velocity:count": {"value": 3, "status": "OK"}}
SERVICE = parse_service(section())


def read(path: Path, *names: str) -> Served:
    flat = Distribution(low=0.0, edges=(1.0, 5.0), counts=(5, 5), effective=10.0)
    return read_served([path], RELEASE, SERVICE, dict.fromkeys(names, flat))


def name_of(k: int) -> str:
    return ":".join(SERVICE.consumed[k])


def test_a_record_is_read_past_what_is_torn_or_of_other_releases(tmp_path: Path) -> None:
    name = name_of(0)
    whole = {name: {"value": 3, "status": "OK"}}
    lines = [
        a_line(whole),
        a_line(whole, release="r-other"),
        a_line(whole)[:-7],
        "",
        "[]",
        a_line({}),
        a_line({name: {"value": "x", "status": "OK"}}),
        a_line({name: {"value": 3, "status": "FINE"}}),
        a_line(whole, schema="another.v2"),
        a_line({name: {"value": None, "status": "NULL", "default": 0.0, "reason": "known"}}),
        a_line({name: {"value": None, "status": "MISSING_KEY", "default": None, "reason": "ok"}}),
        a_line(whole, scored_at=format_moment(T + 5)),
    ]
    path = tmp_path / "record.jsonl"
    path.write_text("\n".join(lines))
    found = read(path, name)
    assert (found.predictions, found.others, found.torn, found.last) == (4, 1, 6, T + 5)
    feature = found.features[name]
    assert feature.counts.tolist() == [0, 0, 2, 0]
    assert (dict(feature.statuses), feature.defaults) == (
        {"OK": 2, "NULL": 1, "MISSING_KEY": 1},
        2,
    )
    assert feature.effective == 1, "one customer"


def test_the_pods_own_lines_are_understood(tmp_path: Path) -> None:
    release = parse_release(read_release(make_release(tmp_path / "r") / "release.yml"))
    service, at = release.service, np.array([T, T])
    ids: dict[str, list[int | str]] = {"customer": ["a", "b"], "merchant": ["m", "m"]}
    request = ScoringRequest("r", None, "live", "v1", ids, {"amount": np.ones(2)}, at)
    lookup = FeatureLookup(service)
    keys = lookup.keys(request)
    found = lookup.read(keys, {key: None for row in keys for key in row}, at)
    encoded = Encoder(service).encode(request.fields, at, found.values, found.status)
    outcome = Decider(service).outcome(at, found, encoded, np.full(2, 0.5))
    path = tmp_path / "record.jsonl"
    records = Recorder(release, None, "pod").records(request, found, encoded, outcome, {})
    path.write_bytes(json_lines(records))
    nothing = distribution_of(np.array([]), np.array([], dtype=np.int64))
    names = {":".join(name): nothing for name in service.consumed}
    served_ = read_served([path], release.id, service, names)
    assert (served_.predictions, served_.torn) == (2, 0)
    for name, feature in served_.features.items():
        assert feature.statuses == {"MISSING_KEY": 2}, name
    assert served_.features[name_of(0)].defaults == 2


def test_what_is_no_card_with_distributions_is_refused() -> None:
    whole = KNOWN.distribution.model_dump(mode="json")
    card: dict[str, Any] = {
        "rows": {"train": {"transactions": 10}},
        "features": {
            "train": {FEATURE: {"status": {"OK": 9, "NULL": 1}, "defaults": 2}},
            "distribution": {FEATURE: whole},
        },
    }
    assert references_of(card)[FEATURE] == KNOWN
    without = {**card, "features": {"train": card["features"]["train"]}}
    torn = [{FEATURE: {**whole, "low": None}}, {FEATURE: {**whole, "counts": []}}]
    others = [{**card, "features": {**card["features"], "distribution": one}} for one in torn]
    for broken in ({}, without, *others):
        with pytest.raises((KeyError, ValueError)):
            references_of(broken)
