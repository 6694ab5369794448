"""Training: transactions become a release and the scores of its test days."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from feature_runtime.core.moments import DAY
from proviso.contracts.base import InputError
from proviso.contracts.files import replacing_together
from proviso.contracts.places import observed_place
from proviso.history.arrays import EncoderInputs
from proviso.release.directory import Release, read_release
from proviso.release.signature import TOLERANCE
from proviso.release.writing import Draft, check_target, place_release
from proviso.training import model_card
from proviso.training.certificate import CertifiedRows, certify, with_model
from proviso.training.data import (
    Progress,
    Project,
    Request,
    Rows,
    TrainingData,
    check_days,
    events_of,
    joined_inputs,
    labels_known,
    rows_of,
    training_data,
    usable_rows,
    with_vocabularies,
)
from proviso.training.distribution import distribution_section
from proviso.training.fitting import Exported, fit_model, fit_reference
from proviso.training.metrics import Metrics, known_compromised, measure
from proviso.training.model_card import Evaluation

PREDICTIONS_FILE = "predictions.parquet"


@dataclass(frozen=True)
class Trained:
    """The result of a training run: the release, and the metrics of model and baseline."""

    release: Release
    metrics: Metrics
    baseline: Metrics


@dataclass(frozen=True)
class Run:
    """A training run's rows. Of the train rows [n] the labels of `known` are known when the test
    starts, and `used` are those that the models are fitted on.
    """

    project: Project
    request: Request
    inputs: EncoderInputs
    train: Rows
    known: NDArray[np.bool_]
    used: NDArray[np.bool_]
    test: Rows


def train(project: Project, request: Request, out: Path, progress: Progress) -> Trained:
    """Trains, certifies, evaluates, and writes the release `out` with predictions.parquet.

    Raises InputError when the data cannot train a model, ContractError when a value of the dataset
    differs from the availability rule's, or an exported model from the fitted one.
    """
    check_days(request)
    check_target(out)
    run, certificate = certified(project, request, out, progress)
    model, baseline = _fit(run, progress)
    evaluation = _evaluate(run, model, baseline)
    draft = Draft(
        project.contract,
        project.plan,
        model.onnx,
        baseline.onnx,
        _card(run, evaluation, certificate["data"]),
        with_model(certificate, model.onnx),
        run.project.vocabularies,
    )
    with replacing_together() as files:
        place_release(draft, out, files)
        with files.writing(out / PREDICTIONS_FILE) as temporary:
            _write_predictions(run, model.scores, temporary)
    return Trained(read_release(out), evaluation.model, evaluation.baseline)


def certified(
    project: Project, request: Request, out: Path, progress: Progress
) -> tuple[Run, dict[str, Any]]:
    """A run's rows and the certificate of them, which lacks the model. Raises ContractError."""
    with training_data(project, request, out, progress) as loaded:
        data, inputs = _joined(loaded, progress)
        run = _run_of(data, inputs)
        rows = CertifiedRows(data, run.train.inputs, run.test.inputs, *_fitted_on(run))
        return run, certify(rows, progress)


def prepare(project: Project, request: Request, out: Path, progress: Progress) -> Run:
    """The rows of a training run, joined and encoded. Raises InputError."""
    with training_data(project, request, out, progress) as data:
        return _run_of(*_joined(data, progress))


def _joined(data: TrainingData, progress: Progress) -> tuple[TrainingData, EncoderInputs]:
    """The joined rows, and the data with the vocabularies that its train days teach."""
    inputs = joined_inputs(data, progress)
    train_days = data.request.train
    project = with_vocabularies(data.project, inputs, train_days.first, train_days.end)
    return replace(data, project=project), inputs


