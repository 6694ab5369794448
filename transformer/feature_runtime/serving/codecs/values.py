"""JSON of a request body as columns of plain values, for V1 and V2."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson

from feature_runtime.serving.errors import bad_input, shown
from feature_runtime.serving.request import Input

_INT64 = range(-(2**63), 2**63)

_FITS: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "FP64": (lambda v: type(v) is float or type(v) is int, "a number"),
    "INT64": (lambda v: type(v) is int and v in _INT64, "a 64-bit integer"),
    "BOOL": (lambda v: type(v) is bool, "true or false"),
    "BYTES": (lambda v: type(v) is str, "a string"),
}
"""Which JSON values an input of a datatype takes, and their name for an error."""


@dataclass(frozen=True)
class HttpMessage:
    """A request's body, with x-request-id and inference-header-content-length (json_length)."""

    body: bytes
    request_id: str | None = None
    json_length: str | None = None


@dataclass(frozen=True)
class HttpReply:
    """An answer's body. json_length: of the JSON before binary tensors, where there are some."""

    body: bytes
    request_id: str
    json_length: int | None = None


def json_object(body: bytes) -> dict[str, Any]:
    """The JSON object that a body is."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        wanted = "a JSON object in UTF-8"
        raise bad_input("invalid_json", "body", f"invalid JSON ({error})", wanted) from None
    if not isinstance(document, dict):
        raise bad_input("wrong_type", "body", kind_of(document), "a JSON object")
    _check_keys_once(body, document)
    return document


def _check_keys_once(body: bytes, document: dict[str, Any]) -> None:
    """Refuses an object that has a key twice, of which orjson keeps the last.

    A text without a backslash has every string as the document has it, so both have equally many
    colons unless a pair was dropped: that costs a tenth of reading it again pair by pair.
    """
    try:
        if b"\\" not in body and body.count(b":") == orjson.dumps(document).count(b":"):
            return
        # Numbers stay text: an integer of over 4,300 digits is an error of Python's.
        json.loads(body, object_pairs_hook=_keys_once, parse_int=str, parse_float=str)
    except (orjson.JSONEncodeError, RecursionError):  # orjson writes fewer levels than it reads
        found, wanted = "too many levels of nesting", "a JSON object in UTF-8"
        raise bad_input("invalid_json", "body", found, wanted) from None


def _keys_once(pairs: list[tuple[str, Any]]) -> None:
    seen = set()
    for key, _ in pairs:
        if key in seen:
            raise bad_input(
                "json_key_repeated", shown(key), "the key twice in an object", "it once"
            )
        seen.add(key)


def column_of(spec: Input, values: list[Any]) -> Any:
    """JSON values as a column; refuses values of another type, and null where it may not be."""
    fits, wanted = _FITS[spec.datatype]
    _check_each(spec, values, fits, wanted)
    return np.array(values, dtype=np.float64) if spec.datatype == "FP64" else values


def kind_of(value: Any) -> str:
    """What a JSON value is, for an error."""
    names = {dict: "an object", list: "a list", str: "a string", bool: "a boolean"}
    names |= {int: "an integer", float: "a number", type(None): "nothing"}
    return names.get(type(value), "something else")


def _check_each(spec: Input, values: list[Any], fits: Callable[[Any], bool], wanted: str) -> None:
    for i, value in enumerate(values):
        if not fits(value) and not (value is None and spec.nullable):
            wanted += " or null" if spec.nullable else ""
            found = f"{kind_of(value)} {shown(value)}"
            raise bad_input("wrong_type", f"{spec.name}[{i}]", found, wanted)
