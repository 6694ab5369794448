"""The model card: training data, evaluation, and how exactly ONNX repeats the fitted model.

Plain data inside release.yml. It is the same for the same data, settings and library versions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import sklearn

from feature_runtime.core.availability import Status
from feature_runtime.core.moments import format_duration
from feature_runtime.core.service import Service
from proviso.contracts.plan import Plan
from proviso.contracts.section import service_of
from proviso.release import embedded
from proviso.training import boosting, conversion
from proviso.training.data import Project, Request, Rows
from proviso.training.data_digest import further_digests, observed_digest
from proviso.training.metrics import Metrics
from proviso.training.spec import TrainingSpec

_DIGITS = 6


@dataclass(frozen=True)
class Evaluation:
    """Model and baseline on the same evaluation set, and how far ONNX is from the fitted ones."""

    model: Metrics
    baseline: Metrics
    model_difference: float
    baseline_difference: float


def data_section(project: Project, request: Request) -> dict[str, Any]:
    """The transactions and further sources by content digest, the days, and the label delay."""
    contract = project.contract
    further = further_digests(contract, service_of(contract, project.plan))
    return {
        "transactions": observed_digest(contract, request.transactions),
        **({"sources": further} if further else {}),
        "train_days": request.train.text(),
        "test_days": request.test.text(),
        "label_delay": format_duration(request.label_delay),
    }


def feature_section(service: Service, rows: Rows) -> dict[str, Any]:
    """Per consumed feature: counts of each status, of defaults used and of rows rejected."""
    status, applied = rows.inputs.status, rows.encoded.applied
    return {
        str(ref): {
            "status": _status_counts(status[:, k]),
            "defaults": int(applied.replaced[:, k].sum()),
            "rejections": int(applied.rejecting[:, k].sum()),
        }
        for k, ref in enumerate(service.consumed)
    }


def metrics_section(spec: TrainingSpec, plan: Plan, evaluation: Evaluation) -> dict[str, Any]:
    """Model and baseline on the same rows, and whether the model beats the baseline."""
    k = spec.protocol.k
    return {
        "protocol": spec.protocol.model_dump(mode="json"),
        "model": named_metrics(evaluation.model, k, _DIGITS),
        "baseline": named_metrics(evaluation.baseline, k, _DIGITS),
        "evaluated_rows": evaluation.model.rows,
        "evaluated_positives": evaluation.model.positives,
        "beats_baseline": beats_baseline(plan, evaluation),
        "quality_floor": {"metric": plan.quality_floor.metric, "min": plan.quality_floor.min},
    }


def proof_section(evaluation: Evaluation, tolerance: float) -> dict[str, Any]:
    """The largest difference between exported and fitted models over all test transactions."""
    return {
        "tolerance": tolerance,
        "model_max_difference": evaluation.model_difference,
        "baseline_max_difference": evaluation.baseline_difference,
    }


def named_metrics(metrics: Metrics, k: int, digits: int | None = None) -> dict[str, float | None]:
    """The figures by their public names; None where the labels do not allow one."""
    figures = {
        "auc": metrics.auc,
        "average_precision": metrics.average_precision,
        f"entity_precision_at_{k}": metrics.entity_precision,
    }
    if digits is None:
        return figures
    return {name: None if v is None else round(v, digits) for name, v in figures.items()}


def beats_baseline(plan: Plan, evaluation: Evaluation) -> bool | None:
    """Compares by the metric of the plan's quality floor; None where the labels do not allow it."""
    metric = plan.quality_floor.metric
    model, baseline = (asdict(m)[metric] for m in (evaluation.model, evaluation.baseline))
    return None if model is None or baseline is None else bool(model > baseline)


def library_versions() -> Mapping[str, str]:
    """Versions of the libraries that the model's bytes and figures depend on."""
    return {
        "numpy": np.__version__,
        **conversion.VERSIONS,
        "onnxruntime": embedded.VERSION,
        "scikit-learn": str(sklearn.__version__),
        "xgboost": boosting.VERSION,
    }


def _status_counts(status: np.ndarray[Any, np.dtype[np.int8]]) -> dict[str, int]:
    codes, counts = np.unique(status, return_counts=True)
    return {Status(code).name: int(n) for code, n in zip(codes, counts, strict=True)}