def _run_of(data: TrainingData, inputs: EncoderInputs) -> Run:
    project, request = data.project, data.request
    train_rows = rows_of(project, inputs, request.train)
    test_rows = rows_of(project, inputs, request.test)
    if len(test_rows.inputs.at) == 0:
        first, last = request.test.text()
        found, code = f"no observed row from {first} to {last}", "test_days_empty"
        wanted = "at least one in the test days"
        shown = observed_place(project.contract, request.transactions)
        raise InputError.of(shown, found, wanted, code=code)
    known = labels_known(data)
    used = usable_rows(project.contract, request, train_rows, known)
    return Run(project, request, inputs, train_rows, known, used, test_rows)


def _fitted_on(run: Run) -> tuple[NDArray[np.float32], NDArray[np.int8]]:
    """Vectors and labels of the used rows, NaN where the policy says so."""
    labels = run.train.inputs.labels[run.used].astype(np.int8)
    return run.train.encoded.vector[run.used], labels


def _fit(run: Run, progress: Progress) -> tuple[Exported, Exported]:
    """Model and baseline on the same rows."""
    vectors, labels = _fitted_on(run)
    test = run.test.encoded.vector
    progress(f"fit on {len(labels)} rows, {int(labels.sum())} of them positive")
    names = run.project.service.vector
    model = fit_model(run.project.spec, names, vectors, labels, test)
    return model, fit_reference(run.project.spec, vectors, labels, test)


def figures(run: Run, scores: NDArray[np.float64]) -> Metrics:
    """Metrics of the scores [n] of the test rows on the evaluation set of the protocol."""
    protocol, request = run.project.spec.protocol, run.request
    events = events_of(run.project, run.inputs)
    test = events.take(run.inputs.at >= request.test.first)
    judged = np.ones(len(test.day), dtype=np.bool_)
    if protocol.leave_out_known:
        days = (request.train.first // DAY, request.train.last // DAY)
        lag = -(-request.label_delay // DAY) + 1
        judged = ~known_compromised(events, test, days, lag)
    return measure(test.take(judged), scores[judged], protocol.k)


def _evaluate(run: Run, model: Exported, baseline: Exported) -> Evaluation:
    """Both on the same evaluation set: entities whose compromise is known are left out."""
    metrics = figures(run, model.scores), figures(run, baseline.scores)
    return Evaluation(*metrics, model.difference, baseline.difference)


def _card(run: Run, evaluation: Evaluation, data: Mapping[str, Any]) -> dict[str, Any]:
    project, service = run.project, run.project.service
    return {
        "data": dict(data),
        "rows": _row_counts(run),
        "vector": list(service.vector),
        "features": {
            "train": model_card.feature_section(service, run.train),
            "test": model_card.feature_section(service, run.test),
            "distribution": distribution_section(service, run.train),
        },
        "metrics": model_card.metrics_section(project.spec, project.plan, evaluation),
        "onnx": model_card.proof_section(evaluation, TOLERANCE),
        "training": project.spec.model_dump(mode="json"),
        "libraries": dict(model_card.library_versions()),
    }


def _row_counts(run: Run) -> dict[str, dict[str, int]]:
    labels, judged = run.train.inputs.labels, ~np.isnan(run.test.inputs.labels)
    return {
        "train": {
            "transactions": len(labels),
            "label_not_known": int((~run.known).sum()),
            "rejected": int((run.known & run.train.encoded.rejected).sum()),
            "used": int(run.used.sum()),
            "positives": int(labels[run.used].sum()),
        },
        "test": {
            "transactions": len(judged),
            "label_not_known": int((~judged).sum()),
            "rejected": int(run.test.encoded.rejected.sum()),
        },
    }


def _write_predictions(run: Run, scores: NDArray[np.float64], out: Path) -> None:
    """Writes a score for every transaction of the test days.

    A transaction that serving would reject has `rejected` true. Serving would not show its score,
    which is the model's for a vector in which the critical feature is missing.
    """
    table = pa.table(
        {
            run.project.contract.observations_of().id: pa.array(run.test.inputs.ids),
            "score": pa.array(scores, pa.float64()),
            "rejected": pa.array(run.test.encoded.rejected, pa.bool_()),
        }
    )
    pq.write_table(table, out, compression="zstd")
