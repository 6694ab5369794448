"""Applies the availability rule to stored timelines: the winner of each view, values, statuses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from feature_runtime.core import timeline
from feature_runtime.core.availability import Row, Status, availability
from feature_runtime.core.encode import MODEL_LIMIT
from feature_runtime.core.keys import entity_key, timeline_key
from feature_runtime.core.moments import representable
from feature_runtime.core.service import Service, View
from feature_runtime.core.values import Texts, texts_of, value_status
from feature_runtime.serving.request import ScoringRequest


@dataclass(frozen=True)
class Winner:
    """The row of a view that is used for one entity at one moment; None where there is none."""

    row: Row | None
    status: Status


@dataclass(frozen=True)
class Lookup:
    """values, status: [n, K] over `service.consumed`. winners: per row, per view in order.

    texts: the features that are strings, by `view:feature`, each [n].
    """

    values: NDArray[np.float64]
    status: NDArray[np.int8]
    winners: Sequence[Sequence[Winner]]
    texts: Mapping[str, Texts]


@dataclass(frozen=True)
class _Column:
    """A consumed feature: column k of K, its name, position and dtype in its view."""

    k: int
    name: str
    position: int
    dtype: str


class FeatureLookup:
    """The lookup of one service; stateless after construction."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._columns = tuple(self._columns_of(view) for view in service.views)

    def _columns_of(self, view: View) -> tuple[_Column, ...]:
        positions = {f.name: i for i, f in enumerate(view.features)}
        return tuple(
            _Column(k, str(ref), positions[ref.feature], view.dtypes[positions[ref.feature]])
            for k, ref in enumerate(self._service.consumed)
            if ref.view == view.name
        )

    def keys(self, request: ScoringRequest) -> list[tuple[bytes, ...]]:
        """The store's keys: per row of the request, per view in order."""
        columns = []
        for view in self._service.views:
            ids = zip(*(request.ids[name] for name in view.entities), strict=True)
            entities = (entity_key(view.entities, row) for row in ids)
            columns.append([timeline_key(e, view.name, view.schema) for e in entities])
        return list(zip(*columns, strict=True))

    def read(
        self,
        keys: Sequence[tuple[bytes, ...]],
        blobs: dict[bytes, bytes | None],
        at: NDArray[np.int64],
    ) -> Lookup:
        """The winners at each row's moment, and the values and statuses that follow."""
        shape = (len(keys), len(self._service.consumed))
        values, status = np.zeros(shape), np.zeros(shape, dtype=np.int8)
        texts = {str(ref): texts_of([None] * len(keys)) for ref in self._service.texts}
        winners = list[Sequence[Winner]]()
        found = Lookup(values, status, winners, texts)
        for i, row_keys in enumerate(keys):
            moment = int(at[i])
            row_winners = [
                winner(view, blobs[key], moment)
                for view, key in zip(self._service.views, row_keys, strict=True)
            ]
            for columns, one in zip(self._columns, row_winners, strict=True):
                _fill(columns, one, found, i)
            winners.append(row_winners)
        return found


def winner(view: View, blob: bytes | None, at: int) -> Winner:
    """The view's winner at `at` from a key's bytes. Bytes that are no timeline are TYPE."""
    if blob is None:
        return Winner(None, Status.MISSING_KEY)
    try:
        rows = timeline.unpack(view.schema, blob)
    except timeline.TimelineError:
        return Winner(None, Status.TYPE)
    if any(len(row.values) != len(view.features) for row in rows):
        return Winner(None, Status.TYPE)
    row, status = availability(view.times, rows, at)
    if row is not None and not (representable(row.event_ts) and representable(row.created_ts)):
        return Winner(None, Status.TYPE)  # no record could say when it was
    return Winner(row, status)


def _fill(columns: Sequence[_Column], one: Winner, found: Lookup, i: int) -> None:
    """Values and statuses of row i from the winner of one view."""
    values, status = found.values[i], found.status[i]
    if one.row is None or one.status is not Status.OK:
        for column in columns:
            status[column.k] = one.status
        return
    for column in columns:
        value = one.row.values[column.position]
        fits = value_status(value, column.dtype)
        if fits is Status.OK and column.dtype == "string":
            found.texts[column.name][i] = value
        elif fits is Status.OK:
            values[column.k] = value
            if not abs(values[column.k]) < MODEL_LIMIT:
                fits = Status.TYPE  # of the contract's type, and beyond the model's
        status[column.k] = fits
