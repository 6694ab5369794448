"""The leakage certificate: evidence that a model was trained only on values available at the time.

Training makes it after the join. Every value of the training and test days is looked up again in
the raw history by the availability rule, a sample of rows is computed again from the transactions,
and digests bind the result to data and code. Plain data inside release.yml; the gate compares it
with the release (docs/adr/0042).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import proviso.history
from feature_runtime.core import availability, identity
from proviso.contracts.base import ContractError, Problem
from proviso.contracts.contract import FeatureView
from proviso.contracts.publication import of_table
from proviso.contracts.section import service_section
from proviso.history.arrays import EncoderInputs
from proviso.training import (
    content_digest,
    dataset_check,
    entity_rows,
    history_check,
    relevant_events,
    table_check,
)
from proviso.training.data import Project, TrainingData
from proviso.training.dataset_check import Answer, CheckedView, DatasetToCheck, check_dataset
from proviso.training.history_check import wrong_rows
from proviso.training.model_card import data_section
from proviso.training.table_check import NOT_RECOMPUTED, wrong_answers
from proviso.training.weeks import Days

Progress = Callable[[str], None]
VERSION = 1
SAMPLE = 100  # rows per view, of the training and of the test days each
SEED = 1
_NAMED = 12
_POLICY = ("kind", "value")
_SERVED = ("decision", "limits", "hash_entity_keys")


@dataclass(frozen=True)
class CertifiedRows:
    """The rows to certify: the data of a run, and what was joined and encoded from it.

    vectors, labels: the rows that the model is fitted on, in their order.
    """

    data: TrainingData
    train: EncoderInputs
    test: EncoderInputs
    vectors: NDArray[np.float32]
    labels: NDArray[np.int8]


def certify(rows: CertifiedRows, progress: Progress) -> dict[str, Any]:
    """The certificate without the model, which is fitted afterwards (`with_model`).

    Raises ContractError with the first differences; then no model may be trained on the rows.
    """
    request, project = rows.data.request, rows.data.project
    checked = {
        "train": _checked(rows, rows.train, request.train, progress),
        "test": _checked(rows, rows.test, request.test, progress),
    }
    samples = {
        view.name: [w for found in checked.values() for w in found[view.name].sample]
        for view in _views(project)
        if not of_table(view)
    }
    progress(f"certificate: {sum(map(len, samples.values()))} rows again from their events")
    wrong = list(wrong_rows(project.contract, rows.data.transactions, samples, progress))
    judged = {
        view.name: [a for found in checked.values() for a in found[view.name].answers]
        for view in _views(project)
        if of_table(view)
    }
    wrong += wrong_answers(project.contract, rows.data.transactions, judged, progress)
    if wrong:
        _refuse(len(wrong), wrong)
    return {
        "version": VERSION,
        "data": data_section(project, request),
        "differences": 0,
        "train": _section(rows.train, checked["train"].values()),
        "test": _section(rows.test, checked["test"].values()),
        "recomputed": {name: len(winners) for name, winners in samples.items()},
        **_of_tables(judged),
        **_quarantine(rows.data),
        "digests": {
            "contract": meaning_digest(_section_of(project)),
            "trained_on": _digest_of_arrays(rows.vectors, rows.labels),
        },
        "code": code_digests(),
    }


def _quarantine(data: TrainingData) -> dict[str, Any]:
    """By source, the rows that were set aside; nothing where no source that was read allows it."""
    found = {
        one.source: {
            "rows": one.rows,
            "of": one.of,
            "share": round(one.share, 6),
            "reasons": {f"{why.column}: {why.code}": why.rows for why in one.reasons},
        }
        for one in data.transactions.quarantined
    }
    return {"quarantine": found} if found else {}


def with_model(certificate: Mapping[str, Any], model: bytes) -> dict[str, Any]:
    """The certificate with the digest of the model that was fitted on the certified rows."""
    digests = {**certificate["digests"], "model": identity.digest(model)}
    return {**certificate, "digests": digests}


def meaning_digest(service: Mapping[str, Any]) -> str:
    """Digest of those parts of a service section that decide the values a model is trained on.

    Left out: the decision, limits of requests, and the approval of defaults. A plan may change
    these without changing the certified values.
    """
    meaning = {name: part for name, part in service.items() if name not in _SERVED}
    meaning["views"] = [
        {**view, "features": [_without_approval(f) for f in view["features"]]}
        for view in service["views"]
    ]
    return identity.digest_of(meaning)


def rule_digest() -> str:
    """Digest of the availability rule's source; certificates of another one are void."""
    return identity.digest(Path(availability.__file__).read_bytes())


