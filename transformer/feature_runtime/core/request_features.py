"""Request features: of a request's fields and its scoring moment alone.

The encoder computes them, and so does the dataset that is written for a reader.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from feature_runtime.core.functions import CLOCK_FUNCTIONS, Floats, Moments
from feature_runtime.core.project_functions import Library, ProjectFunction
from feature_runtime.core.service import Computed, TimeZone
from feature_runtime.core.values import Column
from feature_runtime.core.zones import UTC_NAME, Zone, pinned_zone, zone

SCORING_TS = "scoring_ts"
"""The input of a function that is the scoring moment itself."""


class FailedFeature(NamedTuple):
    """A row whose feature has no value, because a function of the project failed."""

    row: int
    feature: str
    function: str
    code: str
    message: str

    def __str__(self) -> str:
        return f"{self.feature}: {self.function} {self.message} [{self.code}]"


class RequestFeatures:
    """Computes request features, on the clock of a time zone (None: UTC).

    Raises ZoneError where the zone has other rules than `time_zone` states.
    """

    def __init__(self, time_zone: TimeZone | None, library: Library) -> None:
        stated = time_zone
        self._zone: Zone = pinned_zone(stated.name, stated.rules) if stated else zone(UTC_NAME)
        self._library = library

    def columns(
        self, features: Sequence[Computed], fields: Mapping[str, Column], at: Moments
    ) -> tuple[dict[str, Column], list[FailedFeature]]:
        """Each feature [n] by name, and the rows that failed."""
        failed: list[FailedFeature] = []
        wall = self._zone.local(at)
        columns: dict[str, Column] = {}
        for feature in features:
            if feature.function in CLOCK_FUNCTIONS:
                shown = self._shown(fields[feature.inputs[0]]) if feature.inputs else wall
                columns[feature.name] = CLOCK_FUNCTIONS[feature.function](shown)
            elif feature.function == "field":
                columns[feature.name] = fields[feature.inputs[0]]
            else:
                inputs = [at if name == SCORING_TS else fields[name] for name in feature.inputs]
                own = self._library[feature.function]
                columns[feature.name] = evaluated(feature, own, inputs, len(at), failed)
        return columns, failed

    def _shown(self, column: Column) -> Moments:
        """What the clock shows at the moments of a timestamp field."""
        return self._zone.local(column.astype(np.int64, copy=False))


def evaluated(
    feature: Computed,
    function: ProjectFunction,
    inputs: Sequence[Column],
    size: int,
    failed: list[FailedFeature],
) -> Floats:
    """A function of the project for `size` rows; rows that fail are added to `failed`."""
    dtypes = function.declaration.inputs
    typed = [_typed(column, dtype) for column, dtype in zip(inputs, dtypes, strict=True)]
    values, failures = function.evaluate(typed, size)
    failed += [FailedFeature(row, feature.name, feature.function, *why) for row, *why in failures]
    return values


def _typed(column: Column, dtype: str) -> Column:
    """Numbers of any kind are doubles for a function."""
    return column.astype(np.float64, copy=False) if dtype == "float64" else column
