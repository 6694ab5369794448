"""The request features of a dataset's rows, computed as the encoder computes them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from feature_runtime.core.request_features import SCORING_TS, RequestFeatures
from feature_runtime.core.service import Computed
from proviso.contracts.contract import Contract
from proviso.contracts.feature_service import RequestFeature
from proviso.contracts.section import time_zone_of
from proviso.history.field_columns import field_column
from proviso.history.files import SCORING


class RequestColumns:
    """Request features as columns of Parquet. A row that a function failed for has null."""

    def __init__(self, contract: Contract, features: Sequence[RequestFeature]) -> None:
        self._computed = RequestFeatures(time_zone_of(contract), contract.library)
        self._features = features
        self._of = [
            Computed(f.name, f.function, tuple(f.columns))
            for f in features
            if f.function != "field"
        ]

    def fields(self, schema: pa.Schema) -> list[pa.Field]:
        """Name and type of each: a copied field has its own type."""
        return [
            pa.field(f.name, schema.field(f.field).type if f.function == "field" else pa.float64())
            for f in self._features
        ]

    def of(self, batch: pa.RecordBatch) -> list[pa.Array]:
        """The features of a batch's rows."""
        at = np.array(batch.column(SCORING).cast(pa.int64()), dtype=np.int64)
        needed = {name for one in self._of for name in one.inputs if name != SCORING_TS}
        fields = {name: field_column(batch.column(name)) for name in needed}
        columns, _ = self._computed.columns(self._of, fields, at)
        return [
            batch.column(f.field)
            if f.function == "field"
            else pa.array(columns[f.name], from_pandas=True)
            for f in self._features
        ]
