"""V1 and V2 JSON, and the V2 binary form, to columns of plain values.

`parse_v1` and `parse_v2` read bodies; the tensor readers at the end serve gRPC as well
(rpc.py). They only read: what the values mean is checked in request.py.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson

from feature_runtime.serving.errors import bad_input, shown
from feature_runtime.serving.request import Columns, Input, Inputs

OUTPUTS: Mapping[str, str] = {"probability": "FP64", "decision": "BYTES", "status": "BYTES"}
"""Output tensors [n, 1] and their datatypes, in order."""

_LENGTH = struct.Struct("<I")
_INT64 = range(-(2**63), 2**63)


@dataclass(frozen=True)
class Asked:
    """What a V2 client wants back: its id, which outputs, and which of them as bytes."""

    id: str | None = None
    outputs: tuple[str, ...] = tuple(OUTPUTS)
    binary: frozenset[str] = frozenset()


def parse_v1(inputs: Inputs, body: bytes) -> Columns:
    """`{"instances": [{input: value, ...}, ...]}` to columns."""
    document = _json_object(body)
    instances = document.pop("instances", None)
    if document:
        raise bad_input(shown(min(document)), "an unknown key", "instances alone")
    if not isinstance(instances, list):
        raise bad_input("instances", _kind(instances), "a list of objects")
    inputs.check_size(len(instances))
    for i, instance in enumerate(instances):
        if not isinstance(instance, dict):
            raise bad_input(f"instances[{i}]", _kind(instance), "an object")
        inputs.check_names(instance, f"instances[{i}].")
    return {
        spec.name: values_of(spec, [instance[spec.name] for instance in instances])
        for spec in inputs.all
    }


def parse_v2(inputs: Inputs, body: bytes, json_length: str | None) -> tuple[Columns, Asked]:
    """A V2 request to columns and what the client asked for.

    json_length: the header Inference-Header-Content-Length, where the body carries binary
    tensors behind its JSON.
    """
    head, tail = _split_binary(body, json_length)
    document = _json_object(head)
    for key in document.keys() - {"id", "inputs", "outputs", "parameters"}:
        raise bad_input(shown(key), "an unknown key", "id, inputs, outputs, parameters")
    asked = _asked(document)
    tensors = document.get("inputs")
    if not isinstance(tensors, list) or not all(isinstance(t, dict) for t in tensors):
        raise bad_input("inputs", _kind(tensors), "a list of tensors")
    return _v2_columns(inputs, tensors, tail), asked


def _v2_columns(inputs: Inputs, tensors: list[dict[str, Any]], tail: memoryview) -> Columns:
    named = _named_once(inputs, [t.get("name") for t in tensors])
    columns, at = {}, 0
    size = batch_size(inputs, [(n, t.get("shape")) for n, t in zip(named, tensors, strict=True)])
    for name, tensor in zip(named, tensors, strict=True):
        spec = inputs.by_name[name]
        _check_datatype(spec, tensor.get("datatype"))
        binary = _binary_size(name, tensor)
        if binary is None:
            columns[name] = values_of(spec, _flat(name, tensor.get("data"), size))
        elif "data" in tensor or at + binary > len(tail):
            raise bad_input(name, f"{len(tail) - at} bytes", f"binary_data_size {binary}, no data")
        else:
            columns[name] = raw_values(spec, tail[at : at + binary], size)
            at += binary
    if at != len(tail):
        raise bad_input("body", f"{len(tail)} binary bytes", f"{at}")
    return columns


def batch_size(inputs: Inputs, shapes: Sequence[tuple[str, Any]]) -> int:
    """The n that all shapes [n, 1] share; refuses any other shape."""
    first = shapes[0][1]
    size = first[0] if isinstance(first, list) and first else None
    for name, shape in shapes:
        if shape != [size, 1] or type(size) is not int or type(shape[1]) is not int:
            wanted = "[n, 1]" if type(size) is not int else f"[{size}, 1] like {shapes[0][0]}"
            raise bad_input(f"{name}.shape", shown(shape), wanted)
    inputs.check_size(int(size or 0))
    return int(size or 0)


def values_of(spec: Input, values: list[Any]) -> Any:
    """JSON values as a column; refuses values of another type."""
    if spec.datatype == "FP64":
        _check_each(spec, values, lambda v: type(v) is float or type(v) is int, "a number")
        return np.array(values, dtype=np.float64)
    if spec.datatype == "INT64":
        _check_each(spec, values, lambda v: type(v) is int and v in _INT64, "a 64-bit integer")
    else:
        _check_each(spec, values, lambda v: type(v) is str, "a string")
    return values


def raw_values(spec: Input, raw: bytes | memoryview, size: int) -> Any:
    """`size` values of a tensor's raw bytes, as Triton lays them out."""
    if spec.datatype == "BYTES":
        return texts(spec, _raw_strings(spec, bytes(raw), size))
    if len(raw) != 8 * size:
        raise bad_input(spec.name, f"{len(raw)} bytes", f"{8 * size} for {size} {spec.datatype}")
    kind = "<f8" if spec.datatype == "FP64" else "<i8"
    array = np.frombuffer(raw, dtype=kind)
    return array.astype(np.float64) if spec.datatype == "FP64" else array.tolist()


