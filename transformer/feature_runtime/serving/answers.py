"""Outcomes in the form of V1 and of V2, JSON or binary; gRPC uses the tensors (rpc.py)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import orjson

from feature_runtime.core.release import Release
from feature_runtime.serving.outcome import Outcome
from feature_runtime.serving.protocol import OUTPUTS, Asked, raw_strings
from feature_runtime.serving.request import ScoringRequest


def parameters(release: Release, request: ScoringRequest, outcome: Outcome) -> dict[str, str]:
    """What every answer carries beside its outputs."""
    return {
        "request_id": request.request_id,
        "release": release.id,
        "scored_at": outcome.scored_at,
    }


def v1_body(release: Release, request: ScoringRequest, outcome: Outcome) -> bytes:
    """`{"predictions": [{probability, decision, status}, ...], request_id, ...}`."""
    rows = zip(outcome.probabilities, outcome.decisions, outcome.statuses, strict=True)
    predictions = [{"probability": p, "decision": d, "status": s} for p, d, s in rows]
    return orjson.dumps({"predictions": predictions, **parameters(release, request, outcome)})


def v2_body(
    release: Release, name: str, asked: Asked, request: ScoringRequest, outcome: Outcome
) -> tuple[bytes, int | None]:
    """The V2 answer, and the length of its JSON where binary tensors follow it."""
    outputs, tail = [], []
    for output in asked.outputs:
        tensor: dict[str, Any] = {
            "name": output,
            "shape": [len(outcome.decisions), 1],
            "datatype": OUTPUTS[output],
        }
        if output in asked.binary:
            raw = raw_output(output, outcome)
            tensor["parameters"] = {"binary_data_size": len(raw)}
            tail.append(raw)
        else:
            tensor["data"] = values_of(output, outcome)
        outputs.append(tensor)
    head = orjson.dumps(
        {
            "model_name": name,
            "id": asked.id or request.request_id,
            "parameters": parameters(release, request, outcome),
            "outputs": outputs,
        }
    )
    return b"".join([head, *tail]), len(head) if tail else None


def values_of(output: str, outcome: Outcome) -> list[Any]:
    """An output's values for JSON: null is the probability of a rejected row."""
    if output == "probability":
        return list(outcome.probabilities)
    return outputs_as_text(outcome)[output]


def raw_output(output: str, outcome: Outcome) -> bytes:
    """An output's raw bytes: NaN is the probability of a rejected row."""
    if output == "probability":
        return probability_array(outcome).astype("<f8").tobytes()
    return raw_strings(outputs_as_text(outcome)[output])


def probability_array(outcome: Outcome) -> np.ndarray[Any, np.dtype[np.float64]]:
    """[n], NaN where a row was rejected."""
    return np.array([np.nan if p is None else p for p in outcome.probabilities])


def outputs_as_text(outcome: Outcome) -> Mapping[str, list[str]]:
    """The BYTES outputs."""
    return {
        "decision": list(outcome.decisions),
        "status": [orjson.dumps(status).decode() for status in outcome.statuses],
    }
