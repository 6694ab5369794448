"""Tensors of the V2 protocol, for JSON, binary and gRPC: names, shapes and raw bytes."""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from feature_runtime.serving.errors import bad_input, shown
from feature_runtime.serving.outcome import Answer
from feature_runtime.serving.request import Input, Inputs

OUTPUTS: Mapping[str, str] = {"probability": "FP64", "decision": "BYTES", "status": "BYTES"}
"""Output tensors [n, 1] and their datatypes, in order."""

_EXTENSIONS = frozenset({"classification", "shared_memory_region"})
"""Parameters by which Triton's extensions take or give tensors in another form."""

_LENGTH = struct.Struct("<I")


def check_names_once(inputs: Inputs, names: Sequence[str]) -> None:
    """Refuses unknown, missing and repeated tensors."""
    inputs.check_names(names, "inputs.")
    if len(names) != len(set(names)):
        raise bad_input(
            "input_repeated", f"inputs.{_repeated(names)}", "it twice", "every input once"
        )


def check_outputs(names: Sequence[Any]) -> tuple[str, ...]:
    """The outputs asked for, each once; all of them where none is named.

    An output named a thousand times would be answered a thousand times.
    """
    for name in names:
        if not isinstance(name, str) or name not in OUTPUTS:
            raise bad_input("unknown_output", "outputs", shown(name), f"one of {list(OUTPUTS)}")
    if len(names) != len(set(names)):
        raise bad_input(
            "output_repeated", f"outputs.{_repeated(names)}", "it twice", "every output once"
        )
    return tuple(names) or tuple(OUTPUTS)


def _repeated(names: Sequence[str]) -> str:
    return next(name for name, times in Counter(names).items() if times > 1)


def check_extensions(parameters: Iterable[str]) -> None:
    """Refuses what would make an answer mean something else; other parameters are ignored."""
    for name in _EXTENSIONS.intersection(parameters):
        wanted = "values in the message: the server's metadata names the extensions that it serves"
        raise bad_input("extension_not_served", f"parameters.{name}", "it", wanted)


def check_datatype(spec: Input, datatype: Any) -> None:
    """Refuses a tensor of another datatype than its input's."""
    if datatype != spec.datatype:
        raise bad_input("wrong_datatype", f"{spec.name}.datatype", shown(datatype), spec.datatype)


def batch_size(inputs: Inputs, shapes: Sequence[tuple[str, Any]]) -> int:
    """The n that all shapes [n, 1] share; refuses any other shape."""
    first = shapes[0][1]
    size = first[0] if isinstance(first, list) and first else None
    for name, shape in shapes:
        if shape != [size, 1] or type(size) is not int or type(shape[1]) is not int:
            wanted = "[n, 1]" if type(size) is not int else f"[{size}, 1] like {shapes[0][0]}"
            raise bad_input("wrong_shape", f"{name}.shape", shown(shape), wanted)
    inputs.check_size(int(size or 0))
    return int(size or 0)


def raw_values(spec: Input, raw: bytes | memoryview, size: int) -> Any:
    """`size` values of a tensor's raw bytes, as Triton lays them out."""
    if spec.datatype == "BYTES":
        return texts(spec, _split_strings(spec, bytes(raw), size))
    width = 1 if spec.datatype == "BOOL" else 8
    if len(raw) != width * size:
        wanted = f"{width * size} for {size} {spec.datatype}"
        raise bad_input("wrong_value_count", spec.name, f"{len(raw)} bytes", wanted)
    if spec.datatype == "BOOL":
        return _truths(spec, bytes(raw))
    array = np.frombuffer(raw, dtype="<f8" if spec.datatype == "FP64" else "<i8")
    return array.astype(np.float64) if spec.datatype == "FP64" else array.tolist()


def _truths(spec: Input, raw: bytes) -> list[bool]:
    """A byte each, 0 or 1."""
    for i, byte in enumerate(raw):
        if byte > 1:
            raise bad_input("invalid_bool", f"{spec.name}[{i}]", f"byte {byte}", "byte 0 or 1")
    return [byte == 1 for byte in raw]


def texts(spec: Input, values: Sequence[bytes]) -> list[str]:
    """UTF-8 bytes as text."""
    try:
        return [value.decode() for value in values]
    except UnicodeDecodeError as error:
        raise bad_input("invalid_utf8", spec.name, shown(error.object[:40]), "UTF-8") from None


def raw_strings(values: Sequence[bytes]) -> bytes:
    """Texts as the raw bytes of a BYTES tensor."""
    return b"".join(part for text in values for part in (_LENGTH.pack(len(text)), text))


def raw_output(output: str, answer: Answer) -> bytes:
    """An output's raw bytes; the probability of a rejected row is NaN."""
    if output == "probability":
        return answer.outcome.probability.astype("<f8").tobytes()
    return raw_strings(text_output(output, answer))


def text_output(output: str, answer: Answer) -> Sequence[bytes]:
    """The values of a BYTES output."""
    if output == "status":
        return answer.outcome.statuses
    return [decision.encode() for decision in answer.outcome.decisions]


def _split_strings(spec: Input, raw: bytes, size: int) -> list[bytes]:
    values, at = [], 0
    for _ in range(size):
        start = at + _LENGTH.size
        if start > len(raw):
            break
        at = start + _LENGTH.unpack_from(raw, at)[0]
        values.append(raw[start:at])
    if len(values) != size or at != len(raw):
        wanted = f"{size} strings, each behind its 4-byte length"
        raise bad_input(
            "invalid_raw_strings", spec.name, f"{len(raw)} bytes that do not split up", wanted
        )
    return values