def texts(spec: Input, values: Sequence[bytes]) -> list[str]:
    """UTF-8 bytes as text."""
    try:
        return [value.decode() for value in values]
    except UnicodeDecodeError as error:
        raise bad_input(spec.name, shown(error.object[:40]), "UTF-8") from None


def raw_strings(values: Sequence[str]) -> bytes:
    """Text as the raw bytes of a BYTES tensor."""
    encoded = [value.encode() for value in values]
    return b"".join(part for text in encoded for part in (_LENGTH.pack(len(text)), text))


def check_names_once(inputs: Inputs, names: Sequence[str]) -> None:
    """Refuses unknown, missing and repeated tensors."""
    inputs.check_names(names, "inputs.")
    if len(names) != len(inputs.all):
        twice = next(n for n in names if names.count(n) > 1)
        raise bad_input(f"inputs.{twice}", "it twice", "every input once")


def check_outputs(names: Sequence[Any]) -> tuple[str, ...]:
    """The outputs asked for; all of them where none is named."""
    for name in names:
        if not isinstance(name, str) or name not in OUTPUTS:
            raise bad_input("outputs", shown(name), f"of {list(OUTPUTS)}")
    return tuple(names) or tuple(OUTPUTS)


def _named_once(inputs: Inputs, names: list[Any]) -> list[str]:
    for name in names:
        if not isinstance(name, str):
            raise bad_input("inputs.name", _kind(name), "a string")
    check_names_once(inputs, names)
    return names


def _check_datatype(spec: Input, found: Any) -> None:
    if found != spec.datatype:
        raise bad_input(f"{spec.name}.datatype", shown(found), spec.datatype)


def _check_each(spec: Input, values: list[Any], fits: Callable[[Any], bool], wanted: str) -> None:
    for i, value in enumerate(values):
        if not fits(value):
            raise bad_input(f"{spec.name}[{i}]", f"{_kind(value)} {shown(value)}", wanted)


def _flat(name: str, data: Any, size: int) -> list[Any]:
    """Row-major data, nested as [[v], [v]] or flat, as a list of `size` values."""
    if not isinstance(data, list):
        raise bad_input(f"{name}.data", _kind(data), "a list")
    flat = [v[0] if isinstance(v, list) and len(v) == 1 else v for v in data]
    if len(flat) != size:
        raise bad_input(f"{name}.data", f"{len(flat)} values", f"{size} for its shape")
    return flat


def _asked(document: Mapping[str, Any]) -> Asked:
    given, outputs = document.get("id"), document.get("outputs") or []
    if given is not None and not isinstance(given, str):
        raise bad_input("id", _kind(given), "a string")
    if not isinstance(outputs, list) or not all(isinstance(o, dict) for o in outputs):
        raise bad_input("outputs", _kind(outputs), "a list of objects")
    names = check_outputs([o.get("name") for o in outputs])
    every = _parameters(document).get("binary_data_output") is True
    binary = {o.get("name"): _parameters(o).get("binary_data", every) for o in outputs}
    return Asked(given, names, frozenset(n for n in names if binary.get(n, every) is True))


def _parameters(holder: Mapping[str, Any]) -> Mapping[str, Any]:
    parameters = holder.get("parameters", {})
    if not isinstance(parameters, dict):
        raise bad_input("parameters", _kind(parameters), "an object")
    return parameters


def _binary_size(name: str, tensor: Mapping[str, Any]) -> int | None:
    size = _parameters(tensor).get("binary_data_size")
    if size is not None and (type(size) is not int or size < 0):
        raise bad_input(f"{name}.parameters.binary_data_size", shown(size), "a number of bytes")
    return size


def _split_binary(body: bytes, json_length: str | None) -> tuple[bytes, memoryview]:
    if json_length is None:
        return body, memoryview(b"")
    if not json_length.isdecimal() or int(json_length) > len(body):
        wanted = f"a number up to {len(body)}, the size of the body"
        raise bad_input("inference-header-content-length", shown(json_length), wanted)
    return body[: int(json_length)], memoryview(body)[int(json_length) :]


def _json_object(body: bytes) -> dict[str, Any]:
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise bad_input("body", f"no JSON ({error})", "a JSON object in UTF-8") from None
    if not isinstance(document, dict):
        raise bad_input("body", _kind(document), "a JSON object")
    return document


def _raw_strings(spec: Input, raw: bytes, size: int) -> list[bytes]:
    values, at = [], 0
    for _ in range(size):
        start = at + _LENGTH.size
        if start > len(raw):
            break
        at = start + _LENGTH.unpack_from(raw, at)[0]
        values.append(raw[start:at])
    if len(values) != size or at != len(raw):
        wanted = f"{size} strings, each behind its 4-byte length"
        raise bad_input(spec.name, f"{len(raw)} bytes that do not split up", wanted)
    return values


def _kind(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "a string", bool: "a boolean"}
    names |= {int: "an integer", float: "a number", type(None): "nothing"}
    return names.get(type(value), "something else")
