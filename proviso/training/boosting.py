"""The model: gradient boosted trees. The only module that knows XGBoost.

float32, columns f0..., NaN is missing, one seed and one number of threads: the same rows give
the same model, byte by byte, on one version of the library.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xgboost
from numpy.typing import NDArray

from proviso.training.spec import Boosting

THREADS = 2
VERSION = str(xgboost.__version__)

Vectors = NDArray[np.float32]
Labels = NDArray[np.int8]


def fit_boosting(
    settings: Boosting, seed: int, names: Sequence[str], vectors: Vectors, labels: Labels
) -> xgboost.XGBClassifier:
    """Trees on vectors [n, V] and labels [n] of 0 and 1; `names` [V] are the vector's elements."""
    model = xgboost.XGBClassifier(
        objective="binary:logistic",
        tree_method="hist",
        n_estimators=settings.trees,
        learning_rate=settings.learning_rate,
        max_depth=settings.max_depth,
        min_child_weight=settings.min_child_weight,
        subsample=settings.row_sample,
        colsample_bytree=settings.column_sample,
        reg_alpha=settings.l1,
        reg_lambda=settings.l2,
        gamma=settings.gamma,
        max_bin=settings.max_bins,
        monotone_constraints=_directions(settings, names),
        missing=np.nan,
        random_state=seed,
        n_jobs=THREADS,
    )
    return model.fit(vectors, labels)


def boosting_probabilities(model: xgboost.XGBClassifier, vectors: Vectors) -> NDArray[np.float64]:
    """The probability [n] of the positive class, as XGBoost itself computes it."""
    return np.asarray(model.predict_proba(vectors)[:, 1], dtype=np.float64)


def has_split(model: xgboost.XGBClassifier) -> bool:
    """Whether any tree distinguishes any rows; without one every score is the same."""
    return bool(model.get_booster().get_score(importance_type="weight"))


def _directions(settings: Boosting, names: Sequence[str]) -> tuple[int, ...]:
    rising, falling = set(settings.increasing), set(settings.decreasing)
    return tuple((name in rising) - (name in falling) for name in names)
