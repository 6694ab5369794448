"""V2 over HTTP: tensors in JSON, or as binary behind it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from feature_runtime.core.record import Protocol
from feature_runtime.core.traffic import Traffic
from feature_runtime.serving.codecs.tensors import (
    OUTPUTS,
    batch_size,
    check_datatype,
    check_extensions,
    check_names_once,
    check_outputs,
    raw_output,
    raw_values,
    text_output,
)
from feature_runtime.serving.codecs.values import (
    HttpMessage,
    HttpReply,
    column_of,
    json_object,
    kind_of,
)
from feature_runtime.serving.errors import bad_input, shown
from feature_runtime.serving.outcome import Answer
from feature_runtime.serving.request import (
    Columns,
    Inputs,
    ScoringRequest,
    Served,
    check_client_id,
    request_id,
)

_KEYS = ("id", "inputs", "model_name", "model_version", "outputs", "parameters")


@dataclass(frozen=True)
class AnswerForm:
    """What a V2 client wants back: its id, which outputs, and which of them as bytes."""

    id: str | None = None
    outputs: tuple[str, ...] = tuple(OUTPUTS)
    binary: frozenset[str] = frozenset()


@dataclass(frozen=True)
class V2Call:
    """A V2 infer call, and the form that its answer must have."""

    request: ScoringRequest
    form: AnswerForm


class V2Codec:
    """V2 infer of one listener."""

    protocol: Protocol = "v2"

    def __init__(self, inputs: Inputs, served: Served, traffic: Traffic) -> None:
        self._inputs = inputs
        self._served = served
        self._traffic = traffic

    def decode(self, message: HttpMessage) -> V2Call:
        """A body as a request; the header's request id wins over the body's id."""
        columns, form = parse(self._inputs, self._served, message.body, message.json_length)
        named = request_id(message.request_id, form.id)
        request = self._inputs.request(columns, named, self._traffic, self.protocol, form.id)
        return V2Call(request, form)

    def encode(self, call: V2Call, answer: Answer) -> HttpReply:
        """The outputs asked for: values in JSON, or raw bytes behind the JSON."""
        tensors, tail = [], []
        for output in call.form.outputs:
            tensor: dict[str, Any] = {
                "name": output,
                "shape": [len(answer.outcome.decisions), 1],
                "datatype": OUTPUTS[output],
            }
            if output in call.form.binary:
                raw = raw_output(output, answer)
                tensor["parameters"] = {"binary_data_size": len(raw)}
                tail.append(raw)
            else:
                tensor["data"] = _json_values(output, answer)
            tensors.append(tensor)
        head = orjson.dumps(
            {
                "model_name": self._served.name,
                "model_version": self._served.version,
                "id": call.form.id or answer.request_id,
                "parameters": answer.parameters,
                "outputs": tensors,
            }
        )
        body = b"".join([head, *tail])
        return HttpReply(body, answer.request_id, len(head) if tail else None)


def parse(
    inputs: Inputs, served: Served, body: bytes, json_length: str | None
) -> tuple[Columns, AnswerForm]:
    """A V2 body as columns, and the form of its answer.

    json_length: the header Inference-Header-Content-Length, where the body carries binary
    tensors behind its JSON.
    """
    head, tail = _split_binary(body, json_length)
    document = json_object(head)
    for key in sorted(document.keys() - _KEYS):
        wanted = f"one of {list(_KEYS)}"
        raise bad_input("unknown_key", shown(key), "an unknown key", wanted)
    _check_model(document, served)
    form = _form(document)
    tensors = document.get("inputs")
    if not isinstance(tensors, list) or not all(isinstance(t, dict) for t in tensors):
        raise bad_input("wrong_type", "inputs", kind_of(tensors), "a list of tensors")
    return _columns(inputs, tensors, tail), form


def _columns(inputs: Inputs, tensors: list[dict[str, Any]], tail: memoryview) -> Columns:
    names = _names(inputs, tensors)
    columns, at = {}, 0
    size = batch_size(inputs, [(n, t.get("shape")) for n, t in zip(names, tensors, strict=True)])
    for name, tensor in zip(names, tensors, strict=True):
        spec = inputs.by_name[name]
        check_datatype(spec, tensor.get("datatype"))
        binary = _binary_size(name, tensor)
        if binary is None:
            columns[name] = column_of(spec, _flat(name, tensor.get("data"), size))
        elif "data" in tensor or at + binary > len(tail):
            wanted = f"binary_data_size {binary}, no data"
            raise bad_input("wrong_binary_size", name, f"{len(tail) - at} bytes", wanted)
        else:
            columns[name] = raw_values(spec, tail[at : at + binary], size)
            at += binary
    if at != len(tail):
        raise bad_input("wrong_binary_size", "body", f"{len(tail)} binary bytes", f"{at}")
    return columns


def _names(inputs: Inputs, tensors: list[dict[str, Any]]) -> list[str]:
    names = [tensor.get("name") for tensor in tensors]
    for name in names:
        if not isinstance(name, str):
            raise bad_input("wrong_type", "inputs.name", kind_of(name), "a string")
    texts = [str(name) for name in names]
    check_names_once(inputs, texts)
    return texts


def _flat(name: str, data: Any, size: int) -> list[Any]:
    """Row-major data, nested as [[v], [v]] or flat, as a list of `size` values."""
    if not isinstance(data, list):
        raise bad_input("wrong_type", f"{name}.data", kind_of(data), "a list")
    flat = [v[0] if isinstance(v, list) and len(v) == 1 else v for v in data]
    if len(flat) != size:
        found, wanted = f"{len(flat)} values", f"{size} for its shape"
        raise bad_input("wrong_value_count", f"{name}.data", found, wanted)
    return flat


def _check_model(document: Mapping[str, Any], served: Served) -> None:
    """Some clients say in the body what the URL says already: it must be the same."""
    name, version = _text(document, "model_name"), _text(document, "model_version")
    if name and name != served.name:
        found, wanted = shown(name), f"{served.name}, as in the URL"
        raise bad_input("model_name_mismatch", "model_name", found, wanted)
    served.check(served.name, version)


def _text(document: Mapping[str, Any], key: str) -> str | None:
    value = document.get(key)
    if value is not None and not isinstance(value, str):
        raise bad_input("wrong_type", key, kind_of(value), "a string")
    return value


def _form(document: Mapping[str, Any]) -> AnswerForm:
    given, outputs = _text(document, "id"), document.get("outputs") or []
    check_client_id(given or "")
    if not isinstance(outputs, list) or not all(isinstance(o, dict) for o in outputs):
        raise bad_input("wrong_type", "outputs", kind_of(outputs), "a list of objects")
    names = check_outputs([o.get("name") for o in outputs])
    every = _parameters(document).get("binary_data_output") is True
    binary = {o.get("name"): _tensor_parameters(o).get("binary_data", every) for o in outputs}
    return AnswerForm(given, names, frozenset(n for n in names if binary.get(n, every) is True))


def _parameters(holder: Mapping[str, Any]) -> Mapping[str, Any]:
    parameters = holder.get("parameters")
    if parameters is None:
        return {}
    if not isinstance(parameters, dict):
        raise bad_input("wrong_type", "parameters", kind_of(parameters), "an object")
    return parameters


def _tensor_parameters(tensor: Mapping[str, Any]) -> Mapping[str, Any]:
    parameters = _parameters(tensor)
    check_extensions(parameters)
    return parameters


def _binary_size(name: str, tensor: Mapping[str, Any]) -> int | None:
    size = _tensor_parameters(tensor).get("binary_data_size")
    if size is not None and (type(size) is not int or size < 0):
        field = f"{name}.parameters.binary_data_size"
        raise bad_input("wrong_type", field, shown(size), "a number of bytes")
    return size


def _split_binary(body: bytes, json_length: str | None) -> tuple[bytes, memoryview]:
    if json_length is None:
        return body, memoryview(b"")
    # A number of more digits than the body's length has is larger, and may be too long to convert.
    too_long = len(json_length) > len(str(len(body)))
    if not json_length.isdecimal() or too_long or int(json_length) > len(body):
        wanted = f"a number up to {len(body)}, the size of the body"
        raise bad_input(
            "wrong_json_length", "inference-header-content-length", shown(json_length), wanted
        )
    return body[: int(json_length)], memoryview(body)[int(json_length) :]


def _json_values(output: str, answer: Answer) -> list[Any]:
    """An output's values for JSON: null is the probability of a rejected row."""
    if output == "probability":
        return answer.outcome.probabilities
    return [text.decode() for text in text_output(output, answer)]
