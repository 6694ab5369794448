"""The cases of a replay: each sampled transaction with its offline row.

The offline row is the dataset's, scored by the release's own model; the endpoint must give the same
probability, decision and feature statuses.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from feature_runtime.core.availability import Status, Value
from feature_runtime.core.moments import MISSING
from feature_runtime.core.record import field_value
from feature_runtime.core.service import FeatureRef, Service
from feature_runtime.core.values import Column
from proviso.clients.endpoint import EndpointRequest
from proviso.contracts.contract import Contract
from proviso.history.arrays import EncoderInputs, read_inputs
from proviso.history.engines import history_engine
from proviso.release.directory import Release
from proviso.training.score import score_dataset

PLAIN_FILE = "plain.parquet"
"""The dataset of a replay's span with nothing left out, in its working directory."""

REPLAYED_FILE = "replayed.parquet"
"""The same, without the runs that the drill leaves out: what cases are chosen from."""


_PYTHON = {"money": float, "float64": float, "int64": int, "bool": bool}


@dataclass(frozen=True)
class Expected:
    """The offline row: per consumed feature [K] status, value and the winner's event_ts."""

    probability: float | None
    decision: str
    status: tuple[Status, ...]
    values: tuple[Value, ...]
    event_ts: tuple[int | None, ...]


@dataclass(frozen=True)
class Case:
    """A request and what must come back; `consumed` names the K features."""

    request: EndpointRequest
    expected: Expected
    consumed: tuple[FeatureRef, ...]


@dataclass(frozen=True)
class Offline:
    """Where offline rows come from; `left_out` runs are ignored offline as they are online."""

    contract: Contract
    release: Release
    history: Path
    work: Path
    left_out: tuple[tuple[str, int], ...]

    def inputs(self, transactions: Path | None, start: int, end: int, name: str) -> EncoderInputs:
        """The point-in-time dataset of [start, end), as arrays; kept in `work` under `name`."""
        out = self.work / name
        views = [view.name for view in self.release.service.views]
        history_engine().build_dataset(
            self.contract,
            self.history,
            transactions,
            start,
            end,
            out,
            views,
            self.left_out,
            request_features=False,
        )
        return read_inputs(out, self.contract, self.release.service)

    def cases(self, inputs: EncoderInputs, positions: Sequence[int]) -> list[Case]:
        """The rows at `positions`, scored."""
        chosen = inputs.take(np.asarray(positions, dtype=np.int64))
        scores = score_dataset(self.release, chosen)
        return [
            Case(
                _request(chosen, self.release, i),
                Expected(
                    probability=_number(scores.probability[i]),
                    decision=str(scores.decision[i]),
                    status=tuple(Status(s) for s in chosen.status[i]),
                    values=_values(chosen, self.release.service, i),
                    event_ts=_winners(chosen, self.release, i),
                ),
                self.release.service.consumed,
            )
            for i in range(len(chosen.at))
        ]


@dataclass(frozen=True)
class Synthetic:
    """Transactions to add where the data has too few of a kind.

    unseen: how many of entities without any history. moments: [m] event times of others, of
    known entities.
    """

    unseen: int
    moments: NDArray[np.int64]

    def __bool__(self) -> bool:
        return self.unseen > 0 or len(self.moments) > 0


def synthetic_transactions(
    contract: Contract, inputs: EncoderInputs, wanted: Synthetic, out: Path
) -> Path:
    """Writes synthetic transactions, like the real ones in everything else; returns `out`."""
    source, count = contract.observations_of(), wanted.unseen + len(wanted.moments)
    rows, dtypes = source.rows, {e.join_key: e.dtype for e in contract.entities}
    like = inputs.take(np.linspace(0, len(inputs.at) - 1, count).astype(np.int64))
    at = np.concatenate([like.at[: wanted.unseen], wanted.moments])
    integer_ids = isinstance(like.ids[0], int | np.integer)
    columns: dict[str, pa.Array] = {
        rows.id_column or rows.id: pa.array(
            [-(i + 1) if integer_ids else f"made-{i}" for i in range(count)]
        ),
        source.event_timestamp: pa.array(at, pa.timestamp("us", tz="UTC")),
        rows.file_column(source.label.column): pa.nulls(count, pa.int8()),
    }
    for key, place in contract.key_columns(rows).items():
        unseen = [2**52 + i if dtypes[key] == "int64" else f"unseen-{i:04d}" for i in range(count)]
        known = like.keys[key].tolist()
        columns[place] = pa.array(unseen[: wanted.unseen] + known[wanted.unseen :])
    for name, column in source.columns.items():
        columns[rows.file_column(name)] = _made_up(column.dtype, like.fields.get(name), count)
    pq.write_table(pa.table(columns), out)
    return out


def _made_up(dtype: str, like: Column | None, count: int) -> pa.Array:
    """Values of a source's column as in real rows; of one that no request has, some of its type."""
    if dtype == "string":
        return pa.array([""] * count if like is None else like.tolist(), pa.string())
    if dtype == "timestamp":
        moments = [0] * count if like is None else like.tolist()
        known = [None if moment == MISSING else moment for moment in moments]
        return pa.array(known, pa.timestamp("us", tz="UTC"))
    values = [0.0] * count if like is None else like.tolist()
    return pa.array([None if value != value else _PYTHON[dtype](value) for value in values])


def _request(inputs: EncoderInputs, release: Release, i: int) -> EndpointRequest:
    return EndpointRequest(
        request_id=f"replay-{inputs.ids[i]}",
        t=int(inputs.at[i]),
        ids={e.join_key: inputs.keys[e.join_key][i] for e in release.service.entities},
        fields={
            f.name: field_value(f, inputs.fields[f.name][i]) for f in release.service.sent_fields
        },
    )


def _values(inputs: EncoderInputs, service: Service, i: int) -> tuple[Value, ...]:
    """The offline values of a row, as they are stored."""
    return tuple(
        inputs.texts[str(ref)][i]
        if str(ref) in inputs.texts
        else _as_stored(float(inputs.values[i, k]), service.dtype_of(ref))
        for k, ref in enumerate(service.consumed)
    )


def _as_stored(value: float, dtype: str) -> Value:
    """An offline number, which is a double in arrays, as the feature's own type."""
    if value != value:
        return None
    if dtype == "int64":
        return int(value)
    return bool(value) if dtype == "bool" else value


def _winners(inputs: EncoderInputs, release: Release, i: int) -> tuple[int | None, ...]:
    found = {view: int(moments[i]) for view, moments in inputs.event_ts.items()}
    missing = np.iinfo(np.int64).min
    return tuple(
        None if found[view] == missing else found[view] for view, _ in release.service.consumed
    )


def _number(value: float) -> float | None:
    return None if value != value else float(value)
