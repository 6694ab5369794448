"""The training distribution of each consumed feature: the reference of the drift check.

It is part of the card, because the training data is not available in production: ten quantile bins
of a number or the frequencies of the most frequent strings, and the effective sample size behind
them. Status and default counts are in the card's feature section.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import isfinite
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from feature_runtime.core.availability import Status
from feature_runtime.core.service import Service
from feature_runtime.core.values import Texts
from proviso.training.data import Rows

BINS = 10
CATEGORIES = 50
"""Strings that have a bin of their own; all others share one."""

Floats = NDArray[np.float64]


class Distribution(BaseModel):
    """Bins (low.., edges[0]], (edges[0], edges[1]], ... with their counts; nothing lay outside.

    effective: the size of an independent sample that is worth as much; values of one entity repeat.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    low: float | None
    edges: tuple[float, ...]
    counts: tuple[Annotated[int, Field(ge=0)], ...]
    effective: Annotated[float, Field(ge=0)]

    @model_validator(mode="after")
    def _fits(self) -> Distribution:
        rising = all(a < b for a, b in zip(self.edges, self.edges[1:], strict=False))
        if len(self.edges) != len(self.counts) or (self.low is None) is bool(self.edges):
            raise ValueError("found bins that do not fit their edges, wanted a count for each")
        if not rising or (self.low is not None and self.low > self.edges[0]):
            raise ValueError("found edges out of order, wanted rising ones from low on")
        return self

    @property
    def whole(self) -> Floats:
        """Counts of all bins, with an empty bin below and one above the training values."""
        return np.array([0, *self.counts, 0], dtype=np.float64)

    @property
    def varied(self) -> bool:
        """Whether training had several values."""
        return self.low is not None and self.low < self.edges[-1]

    def fits(self, value: object) -> bool:
        """Whether a usable value may be one of these."""
        return isinstance(value, int | float) and isfinite(value)

    def bin_of(self, value: float) -> int:
        """The position of a value in `whole`."""
        if self.low is None or value < self.low:
            return 0
        return 1 + int(np.searchsorted(self.edges, value, side="left"))


class Frequencies(BaseModel):
    """How often each string occurred: the most frequent ones with their counts, and all others.

    effective: as of a Distribution.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    values: tuple[str, ...]
    counts: tuple[Annotated[int, Field(ge=0)], ...]
    others: Annotated[int, Field(ge=0)]
    effective: Annotated[float, Field(ge=0)]

    @model_validator(mode="after")
    def _fits(self) -> Frequencies:
        if len(self.values) != len(self.counts) or len(set(self.values)) != len(self.values):
            raise ValueError("found values that do not fit their counts, wanted a count for each")
        return self

    @property
    def whole(self) -> Floats:
        """Counts of the named values, then of all others."""
        return np.array([*self.counts, self.others], dtype=np.float64)

    @property
    def varied(self) -> bool:
        """Whether training had several values."""
        return len(self.values) > 1

    def fits(self, value: object) -> bool:
        """Whether a usable value may be one of these."""
        return isinstance(value, str)

    def bin_of(self, value: str) -> int:
        """The position of a value in `whole`."""
        return self._places.get(value, len(self.values))

    @cached_property
    def _places(self) -> dict[str, int]:
        return {value: place for place, value in enumerate(self.values)}


AnyDistribution = Distribution | Frequencies


@dataclass(frozen=True)
class Reference:
    """A feature in training; rates are shares of all rows. unusable_rate: of any status but OK."""

    distribution: AnyDistribution
    null_rate: float
    default_rate: float
    unusable_rate: float


def distribution_section(service: Service, rows: Rows) -> dict[str, Any]:
    """The card's `distribution`: per consumed feature the values that were usable."""
    inputs, join_keys = rows.inputs, {e.name: e.join_key for e in service.entities}
    codes = {
        view.name: _codes([inputs.keys[join_keys[name]] for name in view.entities])
        for view in service.views
    }
    section = {}
    for k, ref in enumerate(service.consumed):
        usable = inputs.status[:, k] == Status.OK
        whose = codes[ref.view][usable]
        texts = inputs.texts.get(str(ref))
        found: AnyDistribution = (
            distribution_of(inputs.values[usable, k], whose)
            if texts is None
            else frequencies_of(texts[usable], whose)
        )
        section[str(ref)] = found.model_dump(mode="json")
    return section


def distribution_of(values: Floats, entities: NDArray[np.int64]) -> Distribution:
    """values: [n] without NaN; entities: [n] whose they are."""
    if len(values) == 0:
        return Distribution(low=None, edges=(), counts=(), effective=0.0)
    shares = np.arange(1, BINS + 1) / BINS
    edges = np.unique(np.quantile(values, shares, method="inverted_cdf"))
    counts = np.bincount(np.searchsorted(edges, values, side="left"), minlength=len(edges))
    return Distribution(
        low=float(values.min()),
        edges=tuple(edges.tolist()),
        counts=tuple(counts.tolist()),
        effective=round(effective_size(np.bincount(entities)), 1),
    )


def frequencies_of(values: Texts, entities: NDArray[np.int64]) -> Frequencies:
    """values: [n] without None; entities: [n] whose they are."""
    counts = Counter[str](values.tolist())
    named = sorted(counts, key=lambda value: (-counts[value], value))[:CATEGORIES]
    known = [counts[value] for value in named]
    return Frequencies(
        values=tuple(named),
        counts=tuple(known),
        others=len(values) - sum(known),
        effective=round(effective_size(np.bincount(entities)), 1) if len(values) else 0.0,
    )


def effective_size(per_entity: NDArray[np.int64] | NDArray[np.float64]) -> float:
    """Kish: n predictions of which each entity has c are worth n^2 / sum(c^2) independent ones.

    A thousand predictions of one entity count as one.
    """
    counts = per_entity.astype(np.float64)
    squares = float((counts * counts).sum())
    return float(counts.sum()) ** 2 / squares if squares else 0.0


def references_of(card: Mapping[str, Any]) -> dict[str, Reference]:
    """The reference of each feature in a release's card. Raises KeyError, TypeError or ValueError
    when the card has none."""
    features = card["features"]
    rows = int(card["rows"]["train"]["transactions"])
    found = {}
    for name, stated in features["distribution"].items():
        counts = features["train"][name]
        nulls, usable = (int(counts["status"].get(s.name, 0)) for s in (Status.NULL, Status.OK))
        found[name] = Reference(
            _distribution(_tuples(stated)),
            nulls / max(1, rows),
            int(counts["defaults"]) / max(1, rows),
            1 - usable / max(1, rows),
        )
    return found


def _distribution(stated: Mapping[str, Any]) -> AnyDistribution:
    kind = Frequencies if "values" in stated else Distribution
    return kind.model_validate(stated)


def _tuples(stated: Mapping[str, Any]) -> dict[str, Any]:
    """YAML has lists only."""
    return {k: tuple(v) if isinstance(v, list) else v for k, v in stated.items()}


def _codes(columns: Sequence[NDArray[np.object_]]) -> NDArray[np.int64]:
    """A number for each distinct combination of ids [n]."""
    codes: NDArray[np.int64] = np.zeros(len(columns[0]), dtype=np.int64)
    for column in columns:
        distinct, position = np.unique(column, return_inverse=True)
        _, codes = np.unique(codes * len(distinct) + position, return_inverse=True)
    return codes
