"""The leakage certificate: evidence that a model learned only from values that could be used.

Made by training after the join: every value of the training and test days judged again from raw
history, a sample computed again from the transactions, and digests of what this was found on.
Plain data inside release.yml; the gate holds it to the release (docs/adr/0042).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import proviso.history
from feature_runtime.core import availability, identity
from proviso.contracts.base import ContractError, Problem
from proviso.contracts.section import service_section
from proviso.history.arrays import EncoderInputs
from proviso.training import recompute as recompute_module
from proviso.training import rejudge as rejudge_module
from proviso.training import timeline as timeline_module
from proviso.training.card import data_section
from proviso.training.data import Days, Project, Request
from proviso.training.recompute import recompute
from proviso.training.rejudge import JudgedView, RejudgeTask, rejudge

Progress = Callable[[str], None]
VERSION = 1
SAMPLE = 100  # rows per view, of the training and of the test days each
SEED = 1
_NAMED = 12
_POLICY = ("kind", "value")
_SERVED = ("decision", "limits", "hash_entity_keys")


@dataclass(frozen=True)
class Material:
    """What is certified: a request that has a history, and what was joined and encoded from it.

    vectors, labels: what the model is fitted on, and in which order.
    """

    project: Project
    request: Request
    train: EncoderInputs
    test: EncoderInputs
    vectors: NDArray[np.float32]
    labels: NDArray[np.int8]


def certify(material: Material, progress: Progress) -> dict[str, Any]:
    """The certificate but for the model, which does not exist yet; see `bound`.

    Raises ContractError with the first differences: then nothing may be trained on this.
    """
    request, project = material.request, material.project
    judged = {
        "train": _judged(material, material.train, request.train, progress),
        "test": _judged(material, material.test, request.test, progress),
    }
    samples = {
        view.name: [w for found in judged.values() for w in found[view.name].sample]
        for view in project.service.views
    }
    progress(f"certificate: {sum(map(len, samples.values()))} rows again from the transactions")
    wrong = list(recompute(project.contract, request.transactions, samples))
    if wrong:
        _refuse(len(wrong), wrong)
    return {
        "version": VERSION,
        "data": data_section(request),
        "differences": 0,
        "train": _section(material.train, judged["train"].values()),
        "test": _section(material.test, judged["test"].values()),
        "recomputed": {name: len(winners) for name, winners in samples.items()},
        "digests": {
            "contract": meaning_digest(service_section(project.contract, project.plan)),
            "trained_on": _digest_of_arrays(material.vectors, material.labels),
        },
        "code": code_digests(),
    }


def bound(certificate: Mapping[str, Any], model: bytes) -> dict[str, Any]:
    """The certificate of the model that was fitted on the certified rows."""
    digests = {**certificate["digests"], "model": identity.digest(model)}
    return {**certificate, "digests": digests}


def meaning_digest(service: Mapping[str, Any]) -> str:
    """Digest of what of a service section decides which values a model learns from.

    Left out: what is done with a score, limits of requests, and who approved a default until
    when; a plan may change these and the certified values are still the same.
    """
    meaning = {name: part for name, part in service.items() if name not in _SERVED}
    meaning["views"] = [
        {**view, "features": [_without_approval(f) for f in view["features"]]}
        for view in service["views"]
    ]
    return identity.digest_of(meaning)


def rule_digest() -> str:
    """Digest of the one rule's source: the code whose change makes certificates void."""
    return identity.digest(Path(availability.__file__).read_bytes())


def code_digests() -> dict[str, str]:
    """The code that certified: the rule, the history station, and the certifier itself."""
    modules = (rejudge_module, recompute_module, timeline_module)
    own = [__file__, *(str(module.__file__) for module in modules)]
    station = Path(str(proviso.history.__file__)).parent
    return {
        "rule": rule_digest(),
        "history": _sources(station.rglob("*.py")),
        "certifier": _sources(map(Path, own)),
    }


def _judged(
    material: Material, inputs: EncoderInputs, days: Days, progress: Progress
) -> dict[str, JudgedView]:
    """Every view of some days, judged. Raises ContractError with the first differences."""
    project, request = material.project, material.request
    if request.history is None:
        raise ValueError("found no history, wanted the one that the dataset was joined from")
    task = RejudgeTask(
        project.contract,
        project.service,
        request.history,
        request.transactions,
        inputs,
        days.first,
        days.end,
    )
    views: dict[str, JudgedView] = {}
    named: list[str] = []
    count = 0
    for found in rejudge(task, SAMPLE, SEED, progress):
        if isinstance(found, str):
            _refuse(1, [found])
        else:
            views[found.view] = found
            count += found.differences
            named += found.named
    if count:
        _refuse(count, named)
    return views


def _refuse(count: int, named: list[str]) -> None:
    wanted = "what availability says of the published rows, and the oracle of the transactions"
    problems = [
        Problem("training set", said, wanted, "leakage, or a defect of the join")
        for said in named[:_NAMED]
    ]
    if count > len(problems):
        problems.append(Problem("training set", f"{count} differences in all", "none"))
    raise ContractError(problems)


def _section(inputs: EncoderInputs, views: Iterable[JudgedView]) -> dict[str, Any]:
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


def _without_approval(feature: Mapping[str, Any]) -> dict[str, Any]:
    policy = feature["policy"]
    kept = None if policy is None else {name: policy[name] for name in _POLICY}
    return {**feature, "policy": kept}


def _digest_of_arrays(*arrays: NDArray[Any], ids: str = "") -> str:
    digest = hashlib.sha256(ids.encode())
    for array in arrays:
        digest.update(f"{array.dtype.str} {array.shape}\n".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return f"sha256:{digest.hexdigest()}"


def _sources(paths: Iterable[Path]) -> str:
    files = sorted(paths, key=lambda path: path.name)
    lines = "".join(f"{path.name}={identity.digest(path.read_bytes())}\n" for path in files)
    return identity.digest(lines.encode())
