"""The model card: what a release was trained on, how it was judged, what was proved.

Plain data inside release.yml; nothing in it depends on when or where it was written.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import sklearn

from feature_runtime.core.availability import Status
from feature_runtime.core.moments import format_duration
from feature_runtime.core.service import Service
from proviso.contracts.plan import Plan
from proviso.release import embedded
from proviso.training import boosting, conversion
from proviso.training.data import Request, Rows
from proviso.training.metrics import Metrics
from proviso.training.spec import TrainingSpec

_CHUNK = 1024 * 1024
_DIGITS = 6


@dataclass(frozen=True)
class Judged:
    """The same evaluation set seen by the model and by its baseline, and the ONNX proofs."""

    model: Metrics
    baseline: Metrics
    model_difference: float
    baseline_difference: float


def file_digest(path: Path) -> str:
    """`sha256:<hex>` of a file of any size."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return f"sha256:{digest.hexdigest()}"


def data_section(request: Request) -> dict[str, Any]:
    """Which data, by content and by days."""
    return {
        "transactions": file_digest(request.transactions),
        "train_days": request.train.text(),
        "test_days": request.test.text(),
        "label_delay": format_duration(request.label_delay),
    }


def feature_section(service: Service, rows: Rows) -> dict[str, Any]:
    """Per consumed feature how often each status occurred, defaults were used, rows rejected."""
    status, applied = rows.inputs.status, rows.encoded.applied
    return {
        str(ref): {
            "status": _status_counts(status[:, k]),
            "defaults": int(applied.replaced[:, k].sum()),
            "rejections": int(applied.rejecting[:, k].sum()),
        }
        for k, ref in enumerate(service.consumed)
    }


def metrics_section(spec: TrainingSpec, plan: Plan, judged: Judged) -> dict[str, Any]:
    """Model and baseline on the same rows, and whether the one beats the other."""
    k = spec.protocol.k
    return {
        "protocol": spec.protocol.model_dump(mode="json"),
        "model": named_metrics(judged.model, k, _DIGITS),
        "baseline": named_metrics(judged.baseline, k, _DIGITS),
        "evaluated_rows": judged.model.rows,
        "evaluated_positives": judged.model.positives,
        "beats_baseline": beats_baseline(plan, judged),
        "quality_floor": {"metric": plan.quality_floor.metric, "min": plan.quality_floor.min},
    }


def proof_section(judged: Judged, tolerance: float) -> dict[str, Any]:
    """How far the exported models are from the fitted ones, over all test transactions."""
    return {
        "tolerance": tolerance,
        "model_max_difference": judged.model_difference,
        "baseline_max_difference": judged.baseline_difference,
    }


def named_metrics(metrics: Metrics, k: int, digits: int | None = None) -> dict[str, float | None]:
    """The figures by the names that users see; None where the labels do not allow one."""
    figures = {
        "auc": metrics.auc,
        "average_precision": metrics.average_precision,
        f"card_precision_at_{k}": metrics.entity_precision,
    }
    if digits is None:
        return figures
    return {name: None if v is None else round(v, digits) for name, v in figures.items()}


def beats_baseline(plan: Plan, judged: Judged) -> bool | None:
    """By the metric of the plan's quality floor; None where the labels do not allow it."""
    metric = plan.quality_floor.metric
    model, baseline = (asdict(m)[metric] for m in (judged.model, judged.baseline))
    return None if model is None or baseline is None else bool(model > baseline)


def library_versions() -> Mapping[str, str]:
    """What the model's bytes and figures depend on."""
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