def code_digests() -> dict[str, str]:
    """Digests of the code that certified: the rule, the history room, and these modules."""
    modules = (dataset_check, history_check, table_check, relevant_events, entity_rows)
    own = [__file__, *(str(module.__file__) for module in (*modules, content_digest))]
    room = Path(str(proviso.history.__file__)).parent
    return {
        "rule": rule_digest(),
        "history": _sources(room.rglob("*.py")),
        "certifier": _sources(map(Path, own)),
    }


def _checked(
    rows: CertifiedRows, inputs: EncoderInputs, days: Days, progress: Progress
) -> dict[str, CheckedView]:
    """Every view of some days, checked. Raises ContractError with the first differences."""
    data = rows.data
    task = DatasetToCheck(data.project, data.transactions, data.history, inputs, days)
    views: dict[str, CheckedView] = {}
    named: list[str] = []
    count = 0
    for found in check_dataset(task, SAMPLE, SEED, progress):
        if isinstance(found, str):
            _refuse(1, [found])
        else:
            views[found.view] = found
            count += found.differences
            named += found.named
    if count:
        _refuse(count, named)
    return views


def _refuse(count: int, differences: list[str]) -> None:
    wanted = "the values that the availability rule and the transactions give"
    why, code = "a future value was used (leakage), or the join is wrong", "training_set_leaks"
    problems = [
        Problem("training set", difference, wanted, why, code)
        for difference in differences[:_NAMED]
    ]
    if count > len(problems):
        total = f"{count} differences in total"
        problems.append(Problem("training set", total, "none", code=code))
    raise ContractError(problems)


def _section(inputs: EncoderInputs, views: Iterable[CheckedView]) -> dict[str, Any]:
    """Counts by view and status, and digests of the judged dataset and of its history."""
    return {
        "rows": len(inputs),
        "dataset": _digest_of_arrays(
            inputs.at,
            inputs.values,
            inputs.status,
            *inputs.event_ts.values(),
            *inputs.created_ts.values(),
            *(inputs.fields[name] for name in sorted(inputs.fields)),
            *(inputs.texts[name] for name in sorted(inputs.texts)),
            ids="\n".join(map(str, inputs.ids)),
        ),
        "views": {
            view.view: {
                "status": view.statuses,
                "values": view.values,
                "history_rows": view.rows,
                "history": view.history,
            }
            for view in views
        },
    }


def _of_tables(judged: Mapping[str, Sequence[Answer]]) -> dict[str, Any]:
    """What is said of views over a table; nothing where there is none."""
    if not judged:
        return {}
    counts = {name: len(answers) for name, answers in judged.items()}
    return {"of_tables": {"said": NOT_RECOMPUTED, "compared": counts}}


def _views(project: Project) -> list[FeatureView]:
    return [project.contract.view_by_name[view.name] for view in project.service.views]


def _without_approval(feature: Mapping[str, Any]) -> dict[str, Any]:
    policy = feature["policy"]
    kept = None if policy is None else {name: policy[name] for name in _POLICY}
    return {**feature, "policy": kept}


def _digest_of_arrays(*arrays: NDArray[Any], ids: str = "") -> str:
    digest = hashlib.sha256(ids.encode())
    for array in arrays:
        digest.update(f"{array.dtype.str} {array.shape}\n".encode())
        digest.update(_bytes(array))
    return f"sha256:{digest.hexdigest()}"


def _bytes(array: NDArray[Any]) -> bytes:
    """What an array holds; strings each behind its length, so that no two arrays read the same."""
    if array.dtype != np.object_:
        return np.ascontiguousarray(array).tobytes()
    texts = ("-" if text is None else f"{len(text)}:{text}" for text in array.tolist())
    return "".join(texts).encode()


def _section_of(project: Project) -> Mapping[str, Any]:
    return service_section(project.contract, project.plan, project.vocabularies)


def _sources(paths: Iterable[Path]) -> str:
    files = sorted(paths, key=lambda path: path.name)
    lines = "".join(f"{path.name}={identity.digest(path.read_bytes())}\n" for path in files)
    return identity.digest(lines.encode())
