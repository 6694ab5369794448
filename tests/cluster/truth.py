"""What the answers must have been: the offline rows of the cluster's own history, the models' own
scores of recorded vectors, and the interval that a share must lie in.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from scipy.stats import binom

from feature_runtime.core.moments import parse_moment
from proviso.contracts.contract import Contract
from proviso.release.directory import Release
from proviso.release.embedded import EmbeddedModel
from proviso.replay.cases import Case, Offline
from tests.cluster.load import Sent


def offline(
    contract: Contract, release: Release, history: Path, sent: Sequence[Sent], work: Path
) -> list[Case]:
    """The offline row of each answered request, at the moment that its answer names."""
    moments = [scored_at(one) for one in sent]
    table = _asked(contract, release, sent, moments)
    work.mkdir(parents=True, exist_ok=True)
    path = work / "asked.parquet"
    pq.write_table(table, path)
    rows = Offline(contract, release, history, work, ())
    inputs = rows.inputs(path, min(moments), max(moments) + 1, "dataset.parquet")
    order = {str(identifier): i for i, identifier in enumerate(inputs.ids)}
    return rows.cases(inputs, [order[str(i)] for i in range(len(sent))])


def scored_at(one: Sent) -> int:
    assert one.answer.scored_at is not None, one
    return parse_moment(one.answer.scored_at)


def _asked(
    contract: Contract, release: Release, sent: Sequence[Sent], moments: Sequence[int]
) -> pa.Table:
    """The requests as a source table: numbered, and dated by the pod's clock."""
    source, questions = contract.observations_of(), [one.request for one in sent]
    columns: dict[str, pa.Array] = {
        source.id: pa.array([str(i) for i in range(len(sent))]),
        source.event_timestamp: pa.array(moments, pa.timestamp("us", tz="UTC")),
        source.label.column: pa.nulls(len(sent), pa.int8()),
    }
    for entity in release.service.entities:
        columns[entity.join_key] = pa.array([q.ids[entity.join_key] for q in questions])
    for name in source.columns:
        columns[name] = pa.array([float(q.fields.get(name) or 0.0) for q in questions])
    return pa.table(columns)


def wrong(sent: Sequence[Sent], cases: Sequence[Case]) -> list[str]:
    """Where an answer is not its offline row, in words."""
    found = []
    for one, case in zip(sent, cases, strict=True):
        said, expected = one.answer, case.expected
        names = [f"{view}:{feature}" for view, feature in case.consumed]
        statuses = {n: s.name for n, s in zip(names, expected.status, strict=True)}
        if dict(said.feature_status) != statuses:
            differs = {n: (said.feature_status.get(n), s) for n, s in statuses.items()}
            found.append(f"{one.request.request_id}: status {differs}")
        elif not _close(said.probability, expected.probability):
            found.append(
                f"{one.request.request_id}: {said.probability}, wanted {expected.probability}"
            )
        elif said.decision != expected.decision:
            found.append(f"{one.request.request_id}: {said.decision}, wanted {expected.decision}")
    return found


def _close(found: float | None, wanted: float | None) -> bool:
    if found is None or wanted is None:
        return found is wanted
    return abs(found - wanted) <= 1e-6


def mixed(records: Sequence[Mapping[str, Any]], releases: Sequence[Release]) -> list[str]:
    """Records whose probability is not the score of their own release's model of their vector.

    The transformer wrote vector and release; the probability came from the predictor. A pair of
    two releases would be found here, since their models and widths differ.
    """
    found = []
    for release in releases:
        own = [r for r in records if r["release"] == release.id and r["probability"] is not None]
        if not own:
            continue
        vectors = np.array([_floats(r["vector"]) for r in own], dtype=np.float32)
        scores = EmbeddedModel(release.model_file).probabilities(vectors)
        for record, score in zip(own, scores, strict=True):
            if abs(record["probability"] - float(score)) > 1e-6:
                found.append(f"{record['request_id']}: {record['probability']}, model {score}")
    return found


def _floats(vector: Sequence[float | None]) -> list[float]:
    """JSON has no NaN: the record says null."""
    return [np.nan if value is None else value for value in vector]


def share_is_plausible(hits: int, count: int, percent: int) -> bool:
    """Whether `hits` of `count` lie inside the 99.9 % interval of a share of `percent`."""
    if percent in (0, 100):
        return hits == count * percent // 100
    low, high = binom.interval(0.999, count, percent / 100)
    return bool(low <= hits <= high)
