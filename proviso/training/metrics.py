"""Metrics of a model on its test days: ranking metrics and precision among entities.

The protocol is the Fraud Detection Handbook's (docs/model-quality.md), in general terms: an
entity that is already known to be compromised is left out, and an entity that was found on a day
is left out of later days. A label that is not known is never evaluated; it is not a 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, roc_auc_score

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Bools = NDArray[np.bool_]

_ALWAYS = np.iinfo(np.int64).min


@dataclass(frozen=True)
class Events:
    """n labelled events, any order: label [n] 0, 1 or NaN (not known), day [n], entity [n].

    `day` counts days since the epoch, UTC; `entity` is an integer code per entity.
    """

    label: Floats
    day: Integers
    entity: Integers

    def take(self, mask: Bools) -> Events:
        return Events(self.label[mask], self.day[mask], self.entity[mask])


@dataclass(frozen=True)
class Metrics:
    """None where the labels do not allow a figure: no known label, or only one class."""

    auc: float | None
    average_precision: float | None
    entity_precision: float | None
    rows: int
    positives: int


def known_compromised(past: Events, test: Events, train_days: tuple[int, int], lag: int) -> Bools:
    """Which of the test events [n] concern an entity whose compromise is known by that day.

    Known is a positive on one of the train days (first, last), or on a day from the first train
    day up to `lag` days before the day of the test event. `past` may contain the test events.
    """
    first, last = train_days
    positives = past.take((past.label == 1) & (past.day >= first))
    known_on = np.where(positives.day <= last, _ALWAYS, positives.day + lag)
    order = np.lexsort((known_on, positives.entity))
    entities, earliest = np.unique(positives.entity[order], return_index=True)
    if entities.size == 0:
        return np.zeros(test.day.shape, dtype=np.bool_)
    from_day = known_on[order][earliest]
    at = np.minimum(np.searchsorted(entities, test.entity), entities.size - 1)
    return np.asarray((entities[at] == test.entity) & (from_day[at] <= test.day))


def entity_precision_at_k(events: Events, score: Floats, k: int) -> float | None:
    """Mean over days of the share of compromised entities among the k with the highest score.

    An entity's score on a day is its highest; one that was among a day's k and compromised is
    left out of later days. Ties go to the smaller entity code. None without known labels.
    """
    judged = ~np.isnan(events.label)
    events, score = events.take(judged), score[judged]
    caught = np.zeros(0, dtype=np.int64)
    shares = []
    for day in np.unique(events.day):
        chosen = (events.day == day) & ~np.isin(events.entity, caught)
        hits = _hits(events.entity[chosen], events.label[chosen], score[chosen], k)
        caught = np.concatenate([caught, hits])
        shares.append(hits.size / k)
    return float(np.mean(shares)) if shares else None


def _hits(entity: Integers, label: Floats, score: Floats, k: int) -> Integers:
    """The compromised ones among the k entities of one day with the highest single score."""
    entities, code = np.unique(entity, return_inverse=True)
    highest = np.full(entities.size, -np.inf)
    np.maximum.at(highest, code, score)
    compromised = np.zeros(entities.size, dtype=np.bool_)
    np.logical_or.at(compromised, code, label == 1)
    top = np.argsort(-highest, kind="stable")[:k]
    return np.asarray(entities[top[compromised[top]]])


def measure(events: Events, score: Floats, k: int) -> Metrics:
    """All metrics of the events whose label is known; `score` [n] is a probability."""
    judged = ~np.isnan(events.label)
    label, known = events.label[judged], score[judged]
    positives = int(label.sum())
    ranked = 0 < positives < label.size
    return Metrics(
        auc=float(roc_auc_score(label, known)) if ranked else None,
        average_precision=float(average_precision_score(label, known)) if ranked else None,
        entity_precision=entity_precision_at_k(events, score, k),
        rows=int(label.size),
        positives=positives,
    )
