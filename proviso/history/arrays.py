"""The dataset as the encoder's arrays: what training and batch scoring compute with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from feature_runtime.core.availability import Status
from feature_runtime.core.encode import Elements, Encoded, Encoder
from feature_runtime.core.functions import Floats
from feature_runtime.core.service import RequestField, Service, View, view_column
from feature_runtime.core.values import EXACT, MAX_TEXT_BYTES, Column, Texts
from proviso.contracts.base import InputError
from proviso.contracts.contract import Contract
from proviso.contracts.files import check_is_file
from proviso.history.field_columns import Moments, field_column, floats, moments, texts
from proviso.history.files import LABEL, LABEL_KNOWN, SCORING, unreadable

Statuses = NDArray[np.int8]
Ids = NDArray[np.object_]

NO_ROW: int = np.iinfo(np.int64).min
"""event_ts and created_ts where a view has no winner."""

NEVER: int = np.iinfo(np.int64).max
"""label_known_at where there is no label."""


@dataclass(frozen=True)
class EncoderInputs:
    """n transactions, sorted by moment, for `Encoder.encode` and for training.

    ids: [n] the transactions' own. keys: join key -> [n]. at: [n] scoring moments. fields: request
    fields, each [n] as the encoder takes it. values, status: [n, K] over `service.consumed`, NaN
    where there is no number; texts: the features that are strings, by `view:feature`. labels: [n]
    0, 1 or NaN; `label_known_at`: [n]. event_ts, created_ts: per view of the service [n]. Moments
    in microseconds.
    """

    ids: Ids
    keys: Mapping[str, Ids]
    at: Moments
    fields: Mapping[str, Column]
    values: Floats
    status: Statuses
    texts: Mapping[str, Texts]
    labels: Floats
    label_known_at: Moments
    event_ts: Mapping[str, Moments]
    created_ts: Mapping[str, Moments]

    def __len__(self) -> int:
        return len(self.at)

    def encoded(self, encoder: Encoder) -> Encoded:
        """The rows as a model gets them."""
        return encoder.encode(self.fields, self.at, self.values, self.status, self.texts)

    def elements(self, encoder: Encoder) -> Elements:
        """The rows before encodings."""
        return encoder.elements(self.fields, self.at, self.values, self.status, self.texts)

    def take(self, rows: NDArray[np.int64] | NDArray[np.bool_]) -> EncoderInputs:
        """The chosen rows: positions or a mask [n]."""
        return replace(
            self,
            ids=self.ids[rows],
            keys={name: column[rows] for name, column in self.keys.items()},
            at=self.at[rows],
            fields={name: column[rows] for name, column in self.fields.items()},
            values=self.values[rows],
            status=self.status[rows],
            texts={name: column[rows] for name, column in self.texts.items()},
            labels=self.labels[rows],
            label_known_at=self.label_known_at[rows],
            event_ts={view: column[rows] for view, column in self.event_ts.items()},
            created_ts={view: column[rows] for view, column in self.created_ts.items()},
        )


def read_inputs(dataset: Path, contract: Contract, service: Service) -> EncoderInputs:
    """Reads what `service` needs of a dataset. Raises InputError when columns are missing."""
    table = _read(dataset, contract, service)
    views = {view.name: _view_status(table, view) for view in service.views}
    features = [
        _feature(table[ref.column], views[ref.view], service.dtype_of(ref))
        for ref in service.consumed
    ]
    return EncoderInputs(
        ids=_objects(table[contract.observations_of().id]),
        keys={key: _objects(table[key]) for key in _keys(contract)},
        at=moments(table[SCORING], NO_ROW),
        fields={f.name: _field(dataset, table[f.name], f) for f in service.request_fields},
        values=_stacked([values for values, _ in features], table.num_rows, np.float64),
        status=_stacked([status for _, status in features], table.num_rows, np.int8),
        texts={str(ref): texts(table[ref.column]) for ref in service.texts},
        labels=floats(table[LABEL]),
        label_known_at=moments(table[LABEL_KNOWN], NEVER),
        event_ts={v: moments(table[f"{v}__event_ts"], NO_ROW) for v in views},
        created_ts={v: moments(table[f"{v}__created_ts"], NO_ROW) for v in views},
    )


def _keys(contract: Contract) -> list[str]:
    """The join keys that the observed rows carry."""
    return list(contract.key_columns(contract.observations_of().rows))


def _read(dataset: Path, contract: Contract, service: Service) -> pa.Table:
    columns = [
        contract.observations_of().id,
        SCORING,
        *_keys(contract),
        LABEL,
        LABEL_KNOWN,
        *service.fields,
        *(ref.column for ref in service.consumed),
        *(
            view_column(view.name, what)
            for view in service.views
            for what in ("event_ts", "created_ts", "status")
        ),
    ]
    check_is_file(dataset, "a dataset", "write it with `proviso dataset`")
    try:
        missing = sorted(set(columns) - set(pq.read_schema(dataset).names))
    except (pa.ArrowInvalid, OSError) as error:
        raise unreadable(dataset, error) from error
    if missing:
        wanted = f"the columns that service {service.name} consumes"
        found = f"no column {', '.join(missing)}"
        raise InputError.of(dataset, found, wanted, code="dataset_column_missing")
    return pq.read_table(dataset, columns=list(dict.fromkeys(columns)))


def _view_status(table: pa.Table, view: View) -> Statuses:
    """The view's status per row; the column states it by name."""
    column = table[view_column(view.name, "status")]
    codes = pc.index_in(column, pa.array([status.name for status in Status]))
    return np.asarray(codes.to_numpy(), dtype=np.int8)


def _field(dataset: Path, column: pa.ChunkedArray, field: RequestField) -> Column:
    """A request field's column. Raises InputError for an integer that a request cannot say."""
    values = field_column(column)
    if field.dtype == "int64" and (np.abs(values) >= EXACT).any():
        found, wanted = "an integer of 2^53 or more", "smaller ones, as requests have them"
        raise InputError.of(f"{dataset}: {field.name}", found, wanted, code="field_out_of_range")
    return values


def _feature(column: pa.ChunkedArray, view_status: Statuses, dtype: str) -> tuple[Floats, Statuses]:
    """Values and statuses [n]: the view's unless that is OK, then by the stored value."""
    null = np.asarray(column.is_null().to_numpy(), dtype=np.bool_)
    if dtype == "string":
        values = np.full(len(column), np.nan)
        usable = ~null & ~_too_long(column)
    else:
        values = floats(column)
        usable = ~np.isnan(values)
    unusable = np.where(null, np.int8(Status.NULL), np.int8(Status.TYPE))
    judged = np.where(usable, np.int8(Status.OK), unusable)
    return values, np.where(view_status == Status.OK, judged, view_status).astype(np.int8)


def _too_long(column: pa.ChunkedArray) -> NDArray[np.bool_]:
    """Which strings no key of the store could hold."""
    beyond = pc.greater(pc.binary_length(column), MAX_TEXT_BYTES)
    return np.asarray(pc.fill_null(beyond, False).to_numpy(), dtype=np.bool_)


def _objects(column: pa.ChunkedArray) -> Ids:
    """Ids as Python's own integers or strings, so that they compare and print as such."""
    return np.array(column.to_pylist() or [], dtype=np.object_)


def _stacked(columns: list[NDArray[Any]], rows: int, dtype: type[Any]) -> NDArray[Any]:
    return np.column_stack(columns).astype(dtype) if columns else np.empty((rows, 0), dtype)
