"""The encoded dataset: for each observation the vector that the pod would build at its moment.

Its columns have the names of the vector, in the model's order, so that a notebook that trains on
them needs no encoder of its own.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from feature_runtime.core.encode import Encoded, Encoder, rejections
from feature_runtime.core.service import Service
from proviso.contracts.base import InputError
from proviso.contracts.contract import Contract
from proviso.contracts.files import replacing, working_folder
from proviso.contracts.section import service_of
from proviso.history.arrays import NEVER, EncoderInputs, read_inputs
from proviso.history.engines import history_engine
from proviso.history.files import LABEL, LABEL_KNOWN, MOMENT, SCORING
from proviso.history.values import DEFAULT_MEMORY
from proviso.release.directory import Release
from proviso.training.data import Project, with_vocabularies
from proviso.training.score import check_contract

REJECTED, REASON = "rejected", "rejected_reason"


@dataclass(frozen=True)
class Observed:
    """Which observations: those of [start, end), in microseconds, and what they are joined from.

    transactions: None: the contract's location. learn_until: vocabularies are learnt from
    observations before it; None: from none.
    """

    history: Path
    transactions: Path | None
    start: int
    end: int
    learn_until: int | None = None
    memory: str = DEFAULT_MEMORY


@dataclass(frozen=True)
class EncodedSummary:
    """What was written. vocabularies: those that were learnt, by element."""

    path: Path
    rows: int
    rejected: int
    columns: tuple[str, ...]
    vocabularies: dict[str, list[Any]]


def write_encoded(
    project: Project, release: Release | None, observed: Observed, out: Path
) -> EncodedSummary:
    """Writes one row an observation: ids, keys, label, the vector, and whether it is rejected.

    release: whose frozen vocabularies are used. Raises InputError where a vocabulary is to be
    learnt and neither a release nor a moment to learn until is given.
    """
    contract = project.contract
    if release is not None:
        check_contract(release, contract)
    service = project.service if release is None else release.service
    library = contract.library if release is None else release.library
    inputs = _joined(contract, service, observed, out)
    if release is None:
        project = _learnt(project, inputs, observed)
        service = project.service
    encoder = Encoder(service, library)
    encoded = inputs.encoded(encoder)
    table = _table(contract, encoder, inputs, encoded)
    with replacing(out) as temporary:
        pq.write_table(table, temporary, compression="zstd")
    learnt = {name: list(values) for name, values in project.vocabularies.items()}
    rejected = int(encoded.rejected.sum())
    return EncodedSummary(out, len(inputs), rejected, service.vector, learnt)


def _joined(contract: Contract, service: Service, observed: Observed, out: Path) -> EncoderInputs:
    """The observations with the values that could be used at their moments."""
    with working_folder(out.absolute().parent, "dataset") as work:
        dataset = work / "dataset.parquet"
        history_engine().build_dataset(
            contract,
            observed.history,
            observed.transactions,
            observed.start,
            observed.end,
            dataset,
            [view.name for view in service.views],
            memory=observed.memory,
            request_features=False,
        )
        return read_inputs(dataset, contract, service)


def _learnt(project: Project, inputs: EncoderInputs, observed: Observed) -> Project:
    """The project with the vocabularies of the observations before `learn_until`."""
    encodings = service_of(project.contract, project.plan).encodings
    open_ones = [name for name, one in encodings.items() if one.max_size is not None]
    if not open_ones:
        return project
    if observed.learn_until is None:
        found = f"{', '.join(open_ones)} with a vocabulary that is to be learnt"
        wanted = "--learn-until, or --release with frozen vocabularies"
        why = "values of later observations must not be known before they are seen"
        raise InputError.of("--encoded", found, wanted, why, code="vocabulary_not_learnt")
    return with_vocabularies(project, inputs, observed.start, observed.learn_until)


def _table(
    contract: Contract, encoder: Encoder, inputs: EncoderInputs, encoded: Encoded
) -> pa.Table:
    vector = encoder.service.vector
    known = inputs.label_known_at
    columns = [
        (contract.observations_of().id, pa.array(inputs.ids.tolist())),
        (SCORING, pa.array(inputs.at, MOMENT)),
        *((_key(name, vector), pa.array(ids.tolist())) for name, ids in inputs.keys.items()),
        (LABEL, pa.array(inputs.labels, from_pandas=True).cast(pa.int8())),
        (LABEL_KNOWN, pa.array(known, MOMENT, mask=known == NEVER)),
        *((name, pa.array(encoded.vector[:, i])) for i, name in enumerate(vector)),
        (REJECTED, pa.array(encoded.rejected)),
        (REASON, pa.array(rejections(encoder.table, inputs.status, encoded), pa.string())),
    ]
    names = [name for name, _ in columns]
    if repeated := [name for name, count in Counter(names).items() if count > 1]:
        found, wanted = f"{', '.join(repeated)} in the vector", "a name that no other column has"
        raise InputError.of("--encoded", found, wanted, code="encoded_column_repeated")
    return pa.table(dict(columns))


def _key(name: str, vector: tuple[str, ...]) -> str:
    """A join key's column; a key that is a feature as well stands under its own name encoded."""
    return f"{name}__key" if name in vector else name
