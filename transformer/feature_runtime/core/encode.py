"""The one encoder: from a request and its feature values to the model's vector.

Training, batch scoring and the pod call `encode` with the same arrays; only their size differs.
The contract's order fixes the vector: request features, view features, derived features.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from feature_runtime.core.functions import CLOCK_FUNCTIONS, DERIVED_FUNCTIONS, Floats, Moments
from feature_runtime.core.policy import Applied, PolicyTable, apply_policies, policy_table
from feature_runtime.core.service import Computed, Service

MODEL_LIMIT = 2.0**128 - 2.0**103
"""The least number that is infinite in the model's type, float32."""


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
        with np.errstate(over="ignore"):  # `_in_range` says what becomes of it
            derived = [_derived_feature(f, named) for f in self.service.derived_features]
        vector = np.column_stack([*columns.values(), applied.values, *derived])
        return Encoded(_in_range(vector).astype(np.float32), applied)


def _in_range(vector: Floats) -> Floats:
    """What the model's type cannot hold is missing, such as a ratio to a tiny number."""
    return np.where(np.abs(vector) < MODEL_LIMIT, vector, np.nan)


def _request_feature(feature: Computed, fields: Mapping[str, Floats], at: Moments) -> Floats:
    if feature.function == "field":
        return fields[feature.inputs[0]]
    return CLOCK_FUNCTIONS[feature.function](at)


def _derived_feature(feature: Computed, named: Mapping[str, Floats]) -> Floats:
    return DERIVED_FUNCTIONS[feature.function].call(*(named[name] for name in feature.inputs))
