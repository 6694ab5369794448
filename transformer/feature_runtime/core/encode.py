"""The one encoder: from a request and its feature values to the model's vector.

Training, batch scoring and the pod call `encode` with the same arrays; only their size differs.
The contract's order fixes the vector: request features, view features, derived features.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from feature_runtime.core.functions import DERIVED_FUNCTIONS, Floats, Moments
from feature_runtime.core.policy import Applied, PolicyTable, apply_policies, policy_table
from feature_runtime.core.project_functions import NO_FUNCTIONS, FunctionsError, Library
from feature_runtime.core.project_source import SourceFault
from feature_runtime.core.request_features import FailedFeature, RequestFeatures, evaluated
from feature_runtime.core.service import Computed, Service
from feature_runtime.core.values import NO_TEXTS, Column, Texts

MODEL_LIMIT = 2.0**128 - 2.0**103
"""The least number that is infinite in the model's type, float32."""


@dataclass(frozen=True)
class Encoded:
    """vector [n, V] float32 for the model; what the policies did; rows to be rejected.

    failed: rows for which a function of the project gave no usable value.
    """

    vector: NDArray[np.float32]
    applied: Applied
    failed: tuple[FailedFeature, ...] = ()

    @property
    def rejected(self) -> NDArray[np.bool_]:
        rejected = self.applied.rejected
        if self.failed:
            rejected = rejected.copy()
            rejected[[one.row for one in self.failed]] = True
        return rejected


@dataclass(frozen=True)
class Elements:
    """The elements of the vector before encodings, in the model's order.

    columns: every element [n] by name; a view feature's is `view:feature`.
    """

    columns: Mapping[str, Column]
    applied: Applied
    failed: tuple[FailedFeature, ...]


class Encoder:
    """The encoder of one service; stateless after construction.

    library: the project's own functions that the service uses. Raises CodedError where one is
    missing, or where the time zone has other rules than the service states.
    """

    def __init__(self, service: Service, library: Library = NO_FUNCTIONS) -> None:
        self.service = service
        self._requested = RequestFeatures(service.time_zone, library)
        self._library = library
        _check_library(service, library)
        self.table: PolicyTable = policy_table(service)
        self._encodings = service.encoding_of
        self._plain_views = self._encodings.keys().isdisjoint(map(str, service.consumed))

    def encode(
        self,
        fields: Mapping[str, Column],
        at: Moments,
        values: Floats,
        status: NDArray[np.int8],
        texts: Mapping[str, Texts] = NO_TEXTS,
    ) -> Encoded:
        """n rows to the model's vector.

        fields: request fields, each [n]. at: scoring moments [n], microseconds. values, status:
        [n, K] over `service.consumed`; a value counts only where status is OK. texts: the consumed
        features that are strings, by `view:feature`, each [n].
        """
        elements = self.elements(fields, at, values, status, texts)
        vector = np.column_stack([*self._parts(elements)])
        return Encoded(_in_range(vector).astype(np.float32), elements.applied, elements.failed)

    def elements(
        self,
        fields: Mapping[str, Column],
        at: Moments,
        values: Floats,
        status: NDArray[np.int8],
        texts: Mapping[str, Texts] = NO_TEXTS,
    ) -> Elements:
        """The same without encodings: what a vocabulary is learnt from."""
        service = self.service
        applied = apply_policies(self.table, values, status, at, texts)
        columns, failed = self._requested.columns(service.request_features, fields, at)
        for k, ref in enumerate(service.consumed):
            name = str(ref)
            columns[name] = applied.texts[name] if name in applied.texts else applied.values[:, k]
        with np.errstate(over="ignore"):  # `_in_range` says what becomes of it
            derived = {f.name: self._derived(f, columns, failed) for f in service.derived_features}
        return Elements({**columns, **derived}, applied, tuple(failed))

    def _derived(
        self, feature: Computed, named: Mapping[str, Column], failed: list[FailedFeature]
    ) -> Floats:
        inputs = [named[name] for name in feature.inputs]
        own = self._library.get(feature.function)
        if own is None:
            return DERIVED_FUNCTIONS[feature.function].call(*inputs)
        return evaluated(feature, own, inputs, len(inputs[0]), failed)

    def _parts(self, elements: Elements) -> Iterator[NDArray[np.float64]]:
        """The vector's columns [n] or blocks [n, m] of columns, in order."""
        service, columns = self.service, elements.columns
        yield from (self._part(f.name, columns[f.name]) for f in service.request_features)
        if self._plain_views:
            yield elements.applied.values
        else:
            yield from (self._part(name, columns[name]) for name in map(str, service.consumed))
        yield from (self._part(f.name, columns[f.name]) for f in service.derived_features)

    def _part(self, name: str, column: Column) -> NDArray[np.float64]:
        encoding = self._encodings.get(name)
        if encoding is not None:
            return encoding.columns(column)
        return column.astype(np.float64, copy=False)


def rejections(table: PolicyTable, status: NDArray[np.int8], encoded: Encoded) -> list[str | None]:
    """Why each of n rows gets the fallback; None where it is scored. status: [n, K]."""
    applied = encoded.applied
    reasons: list[str | None] = [None] * len(status)
    for i in np.flatnonzero(applied.rejected).tolist():
        reasons[i] = table.reason(status[i], applied.rejecting[i])
    for one in encoded.failed:
        reasons[one.row] = "; ".join(filter(None, (reasons[one.row], str(one))))
    return reasons


def _in_range(vector: Floats) -> Floats:
    """What the model's type cannot hold is missing, such as a ratio to a tiny number."""
    return np.where(np.abs(vector) < MODEL_LIMIT, vector, np.nan)


def _check_library(service: Service, library: Library) -> None:
    declared = service.own_functions.declarations if service.own_functions else ()
    missing = [one.name for one in declared if one.name not in library]
    if missing:
        fault = SourceFault(
            "function_missing", f"no {', '.join(missing)}", "the release's functions"
        )
        raise FunctionsError([fault])
