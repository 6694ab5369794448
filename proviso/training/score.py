"""Batch scoring: the pod's encoder and the embedded model over a whole dataset.

Replay takes its offline rows from the same function, so batch scores and replay cannot differ.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from feature_runtime.core.availability import Status
from feature_runtime.core.decision import decide
from feature_runtime.core.encode import Encoded, Encoder
from proviso.contracts.base import InputError, Problem
from proviso.contracts.contract import Contract
from proviso.contracts.files import replacing, working_folder
from proviso.history.arrays import EncoderInputs, read_inputs
from proviso.history.engines import history_engine
from proviso.release.directory import Release
from proviso.release.embedded import EmbeddedModel

_MOMENT = pa.timestamp("us", tz="UTC")


@dataclass(frozen=True)
class Scores:
    """probability [n], NaN where the row is rejected; decision [n] of str; what was encoded."""

    probability: NDArray[np.float64]
    decision: NDArray[np.str_]
    encoded: Encoded


def score_dataset(release: Release, inputs: EncoderInputs) -> Scores:
    """The release's answer for each row of a dataset at its scoring moment."""
    encoded = inputs.encoded(Encoder(release.service, release.library))
    probability = EmbeddedModel(release.model_file).probabilities(encoded.vector)
    probability[encoded.rejected] = np.nan
    decision = [
        decide(release.service.decision, score, rejected=rejected)
        for score, rejected in zip(probability.tolist(), encoded.rejected.tolist(), strict=True)
    ]
    return Scores(probability, np.array(decision, dtype=np.str_), encoded)


def score_file(
    release: Release,
    contract: Contract,
    history: Path,
    transactions: Path | None,
    span: tuple[int, int],
    out: Path,
) -> dict[str, int]:
    """Scores the transactions of [start, end) into a Parquet file; returns its counts.

    Raises InputError when the contract no longer means what the release was trained on.
    """
    check_contract(release, contract)
    with working_folder(out.absolute().parent, "score") as work:
        dataset = work / "dataset.parquet"
        views = [view.name for view in release.service.views]
        history_engine().build_dataset(
            contract, history, transactions, *span, dataset, views, request_features=False
        )
        inputs = read_inputs(dataset, contract, release.service)
    scores = score_dataset(release, inputs)
    with replacing(out) as temporary:
        pq.write_table(_table(release, contract, inputs, scores), temporary, compression="zstd")
    decisions, counts = np.unique(scores.decision, return_counts=True)
    return {
        "rows": len(inputs.at),
        "rejected": int(scores.encoded.rejected.sum()),
        **{f"decision_{d}": int(n) for d, n in zip(decisions, counts, strict=True)},
    }


def check_contract(release: Release, contract: Contract) -> None:
    """Raises InputError when the contract's views are not those that the release was trained on."""
    problems = []
    for view in release.service.views:
        present = contract.view_by_name.get(view.name)
        found = "no such view" if present is None else contract.schema_of(present)
        if found != view.schema:
            path = f"feature_views[{view.name}]: schema"
            why = f"{release.id} was trained on rows of that meaning"
            problems.append(Problem(path, found, view.schema, why, "contract_schema_mismatch"))
    if problems:
        raise InputError(problems)


def _table(release: Release, contract: Contract, inputs: EncoderInputs, scores: Scores) -> pa.Table:
    """Per transaction the answer, and what it was computed from."""
    names = np.array([status.name for status in Status])
    columns: dict[str, pa.Array] = {
        contract.observations_of().id: pa.array(inputs.ids),
        "scored_at": pa.array(inputs.at, _MOMENT),
        "probability": pa.array(scores.probability, from_pandas=True),
        "decision": pa.array(scores.decision.tolist(), pa.string()),
        "rejected": pa.array(scores.encoded.rejected),
        "release": pa.array(np.full(len(inputs.at), release.id).tolist(), pa.string()),
    }
    for k, ref in enumerate(release.service.consumed):
        name = ref.column
        columns[name] = (
            pa.array(inputs.texts[str(ref)].tolist(), pa.string())
            if str(ref) in inputs.texts
            else pa.array(inputs.values[:, k], from_pandas=True)
        )
        columns[f"{name}__status"] = pa.array(names[inputs.status[:, k]].tolist(), pa.string())
    return pa.table(columns)
