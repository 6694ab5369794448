"""The prediction record: one a row of a request, of a stated schema version.

The pod writes it and the control plane reads it (proviso/records), so both share the type. Keys
are those of the JSON object; moments are RFC 3339 text (docs/prediction-record.md).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, NotRequired, TypedDict

from feature_runtime.core.availability import Value
from feature_runtime.core.keys import EntityId
from feature_runtime.core.moments import MISSING, format_moment
from feature_runtime.core.service import RequestField
from feature_runtime.core.traffic import Traffic

SCHEMA = "proviso.prediction.v2"
FORMER_SCHEMA = "proviso.prediction.v1"
"""Has `arm` and `contract_digest` instead of `traffic` and `service_digest` (docs/adr/0070)."""

FieldValue = str | float | bool | None
"""A request field: moments as RFC 3339 text, None where it was absent or null."""

Protocol = Literal["v1", "v2", "grpc"]
"""What a request came by; v2 is REST, its binary form included."""

ADDED = ("client_request_id", "protocol", "pod", "threshold")
"""Fields that older records of the present schema lack; readers say None (docs/adr/0091)."""


class ViewRead(TypedDict):
    """The winner of a view; nulls where there was none. run_id: the writer's run."""

    status: str
    event_ts: str | None
    created_ts: str | None
    run_id: int | None


class FeatureRead(TypedDict):
    """A feature: its value as stored and its status; default and reason where one was used."""

    value: Value
    status: str
    default: NotRequired[float | str | None]
    reason: NotRequired[str | None]


class PredictionRecord(TypedDict):
    """One prediction; (request_id, traffic, index) is its key.

    client_request_id: the V2 message's own id, None without one. vector: what the model got.
    probability: None where the row was rejected. threshold: the decision's. latency_us: by part.
    protocol, pod and threshold are None only in a record that is older than they are.
    arm, contract_digest: deprecated spellings of traffic and service_digest.
    """

    schema: str
    request_id: str
    client_request_id: str | None
    traffic: Traffic
    arm: str
    protocol: Protocol | None
    pod: str | None
    index: int
    scored_at: str
    event_ts: str
    release: str
    model: str
    service_digest: str
    model_digest: str
    contract_digest: str
    entities: dict[str, EntityId]
    request: dict[str, FieldValue]
    views: dict[str, ViewRead]
    features: dict[str, FeatureRead]
    vector: list[float]
    probability: float | None
    threshold: float | None
    decision: str
    fallback_reason: str | None
    latency_us: dict[str, int]


def field_value(field: RequestField, cell: Any) -> FieldValue:
    """A cell of a field's column (`values.Column`) as the record and a JSON request have it."""
    if cell is None or cell != cell or (field.dtype == "timestamp" and cell == MISSING):
        return None
    if field.dtype == "string":
        return str(cell)
    if field.dtype == "timestamp":
        return format_moment(int(cell))
    kinds: Mapping[str, Callable[[Any], FieldValue]] = {"int64": int, "bool": bool}
    return kinds.get(field.dtype, float)(cell)
