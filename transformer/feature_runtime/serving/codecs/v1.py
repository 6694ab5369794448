"""V1 JSON: `{"instances": [{input: value, ...}, ...]}` and `{"predictions": [...], ...}`."""

from __future__ import annotations

from dataclasses import dataclass

import orjson

from feature_runtime.core.record import Protocol
from feature_runtime.core.traffic import Traffic
from feature_runtime.serving.codecs.values import (
    HttpMessage,
    HttpReply,
    column_of,
    json_object,
    kind_of,
)
from feature_runtime.serving.errors import bad_input, shown
from feature_runtime.serving.outcome import Answer
from feature_runtime.serving.request import Columns, Inputs, ScoringRequest, request_id


@dataclass(frozen=True)
class V1Call:
    """A V1 predict call: its answer has one form."""

    request: ScoringRequest


class V1Codec:
    """V1 predict of one listener."""

    protocol: Protocol = "v1"

    def __init__(self, inputs: Inputs, traffic: Traffic) -> None:
        self._inputs = inputs
        self._traffic = traffic

    def decode(self, message: HttpMessage) -> V1Call:
        """A body as a request."""
        columns = columns_of(self._inputs, message.body)
        named = request_id(message.request_id)
        return V1Call(self._inputs.request(columns, named, self._traffic, self.protocol))

    def encode(self, call: V1Call, answer: Answer) -> HttpReply:  # noqa: ARG002
        """A prediction a row, with its status as an object."""
        outcome = answer.outcome
        rows = zip(outcome.probabilities, outcome.decisions, outcome.statuses, strict=True)
        predictions = [
            {"probability": p, "decision": d, "status": orjson.Fragment(s)} for p, d, s in rows
        ]
        body = orjson.dumps({"predictions": predictions, **answer.parameters})
        return HttpReply(body, answer.request_id)


def columns_of(inputs: Inputs, body: bytes) -> Columns:
    """The instances of a body as columns."""
    document = json_object(body)
    instances = document.pop("instances", None)
    if document:
        raise bad_input("unknown_key", shown(min(document)), "an unknown key", "instances alone")
    if not isinstance(instances, list):
        raise bad_input("wrong_type", "instances", kind_of(instances), "a list of objects")
    inputs.check_size(len(instances))
    for i, instance in enumerate(instances):
        if not isinstance(instance, dict):
            raise bad_input("wrong_type", f"instances[{i}]", kind_of(instance), "an object")
        inputs.check_names(instance, f"instances[{i}].")
    return {
        spec.name: column_of(spec, [instance.get(spec.name) for instance in instances])
        for spec in inputs.all
    }
