"""Makes the prediction records of a request, which a sink keeps before the answer is sent."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterator

from feature_runtime.core.availability import Status
from feature_runtime.core.coded import CodedError
from feature_runtime.core.encode import Encoded
from feature_runtime.core.moments import format_moment
from feature_runtime.core.policy import policy_table
from feature_runtime.core.record import (
    SCHEMA,
    FeatureRead,
    PredictionRecord,
    ViewRead,
    field_value,
)
from feature_runtime.core.release import Release
from feature_runtime.core.traffic import former_arm
from feature_runtime.serving.lookup import Lookup, Winner
from feature_runtime.serving.outcome import Outcome
from feature_runtime.serving.request import ScoringRequest

_MIN_KEY = 16


class HashKeyError(CodedError):
    """The plan wants entity keys hashed, and the key for that is missing or too short."""


class Recorder:
    """Makes the records of a release.

    hash_key: needed where the plan hashes entity keys. pod: the name of this pod.
    """

    def __init__(self, release: Release, hash_key: bytes | None, pod: str) -> None:
        service = release.service
        if service.hash_entity_keys and (hash_key is None or len(hash_key) < _MIN_KEY):
            found = "no key" if hash_key is None else f"{len(hash_key)} bytes"
            raise HashKeyError(
                f"--hash-key-file: found {found}, wanted at least {_MIN_KEY} bytes (the plan says "
                "prediction_log.hash_entity_keys)",
                code="hash_key_missing",
            )
        self._hash_key = hash_key if service.hash_entity_keys else None
        self._service = service
        self._policies = policy_table(service).policies
        self._names = tuple(map(str, service.consumed))
        views = [view.name for view in service.views]
        self._positions = tuple(
            (
                views.index(view),
                [f.name for f in service.view_by_name[view].features].index(feature),
            )
            for view, feature in service.consumed
        )
        self._fields = service.sent_fields
        self._pod = pod
        self._threshold = service.decision.threshold
        self._release = release.id
        self._model = release.model
        self._service_digest = release.digests["service"]
        self._model_digest = release.digests["model"]

    def records(
        self,
        request: ScoringRequest,
        lookup: Lookup,
        encoded: Encoded,
        outcome: Outcome,
        latency_us: dict[str, int],
    ) -> Iterator[PredictionRecord]:
        """One record a row, in order; made when it is asked for, so that few exist at once."""
        for i in range(request.size):
            yield self._row(i, request, lookup, encoded, outcome, latency_us)

    def _row(
        self,
        i: int,
        request: ScoringRequest,
        lookup: Lookup,
        encoded: Encoded,
        outcome: Outcome,
        latency_us: dict[str, int],
    ) -> PredictionRecord:
        views = zip(self._service.views, lookup.winners[i], strict=True)
        return {
            "schema": SCHEMA,
            "request_id": request.request_id,
            "client_request_id": request.client_request_id,
            "traffic": request.traffic,
            "arm": former_arm(request.traffic),
            "protocol": request.protocol,
            "pod": self._pod,
            "index": i,
            "scored_at": format_moment(int(outcome.at[i])),
            "event_ts": format_moment(int(request.event_ts[i])),
            "release": self._release,
            "model": self._model,
            "service_digest": self._service_digest,
            "model_digest": self._model_digest,
            "contract_digest": self._service_digest,
            "entities": {name: self._entity(name, ids[i]) for name, ids in request.ids.items()},
            "request": {f.name: field_value(f, request.fields[f.name][i]) for f in self._fields},
            "views": {view.name: _view(winner) for view, winner in views},
            "features": self._features(i, lookup, encoded),
            "vector": encoded.vector[i].tolist(),
            "probability": outcome.probability_of(i),
            "threshold": self._threshold,
            "decision": outcome.decisions[i],
            "fallback_reason": outcome.reasons[i],
            "latency_us": latency_us,
        }

    def _entity(self, name: str, value: int | str) -> int | str:
        if self._hash_key is None:
            return value
        return hmac.new(self._hash_key, f"{name}:{value}".encode(), hashlib.sha256).hexdigest()

    def _features(self, i: int, lookup: Lookup, encoded: Encoded) -> dict[str, FeatureRead]:
        winners, features = lookup.winners[i], {}
        replaced, status = encoded.applied.replaced[i].tolist(), lookup.status[i].tolist()
        for k, name in enumerate(self._names):
            view, position = self._positions[k]
            row = winners[view].row
            one: FeatureRead = {
                "value": None if row is None else row.values[position],
                "status": Status(status[k]).name,
            }
            if replaced[k]:
                one["default"] = self._policies[k].value
                one["reason"] = self._policies[k].reason
            features[name] = one
        return features


def _view(winner: Winner) -> ViewRead:
    row = winner.row
    return {
        "status": winner.status.name,
        "event_ts": None if row is None else format_moment(row.event_ts),
        "created_ts": None if row is None else format_moment(row.created_ts),
        "run_id": None if row is None else row.run_id,
    }
