"""The decision: one rule for the pod and for batch scoring."""

from __future__ import annotations

from feature_runtime.core.service import Decision


def decide(decision: Decision, probability: float, *, rejected: bool) -> str:
    """The plan's word for one row; a row that is rejected, or has no score (NaN), falls back."""
    if rejected or probability != probability:
        return decision.fallback
    return decision.at_or_above if probability >= decision.threshold else decision.below
