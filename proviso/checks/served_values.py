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

from feature_runtime.core.availability import Status
from feature_runtime.core.moments import parse_moment
from feature_runtime.core.record import FeatureRead, PredictionRecord
from feature_runtime.core.service import Service, feature_ref
from proviso.records.reader import RecordReader
from proviso.training.distribution import Distribution, effective_size

_BUCKETS = 2**16  # entities that share one only make the effective size smaller


@dataclass
class ServedFeature:
    """One feature over all predictions: usable values by bin, statuses, approved defaults."""

    distribution: Distribution
    counts: NDArray[np.float64]
    entities: NDArray[np.float64]
    statuses: Counter[str] = field(default_factory=Counter)
    defaults: int = 0

    @classmethod
    def of(cls, distribution: Distribution) -> ServedFeature:
        nothing = np.zeros(_BUCKETS)
        return cls(distribution, np.zeros(len(distribution.whole)), nothing)

    def add(self, entity: int, read: FeatureRead) -> None:
        """Counts one prediction's value. Raises KeyError, TypeError or ValueError."""
        status = Status[read["status"]]
        if status is Status.OK:
            value = read["value"]
            if value is None:
                raise TypeError("a value that is OK is not null")
            self.counts[self.distribution.bin_of(float(value))] += 1
            self.entities[entity] += 1
        self.statuses[status.name] += 1
        self.defaults += "reason" in read

    @property
    def effective(self) -> float:
        """How many independent values the usable ones are worth."""
        return effective_size(self.entities)


@dataclass
class Served:
    """A release's predictions. others: lines of other releases; torn: lines that are no record.

    last: the greatest scored_at, microseconds; 0 without a prediction.
    """

    features: dict[str, ServedFeature]
    predictions: int = 0
    others: int = 0
    torn: int = 0
    last: int = 0


def read_served(
    records: Sequence[Path],
    release: str,
    service: Service,
    distributions: Mapping[str, Distribution],
) -> Served:
    """Everything that records say of a release, served or in shadow. Raises InputError."""
    served = Served({name: ServedFeature.of(one) for name, one in distributions.items()})
    entities = {view.name: view.entities for view in service.views}
    for path in records:
        reader = RecordReader(path, ("release", "scored_at", "entities", "features"))
        for record in reader:
            _add(served, release, entities, record)
        served.torn += reader.damaged
    return served


def _add(
    served: Served, release: str, views: Mapping[str, Sequence[str]], record: PredictionRecord
) -> None:
    if record["release"] != release:
        served.others += 1
        return
    try:
        at = parse_moment(record["scored_at"])
        buckets = {view: _bucket(record["entities"], names) for view, names in views.items()}
        for name, feature in served.features.items():
            feature.add(buckets[feature_ref(name).view], record["features"][name])
    except (KeyError, TypeError, ValueError):
        served.torn += 1
        return
    served.predictions += 1
    served.last = max(served.last, at)


def _bucket(entities: Mapping[str, Any], names: Sequence[str]) -> int:
    key = "|".join(str(entities[name]) for name in names)
    return zlib.crc32(key.encode()) % _BUCKETS
