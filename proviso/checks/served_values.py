"""Distributions of served features from prediction records: values by bin, statuses, defaults.

Records are read one by one, in bounded memory.
"""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from feature_runtime.core.availability import Status, Value
from feature_runtime.core.moments import parse_moment
from feature_runtime.core.record import FeatureRead, PredictionRecord
from feature_runtime.core.service import Service, feature_ref
from proviso.contracts.base import InputError
from proviso.records.reader import RecordReader
from proviso.training.distribution import (
    AnyDistribution,
    Distribution,
    Frequencies,
    effective_size,
)

_BUCKETS = 2**16  # entities that share one only make the effective size smaller


@dataclass
class ServedFeature:
    """One feature over all predictions: usable values by bin, statuses, approved defaults.

    entities, without: predictions of each entity with a usable value, and without one.
    first: the first usable value; constant: whether all usable ones equal it.
    """

    distribution: AnyDistribution
    counts: NDArray[np.float64]
    entities: NDArray[np.float64]
    without: NDArray[np.float64]
    statuses: Counter[str] = field(default_factory=Counter)
    defaults: int = 0
    first: Value = None
    constant: bool = True

    @classmethod
    def of(cls, distribution: AnyDistribution) -> ServedFeature:
        bins = np.zeros(len(distribution.whole))
        return cls(distribution, bins, np.zeros(_BUCKETS), np.zeros(_BUCKETS))

    def add(self, entity: int, status: Status, value: Value) -> None:
        """Counts one prediction's value, which is None where it is not usable."""
        if status is Status.OK:
            self.counts[self.bin_of(value)] += 1
            self.entities[entity] += 1
            self.first = value if self.first is None else self.first
            self.constant = self.constant and value == self.first
        else:
            self.without[entity] += 1
        self.statuses[status.name] += 1

    @property
    def predictions(self) -> int:
        return self.statuses.total()

    @property
    def effective(self) -> float:
        """How many independent values the usable ones are worth."""
        return effective_size(self.entities)

    @property
    def effective_predictions(self) -> float:
        """The same of all predictions, with a usable value or not."""
        return effective_size(self.entities + self.without)

    def bin_of(self, value: Value) -> int:
        """The position of a usable value in the counts. Raises TypeError."""
        if isinstance(self.distribution, Distribution) and isinstance(value, int | float):
            return self.distribution.bin_of(float(value))
        if isinstance(self.distribution, Frequencies) and isinstance(value, str):
            return self.distribution.bin_of(value)
        raise TypeError("a usable value is of the feature's type")

    def share(self, status: Status) -> float:
        """The share of predictions in which the feature had a status."""
        return self.statuses[status.name] / max(1, self.predictions)


@dataclass
class Served:
    """A release's predictions. others: lines of other releases; torn: lines that are no record.

    unfit: lines of the release that are no predictions of its service. last: the greatest
    scored_at, microseconds; 0 without a prediction.
    """

    features: dict[str, ServedFeature]
    predictions: int = 0
    others: int = 0
    torn: int = 0
    unfit: int = 0
    last: int = 0


def read_served(
    records: Sequence[Path],
    release: str,
    service: Service,
    distributions: Mapping[str, AnyDistribution],
) -> Served:
    """Everything that records say of a release, served or in shadow.

    Raises InputError when that is nothing, or mostly lines that cannot be used.
    """
    served = Served({name: ServedFeature.of(one) for name, one in distributions.items()})
    entities = {view.name: view.entities for view in service.views}
    for path in records:
        reader = RecordReader(path, ("release", "scored_at", "entities", "features"))
        for record in reader:
            _add(served, release, entities, record)
        served.torn += reader.damaged
    _require_predictions(served, records, release)
    return served


def _require_predictions(served: Served, records: Sequence[Path], release: str) -> None:
    """Raises InputError with the reason that explains most of what cannot be used."""
    place = ", ".join(map(str, records))
    if served.unfit > served.predictions:
        message = f"{served.unfit} lines of {release} are no predictions of its service"
        raise InputError.event("record_service_mismatch", message, place)
    if served.torn > served.predictions + served.others:
        message = f"{served.torn} lines are no prediction records"
        raise InputError.event("record_damaged", message, place)
    if served.predictions:
        return
    if served.others:
        actual = f"{served.others} predictions of other releases"
        raise InputError.of(place, actual, f"some of {release}", code="record_release_mismatch")
    raise InputError.event("record_empty", "the record has no prediction", place)


def _add(
    served: Served, release: str, views: Mapping[str, Sequence[str]], record: PredictionRecord
) -> None:
    if record["release"] != release:
        served.others += 1
        return
    try:
        at = parse_moment(record["scored_at"])
        buckets = {view: _bucket(record["entities"], names) for view, names in views.items()}
        reads = {
            name: _read(record["features"][name], feature.distribution)
            for name, feature in served.features.items()
        }
    except (KeyError, TypeError, ValueError):
        served.unfit += 1
        return
    for name, feature in served.features.items():
        status, value, replaced = reads[name]
        feature.add(buckets[feature_ref(name).view], status, value)
        feature.defaults += replaced
    served.predictions += 1
    served.last = max(served.last, at)


def _read(read: FeatureRead, distribution: AnyDistribution) -> tuple[Status, Value, bool]:
    """(status, usable value or None, whether an approved default was used).

    Raises KeyError, TypeError or ValueError.
    """
    status, replaced = Status[read["status"]], "reason" in read
    if status is not Status.OK:
        return status, None, replaced
    if not distribution.fits(read["value"]):
        raise TypeError("a usable value is of the feature's type")
    return status, read["value"], replaced


def _bucket(entities: Mapping[str, Any], names: Sequence[str]) -> int:
    key = "|".join(str(entities[name]) for name in names)
    return zlib.crc32(key.encode()) % _BUCKETS
