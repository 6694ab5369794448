"""Fits and exports model and baseline, and verifies each export against the fitted model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from proviso.contracts.base import ContractError, InputError, Problem
from proviso.release.embedded import EmbeddedModel
from proviso.release.signature import TOLERANCE
from proviso.training.baseline import baseline_probabilities, fit_baseline
from proviso.training.boosting import (
    Labels,
    Vectors,
    boosting_probabilities,
    fit_boosting,
    has_split,
)
from proviso.training.conversion import baseline_to_onnx, boosting_to_onnx
from proviso.training.spec import TrainingSpec


@dataclass(frozen=True)
class Exported:
    """A model as ONNX, its scores [n] on the test vectors, and how far ONNX is from the fit."""

    onnx: bytes
    scores: NDArray[np.float64]
    difference: float


def fit_model(
    spec: TrainingSpec, names: Sequence[str], vectors: Vectors, labels: Labels, test: Vectors
) -> Exported:
    """The model on vectors [n, V] and labels [n] of 0 and 1, verified on the test vectors.

    Raises InputError when no tree could split the rows, ContractError as `verified` does.
    """
    model = fit_boosting(spec.boosting, spec.seed, names, vectors, labels)
    if not has_split(model):
        found = f"no tree with a split: {int(labels.sum())} of {len(labels)} rows are positive"
        wanted = "a model that tells rows apart"
        why = "choose days with more positives, or a lower boosting.min_child_weight"
        raise InputError.of("training rows", found, wanted, why, code="model_without_split")
    onnx = boosting_to_onnx(model, len(names))
    return verified("model", onnx, boosting_probabilities(model, test), test)


def fit_reference(spec: TrainingSpec, vectors: Vectors, labels: Labels, test: Vectors) -> Exported:
    """The baseline on the same rows, verified on the same test vectors."""
    pipeline = fit_baseline(spec.baseline, vectors, labels)
    onnx = baseline_to_onnx(pipeline, vectors.shape[1])
    return verified("baseline", onnx, baseline_probabilities(pipeline, test), test)


def verified(name: str, onnx: bytes, fitted: NDArray[np.float64], test: Vectors) -> Exported:
    """The exported model with its scores, which must equal the fitted model's.

    Raises ContractError when any score differs by more than TOLERANCE.
    """
    scores = EmbeddedModel(onnx).probabilities(test)
    difference = float(np.abs(scores - fitted).max())
    if not difference <= TOLERANCE:
        found = f"max |dp| {difference:.3g} between ONNX and the fitted model"
        why, code = "the served model must be the evaluated one", "onnx_differs_from_model"
        raise ContractError([Problem(name, found, f"at most {TOLERANCE:g}", why, code)])
    return Exported(onnx, scores, difference)
