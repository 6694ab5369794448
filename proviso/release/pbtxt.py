"""A reader for config.pbtxt: protobuf's text format, as far as Triton's model configurations go.

The checks compare what a release's config says with what the plan asks for, field by field, so
that a refusal names the field and not a digest.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

Message = dict[str, list["Value"]]
"""Every field with all its values: text format repeats a field to make a list."""
Value = str | Message

_TOKEN = re.compile(r'\s+|#[^\n]*|(?P<token>"[^"\\\n]*"|[A-Za-z0-9_.+-]+|[{}\[\]:,;])')
_END = ""
_MAX_DEPTH = 20


class PbtxtError(ValueError):
    """Not text format, or more of it than a model configuration needs."""


def parse_pbtxt(text: str) -> Message:
    """The fields of a message; strings without their quotes. Raises PbtxtError."""
    tokens = [*_tokens(text), _END]
    message, at = _fields(tokens, 0, 0)
    if tokens[at] != _END:
        raise PbtxtError(f"found {tokens[at]!r}, wanted a field name")
    return message


def flat(message: Message, path: str = "") -> dict[str, str]:
    """Every leaf by its path; an entry of a list goes by its `name` or `key`, where it has one."""
    leaves: dict[str, str] = {}
    for name, values in message.items():
        for position, value in enumerate(values):
            place = f"{path}{name}{_which(value, position, len(values))}"
            if isinstance(value, str):
                leaves[place] = value
            else:
                leaves |= flat(value, f"{place}.") or {place: "{}"}
    return leaves


def _which(value: Value, position: int, count: int) -> str:
    if isinstance(value, dict):
        for naming in ("name", "key"):
            if naming in value and isinstance(value[naming][0], str):
                return f"[{value[naming][0]}]"
    return f"[{position}]" if count > 1 else ""


def _tokens(text: str) -> Iterator[str]:
    at = 0
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            raise PbtxtError(f"found {text[at : at + 20]!r}, wanted protobuf text format")
        if found["token"] is not None:
            yield found["token"]
        at = found.end()


def _fields(tokens: list[str], at: int, depth: int) -> tuple[Message, int]:
    if depth > _MAX_DEPTH:
        raise PbtxtError(f"found more than {_MAX_DEPTH} levels, wanted a model configuration")
    message: Message = {}
    while re.fullmatch(r"[A-Za-z_]\w*", tokens[at]):
        name, at = tokens[at], at + 1
        values, at = _values(tokens, _past(tokens, at, ":"), depth)
        message.setdefault(name, []).extend(values)
        at = _past(tokens, at, ",", ";")
    return message, at


def _values(tokens: list[str], at: int, depth: int) -> tuple[list[Value], int]:
    if tokens[at] != "[":
        value, at = _value(tokens, at, depth)
        return [value], at
    values: list[Value] = []
    at += 1
    while tokens[at] != "]":
        value, at = _value(tokens, at, depth)
        values.append(value)
        at = _past(tokens, at, ",")
    return values, at + 1


def _value(tokens: list[str], at: int, depth: int) -> tuple[Value, int]:
    token = tokens[at]
    if token == "{":
        message, at = _fields(tokens, at + 1, depth + 1)
        if tokens[at] != "}":
            raise PbtxtError(f"found {tokens[at] or 'the end'!r}, wanted the end of a message")
        return message, at + 1
    if token == _END:
        raise PbtxtError("found the end of the file, wanted more of a message")
    if token in "}]:,;[":
        raise PbtxtError(f"found {token!r}, wanted a value")
    return token.strip('"'), at + 1


def _past(tokens: list[str], at: int, *optional: str) -> int:
    return at + 1 if tokens[at] in optional else at
