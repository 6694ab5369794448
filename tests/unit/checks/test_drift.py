"""Drift is named when it is there, not when chance made it, and never from too few values."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from feature_runtime.core.availability import Status
from feature_runtime.core.encode import Encoder
from feature_runtime.core.moments import format_moment
from feature_runtime.core.release import parse_release, read_release
from feature_runtime.core.service import parse_service
from feature_runtime.serving.lookup import FeatureLookup
from feature_runtime.serving.outcome import Decider
from feature_runtime.serving.record import Recorder
from feature_runtime.serving.request import ScoringRequest
from feature_runtime.serving.sinks import json_lines
from proviso.checks.drift import (
    FALSE_ALARMS,
    Drift,
    DriftTerms,
    FeatureDrift,
    feature_drift,
    measure,
)
from proviso.checks.drift_statistics import psi, psi_by_chance, psi_by_draws
from proviso.checks.served_values import Served, ServedFeature, read_served
from proviso.contracts.base import InputError
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
    return Reference(distribution_of(values, owners), 0.1, 0.2, 0.3)


def served(known: Reference, values: Sequence[float], entities: int = 2**16) -> ServedFeature:
    found = ServedFeature.of(known.distribution)
    for i, value in enumerate(values):
        found.add(i % entities, Status.OK, value)
    return found


def without(found: ServedFeature, status: Status, count: int, *, entities: int = 2**16) -> None:
    """Adds predictions without a usable value; those of NULL use a default."""
    for i in range(count):
        found.add(i % entities, status, float("nan"))
    found.defaults += count if status is Status.NULL else 0


def drift(known: Reference, values: Floats, entities: int = 2**16) -> FeatureDrift:
    return judge(known, served(known, values.tolist(), entities))


def judge(known: Reference, seen: ServedFeature, features: int = 20) -> FeatureDrift:
    return feature_drift(FEATURE, known, seen, DriftTerms(BOUND, FALSE_ALARMS / features))


KNOWN = reference(draw(0, 20_000))
HUNDRED = reference(draw(0, 100))
"""Training of a project of a hundred entities."""


@pytest.mark.parametrize("size", [100, 1_000])
@pytest.mark.parametrize("known", [KNOWN, HUNDRED], ids=["large", "hundred"])
def test_the_same_population_is_not_called_drift(known: Reference, size: int) -> None:
    verdicts = [drift(known, draw(seed, size)).verdict for seed in range(1, 41)]
    assert set(verdicts) == {"PASS"}


@pytest.mark.parametrize("known", [KNOWN, HUNDRED], ids=["large", "hundred"])
@pytest.mark.parametrize(("shift", "spread"), [(1.6, 1.0), (-1.6, 1.0), (0.0, 4.0)])
def test_another_population_is_called_drift(known: Reference, shift: float, spread: float) -> None:
    found = [drift(known, draw(seed, 100, shift, spread)) for seed in range(1, 41)]
    assert sum(one.codes == ("drift_psi",) for one in found) >= 38


def test_a_shift_within_the_bound_is_not_drift_however_significant() -> None:
    found = drift(KNOWN, draw(1, 20_000, 0.3))
    assert found.ks_p_value < 1e-6
    assert (found.verdict, found.codes) == ("PASS", ())
    assert 0 < found.psi_beyond_chance < BOUND


def test_a_small_sample_passes_or_is_inconclusive_for_its_size_alone() -> None:
    for seed in range(1, 21):
        found = drift(KNOWN, draw(seed, 12))
        assert found.verdict in {"PASS", "INCONCLUSIVE"}
        assert found.codes in {(), ("drift_served_too_small",)}
        assert found.needs is not None
        assert found.needs > 12


def test_many_predictions_of_few_entities_are_few_values() -> None:
    """Five customers whose values repeat, by chance the lowest of all."""
    values = np.repeat(np.sort(draw(1, 100))[-5:], 600)
    found = judge(KNOWN, served(KNOWN, values.reshape(5, 600).T.ravel().tolist(), 5))
    assert found.served_size == pytest.approx(5)
    assert (found.verdict, found.codes) == ("INCONCLUSIVE", ("drift_served_too_small",))
    assert drift(KNOWN, values).codes == ("drift_psi",)


def test_a_training_set_of_few_entities_says_so() -> None:
    values = np.repeat(draw(3, 4), 500)
    found = drift(reference(values, np.repeat(np.arange(4), 500)), draw(1, 3_000))
    assert (found.verdict, found.codes) == ("INCONCLUSIVE", ("drift_reference_too_small",))
    assert found.needs is None


@pytest.mark.parametrize(("n", "m"), [(300, 5_000), (500, 500), (100, 100), (40, 20_000)])
def test_chance_explains_as_much_as_is_said(n: int, m: int) -> None:
    """Without drift PSI exceeds what is stated in about one of 100 cases, by formula or draws."""
    found, stated, drawn = [], [], []
    for seed in range(150):
        known = reference(draw(seed, m)).distribution
        assert isinstance(known, Distribution)
        places = np.searchsorted(known.edges, draw(10_000 + seed, n), side="left") + 1
        after = np.bincount(places, minlength=len(known.whole)).astype(np.float64)
        found.append(psi(known.whole, after))
        stated.append(psi_by_chance(known.whole, after, 0.01))
        if seed < 5:
            drawn.append(psi_by_draws(known.whole, after, 0.01))
    assert np.mean(np.array(found) <= np.array(stated)) >= 0.97
    assert np.mean(np.array(found) <= np.median(drawn)) >= 0.95
    assert np.median(drawn) / 4 <= np.median(found), "and not because chance is overstated"


def test_a_constant_that_begins_to_vary_is_drift() -> None:
    known = reference(np.zeros(5_000))
    assert drift(known, np.zeros(500)).verdict == "PASS"
    assert drift(known, np.where(np.arange(500) % 5 == 0, 1.0, 0.0)).verdict == "DRIFT"
    assert drift(known, np.where(np.arange(500) % 5 == 0, -1.0, 0.0)).verdict == "DRIFT"


@pytest.mark.parametrize("value", [0.0, 20.0, -3.0, 1e9])
@pytest.mark.parametrize("size", [20, 5_055])
def test_a_served_constant_is_drift(value: float, size: int) -> None:
    for known in (KNOWN, HUNDRED):
        found = drift(known, np.full(size, value))
        assert found.verdict == "DRIFT"
        assert "drift_constant" in found.codes


def test_a_constant_is_drift_also_where_its_psi_is_small() -> None:
    rare = reference(np.where(np.arange(20_000) % 25 == 0, 7.0, 0.0))
    found = drift(rare, np.zeros(500))
    assert (found.codes, found.psi < BOUND) == (("drift_constant",), True)
    assert drift(rare, np.zeros(50)).verdict == "PASS", "chance explains it"
    assert drift(KNOWN, np.full(1_000, 20.0), entities=3).verdict == "INCONCLUSIVE"


def test_a_feature_that_training_never_saw_allows_no_verdict() -> None:
    known = reference(np.array([]))
    found = drift(known, np.ones(500))
    assert (found.codes, found.psi_by_chance) == (("drift_reference_empty",), None)


@pytest.mark.parametrize("count", [12, 5_055])
@pytest.mark.parametrize(
    ("status", "codes"),
    [
        (Status.NULL, ("drift_null_rate", "drift_default_rate", "drift_unusable_rate")),
        (Status.MISSING_KEY, ("drift_unusable_rate",)),
        (Status.STALE, ("drift_unusable_rate",)),
        (Status.TYPE, ("drift_unusable_rate",)),
    ],
)
def test_a_feature_that_is_never_usable_is_drift(
    status: Status, codes: tuple[str, ...], count: int
) -> None:
    for known in (KNOWN, HUNDRED):
        clean = replace(known, null_rate=0.0, default_rate=0.0, unusable_rate=0.0)
        seen = served(clean, [])
        without(seen, status, count)
        found = judge(clean, seen)
        assert (found.verdict, found.codes) == ("DRIFT", codes)


@pytest.mark.parametrize(("nulls", "verdict"), [(0, "PASS"), (140, "PASS"), (200, "DRIFT")])
def test_a_rate_that_jumps_beyond_chance_is_drift_on_its_own(nulls: int, verdict: str) -> None:
    seen = served(KNOWN, draw(1, 1_000 - nulls).tolist())
    without(seen, Status.NULL, nulls)
    found = judge(KNOWN, seen)
    assert (found.verdict, found.null_rate) == (verdict, nulls / 1_000)
    assert found.codes == (("drift_null_rate",) if nulls == 200 else ())


def test_a_jump_of_one_entity_is_chance() -> None:
    seen = served(KNOWN, draw(1, 500).tolist())
    without(seen, Status.NULL, 500, entities=1)
    assert "drift_null_rate" not in judge(KNOWN, seen).codes


def test_nothing_served_by_too_few_says_so() -> None:
    clean = replace(KNOWN, null_rate=0.0, default_rate=0.0, unusable_rate=0.0)
    seen = served(clean, [])
    without(seen, Status.NULL, 40, entities=1)
    assert judge(clean, seen).codes == ("drift_served_empty",)


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
    known = replace(KNOWN, null_rate=0.5, default_rate=0.5, unusable_rate=0.5)
    feature = served(known, values.tolist())
    without(feature, Status.NULL, defaults)
    return measure(bound, {FEATURE: known}, Served({FEATURE: feature}, len(values) + defaults))


@pytest.mark.parametrize("gates", [(), (gate("feature_drift_psi", BOUND, "none"),)])
def test_drift_is_a_warning_unless_the_contract_makes_it_a_gate(
    gates: Sequence[QualityGate],
) -> None:
    found = judged(draw(1, 300, 2.0), *gates)
    assert found.reasons == ()
    assert found.warnings[0].startswith(f"PSI of {FEATURE}: found ")
    assert found.warnings[0].endswith("wanted at most 0.25 [drift_psi]")
    assert found.figures["feature_drift_psi"] == found.features[0].psi > BOUND


def test_a_gate_stops_drift_and_what_cannot_be_told() -> None:
    blocking = gate("feature_drift_psi", BOUND, "shadow")
    assert judged(draw(1, 300, 2.0), blocking).reasons[0].startswith("PSI of")
    unsure = judged(np.repeat(draw(1, 2), 3), blocking)
    assert unsure.reasons[0].endswith("[drift_served_too_small]")
    assert unsure.figures["feature_drift_psi"] is None
    assert (unsure.figures["verdict"], unsure.figures["reason_codes"]) == (
        "INCONCLUSIVE",
        ["drift_served_too_small"],
    )
    assert judged(draw(1, 300), blocking).reasons == ()


def test_a_gate_stops_a_jump_and_a_constant() -> None:
    blocking = gate("feature_drift_psi", BOUND, "shadow")
    jumped = judged(draw(1, 100), blocking, defaults=900)
    assert [reason.split("[")[1] for reason in jumped.reasons] == [
        "drift_null_rate]",
        "drift_default_rate]",
        "drift_unusable_rate]",
    ]
    assert judged(np.full(300, 20.0), blocking).reasons[-1].endswith("[drift_constant]")


@pytest.mark.parametrize("metric", ["feature_drift_psi", "feature_null_rate", "default_used_rate"])
@pytest.mark.parametrize("blocks", ["none", "shadow"])
def test_a_gate_from_below_is_held_for_each_feature(metric: str, blocks: str) -> None:
    stated = {"name": metric, "owner": "data@shop.example", "schedule": "P1D"}
    least = QualityGate.model_validate({**stated, "metric": metric, "min": 0.1, "blocks": blocks})
    found = judged(draw(1, 300), least)
    said = found.reasons if blocks == "shadow" else found.warnings
    assert [text.split(":")[0] for text in said] == [f"{metric} of buyer_hourly"]
    assert found.figures[f"{metric}_least"] == found.figures[metric] < 0.1


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
    assert (found.predictions, found.others, found.last) == (4, 1, T + 5)
    assert (found.torn, found.unfit) == (3, 3)
    feature = found.features[name]
    assert feature.counts.tolist() == [0, 0, 2, 0]
    assert (dict(feature.statuses), feature.defaults) == (
        {"OK": 2, "NULL": 1, "MISSING_KEY": 1},
        2,
    )
    assert feature.effective == 1, "one customer"


GOOD = {name_of(0): {"value": 3, "status": "OK"}}
JUNK: dict[str, tuple[list[str], str]] = {
    "no line": ([], "record_empty"),
    "blank lines": (["", "  "], "record_empty"),
    "text": (["a,b", "1,2"], "record_damaged"),
    "one line that is no JSON": (["{"], "record_damaged"),
    "one line of another schema": ([a_line(GOOD, schema="x")], "record_damaged"),
    "mostly torn": ([a_line(GOOD), *[a_line(GOOD)[:-3]] * 3], "record_damaged"),
    "another release": ([a_line(GOOD, release="r-other")] * 3, "record_release_mismatch"),
    "another service": ([a_line({"other:feature": GOOD})] * 3, "record_service_mismatch"),
    "other entities": ([a_line(GOOD, entities={"door": 1})] * 3, "record_service_mismatch"),
    "text for a value": (
        [a_line({name_of(0): {"value": "3", "status": "OK"}})] * 3,
        "record_service_mismatch",
    ),
    "infinity": (
        [a_line({name_of(0): {"value": float("inf"), "status": "OK"}})],
        "record_service_mismatch",
    ),
}


@pytest.mark.parametrize("name", JUNK)
def test_a_record_of_junk_is_an_error(tmp_path: Path, name: str) -> None:
    lines, code = JUNK[name]
    path = tmp_path / "record.jsonl"
    path.write_text("".join(f"{line}\n" for line in lines))
    with pytest.raises(InputError) as raised:
        read(path, name_of(0))
    assert raised.value.problems[0].code == code


def test_a_line_that_does_not_fit_counts_for_no_feature(tmp_path: Path) -> None:
    first, second = name_of(0), name_of(1)
    half = {first: {"value": 3, "status": "OK"}, second: {"value": "x", "status": "OK"}}
    whole = {**half, second: {"value": 1, "status": "OK"}}
    path = tmp_path / "record.jsonl"
    path.write_text("\n".join([a_line(whole), a_line(half)]))
    found = read(path, first, second)
    assert [f.predictions for f in found.features.values()] == [1, 1]


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
    assert references_of(card)[FEATURE] == replace(KNOWN, unusable_rate=1 - 9 / 10)
    without = {**card, "features": {"train": card["features"]["train"]}}
    torn = [{FEATURE: {**whole, "low": None}}, {FEATURE: {**whole, "counts": []}}]
    others = [{**card, "features": {**card["features"], "distribution": one}} for one in torn]
    for broken in ({}, without, *others):
        with pytest.raises((KeyError, ValueError)):
            references_of(broken)
