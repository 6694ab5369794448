"""The one encoder: from a request and its feature values to the model's vector.

Training, batch scoring and the pod call `encode` with the same arrays; only their size differs.
The contract's order fixes the vector: request features, view features, derived features.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from feature_runtime.core import moments
from feature_runtime.core.policy import Applied, Floats, PolicyTable, apply_policies, policy_table
from feature_runtime.core.service import Computed, Service

Moments = NDArray[np.int64]
_THURSDAY = 3  # 1970-01-01; Monday is 0


def _hour_of_day(at: Moments) -> Floats:
    return (at // moments.HOUR % 24).astype(np.float64)


def _day_of_week(at: Moments) -> Floats:
    return ((at // moments.DAY + _THURSDAY) % 7).astype(np.float64)


def _is_weekend(at: Moments) -> Floats:
    return (_day_of_week(at) >= 5).astype(np.float64)


def _is_night(at: Moments) -> Floats:
    return (_hour_of_day(at) < 6).astype(np.float64)


def _ratio(part: Floats, whole: Floats) -> Floats:
    """part / whole; missing where whole is zero."""
    return np.asarray(np.divide(part, whole, out=np.full(part.shape, np.nan), where=whole != 0))


def _difference(left: Floats, right: Floats) -> Floats:
    return left - right


def _zscore(value: Floats, mean: Floats, deviation: Floats) -> Floats:
    """(value - mean) / deviation; missing where there is no deviation."""
    return _ratio(value - mean, deviation)


CLOCK_FUNCTIONS: Mapping[str, Callable[[Moments], Floats]] = {
    "hour_of_day": _hour_of_day,
    "day_of_week": _day_of_week,
    "is_weekend": _is_weekend,
    "is_night": _is_night,
}
"""Request features of the scoring moment alone, UTC; no inputs."""

DERIVED_FUNCTIONS: Mapping[str, tuple[int, Callable[..., Floats]]] = {
    "ratio": (2, _ratio),
    "difference": (2, _difference),
    "zscore": (3, _zscore),
}
"""Derived features by name: how many inputs, and the function. NaN goes through."""


@dataclass(frozen=True)
class Encoded:
    """vector [n, V] float32 for the model; what the policies did; rows to be rejected."""

    vector: NDArray[np.float32]
    applied: Applied

    @property
    def rejected(self) -> NDArray[np.bool_]:
        return self.applied.rejected


class Encoder:
    """The encoder of one service; stateless after construction."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.table: PolicyTable = policy_table(service)

    def encode(
        self,
        fields: Mapping[str, Floats],
        at: Moments,
        values: Floats,
        status: NDArray[np.int8],
    ) -> Encoded:
        """n rows to the model's vector.

        fields: numeric request fields, each [n]. at: scoring moments [n], microseconds.
        values, status: [n, K] over `service.consumed`; a value counts only where status is OK.
        """
        applied = apply_policies(self.table, values, status, at)
        columns = {f.name: _request_feature(f, fields, at) for f in self.service.request_features}
        named = dict(columns)
        for k, ref in enumerate(self.service.consumed):
            named[str(ref)] = applied.values[:, k]
        derived = [_derived_feature(f, named) for f in self.service.derived_features]
        vector = np.column_stack([*columns.values(), applied.values, *derived])
        return Encoded(vector.astype(np.float32), applied)


def _request_feature(feature: Computed, fields: Mapping[str, Floats], at: Moments) -> Floats:
    if feature.function == "field":
        return fields[feature.inputs[0]]
    return CLOCK_FUNCTIONS[feature.function](at)


def _derived_feature(feature: Computed, named: Mapping[str, Floats]) -> Floats:
    return DERIVED_FUNCTIONS[feature.function][1](*(named[name] for name in feature.inputs))
