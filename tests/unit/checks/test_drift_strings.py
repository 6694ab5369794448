"""Drift of strings: the frequencies of training against those that are served."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import yaml

from feature_runtime.core.availability import Status
from proviso.checks.drift import DriftTerms, FeatureDrift, feature_drift
from proviso.checks.served_values import ServedFeature
from proviso.training.distribution import (
    CATEGORIES,
    Distribution,
    Frequencies,
    Reference,
    _distribution,
    _tuples,
    distribution_of,
    frequencies_of,
)

TERMS = DriftTerms(0.25, 0.01)


def drawn(seed: int, size: int, weights: dict[str, float]) -> list[str]:
    shares = np.array(list(weights.values()))
    chance = np.random.default_rng(seed)
    return [str(v) for v in chance.choice(list(weights), size, p=shares / shares.sum())]


def frequencies(values: list[str]) -> Frequencies:
    column = np.array(values, dtype=np.object_)
    return frequencies_of(column, np.arange(len(values)))


def served(known: Frequencies | Distribution, values: list[Any]) -> ServedFeature:
    feature = ServedFeature.of(known)
    for entity, value in enumerate(values):
        feature.add(entity, Status.OK, value)
    return feature


def verdict(before: list[str], after: list[str]) -> FeatureDrift:
    known = frequencies(before)
    return feature_drift("v:c", Reference(known, 0, 0, 0), served(known, after), TERMS)


WEIGHTS = {"AA": 5.0, "UA": 3.0, "": 1.0, "e\u0301": 1.0}


def test_the_same_frequencies_are_no_drift() -> None:
    found = verdict(drawn(1, 4_000, WEIGHTS), drawn(2, 2_000, WEIGHTS))
    assert (found.verdict, found.ks, found.ks_p_value) == ("PASS", 0.0, 1.0)


@pytest.mark.parametrize(
    "after",
    [
        {"AA": 1.0, "UA": 9.0, "": 1.0, "e\u0301": 1.0},
        {"aa": 5.0, "UA": 3.0, "": 1.0, "e\u0301": 1.0},
        {"AA": 1.0, "UA": 1.0, "": 8.0, "e\u0301": 1.0},
        {"AA": 2.0, "UA": 1.0, "": 1.0, "\u00e9": 6.0},
    ],
    ids=["shares", "another case", "empty", "another normal form"],
)
def test_other_frequencies_are_drift(after: dict[str, float]) -> None:
    found = verdict(drawn(1, 4_000, WEIGHTS), drawn(2, 2_000, after))
    assert (found.verdict, found.codes) == ("DRIFT", ("drift_psi",))


def test_one_value_where_there_were_several_is_a_constant() -> None:
    found = verdict(drawn(1, 4_000, WEIGHTS), ["AA"] * 2_000)
    assert "drift_constant" in found.codes


def test_rare_strings_share_a_bin() -> None:
    values = [f"v{i}" for i in range(200) for _ in range(200 - i)]
    known = frequencies(values)
    assert known.values == tuple(f"v{i}" for i in range(CATEGORIES))
    assert sum(known.counts) + known.others == len(values)
    assert known.bin_of("v0") == 0
    assert known.bin_of("v199") == known.bin_of("never seen") == CATEGORIES
    assert len(known.whole) == CATEGORIES + 1


def test_a_card_keeps_what_was_counted() -> None:
    for one in (frequencies(["AA", "", "\0", "no"]), frequencies([])):
        text = yaml.safe_dump(json.loads(one.model_dump_json()), allow_unicode=True)
        assert _distribution(_tuples(yaml.safe_load(text))) == one
    numbers = distribution_of(np.array([1.0, 2.0]), np.array([0, 1]))
    assert _distribution(_tuples(numbers.model_dump(mode="json"))) == numbers


@pytest.mark.parametrize(("known", "value"), [("text", 5), ("text", None), ("numbers", "AA")])
def test_a_value_of_another_type_fits_no_bin(known: str, value: Any) -> None:
    numbers = distribution_of(np.array([1.0, 2.0]), np.array([0, 1]))
    distribution = frequencies(["AA"]) if known == "text" else numbers
    assert not distribution.fits(value)
    with pytest.raises(TypeError):
        served(distribution, [value])
