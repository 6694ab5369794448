"""A made-up rehearsal for the tests of the report page; nothing in it is about any trade."""

from __future__ import annotations

from typing import Any

import numpy as np

from proviso.demo.report import RefusedRequest, ReportData

RELEASE = "r-0123456789abcdef"
LONG_VIEW = "velocity_with_a_rather_long_name_1h"


def example_report() -> ReportData:
    """Three verdicts as intended, 4,000 scores, 500 requests over two protocols."""
    rng = np.random.default_rng(7)
    labels = (rng.random(4_000) < 0.05).astype(float)
    scores = 1 / (1 + np.exp(-rng.normal(4 * labels - 3, 1.5)))
    return ReportData(
        title="A rehearsal",
        release=_release(),
        replay=_replay(rng),
        scores=scores.tolist(),
        labels=[None if i % 50 == 0 else label for i, label in enumerate(labels.tolist())],
        baseline_scores=(0.5 * scores + 0.5 * rng.random(4_000)).tolist(),
        refusals=[
            RefusedRequest("far from the clock", "event_ts=1970-01-01T00:00:00Z", "400", "too old")
        ],
        verdicts=[
            verdict("register", passed=True, expected=True),
            verdict("shadow", passed=True, expected=True),
            verdict("shadow", passed=False, expected=False) | {"title": "Shadow, tampered with"},
        ],
        steps=[("train", 20.0), ("replay", 48.8)],
        threshold=0.5,
        freshness={
            LONG_VIEW: {"slo_s": 5_400, "ttl_s": 7_200},
            "risk_daily": {"slo_s": 90_000, "ttl_s": 93_600},
        },
        label_name="known_bad",
    )


def verdict(stage: str, *, passed: bool, expected: bool) -> dict[str, Any]:
    """A verdict with one finding."""
    detail = "500 requests equal their offline rows" if passed else "1 answer differs"
    return {
        "release": RELEASE,
        "stage": stage,
        "passed": passed,
        "expected": expected,
        "findings": [{"check": "replay", "ok": passed, "detail": detail}],
        "evidence": {"replay.json": "sha256:ab"},
    }


def _release() -> dict[str, Any]:
    return {
        "id": RELEASE,
        "model": "risk:1.0.0",
        "digests": {"model": "sha256:cd"},
        "service": {"decision": {"at_or_above": "HOLD", "below": "LET_GO"}},
        "card": {
            "data": {
                "train_days": ["2018-05-01", "2018-06-30"],
                "test_days": ["2018-07-08", "2018-07-14"],
            },
            "metrics": {
                "model": {
                    "auc": 0.871,
                    "average_precision": 0.612,
                    "entity_precision_at_100": 0.294,
                },
                "baseline": {
                    "auc": 0.831,
                    "average_precision": 0.287,
                    "entity_precision_at_100": 0.217,
                },
            },
        },
    }


def _replay(rng: np.random.Generator) -> dict[str, Any]:
    return {
        "release": RELEASE,
        "releases_answering": [RELEASE],
        "requests": 500,
        "by_protocol": {"v1": 250, "grpc": 250},
        "strata": {"before_created": 60, "stale": 40, "all": 500},
        "floors": {"before_created": 30, "stale": 20},
        "left_out": {"view": LONG_VIEW, "runs": [1_533_178_800_000_000], "transactions": 212},
        "mismatches": [],
        "mismatch_count": 0,
        "max_probability_difference": 5.960464e-08,
        "skew": {"PASS": 2_500},
        "skew_digest": "sha256:00",
        "statuses": {f"{LONG_VIEW}:count": {"OK": 440, "STALE": 40, "MISSING_KEY": 20}},
        "latency_ms": {
            "v1": rng.lognormal(1.8, 0.3, 250).tolist(),
            "grpc": rng.lognormal(1.3, 0.3, 250).tolist(),
        },
        "feature_age_s": {
            LONG_VIEW: rng.uniform(900, 9_000, 460).tolist(),
            "risk_daily": rng.uniform(1_800, 88_200, 480).tolist(),
        },
    }
