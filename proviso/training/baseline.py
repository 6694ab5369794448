"""The baseline that a model must beat: logistic regression on the same vector."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from proviso.training.spec import Logistic


def fit_baseline(
    settings: Logistic, vectors: NDArray[np.float32], labels: NDArray[np.int8]
) -> Pipeline:
    """Median for missing values, unit variance, logistic regression; no randomness."""
    pipeline = make_pipeline(
        SimpleImputer(strategy="median", keep_empty_features=True),
        StandardScaler(),
        LogisticRegression(C=settings.c, max_iter=settings.max_iterations),
    )
    return pipeline.fit(vectors.astype(np.float64), labels)


def baseline_probabilities(pipeline: Pipeline, vectors: NDArray[np.float32]) -> NDArray[np.float64]:
    """The probability [n] of the positive class."""
    return np.asarray(pipeline.predict_proba(vectors.astype(np.float64))[:, 1])
