"""Parses a stream's message as a transaction of the contract.

One field per column of the source, as text; an empty or absent one is null. The rules are those of
a file of transactions; an invalid message is refused alone and the others are processed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import NamedTuple

from feature_runtime.core.encode import MODEL_LIMIT
from feature_runtime.core.keys import STRING_ID, EntityId, valid_id
from feature_runtime.core.moments import parse_moment
from proviso.contracts.contract import Contract
from proviso.contracts.sources import Column
from proviso.history.values import MAX_MOMENT
from proviso.online.stream.valkey import Message

MAX_BYTES = 65_536
_INTEGER = re.compile(r"[+-]?[0-9]{1,19}")
_TRUTHS = {"0": False, "false": False, "1": True, "true": True}
Value = int | float | bool | Decimal


class ReceivedTransaction(NamedTuple):
    """A transaction of a message; moments in microseconds.

    read_at: when the reading of its message began. received_at: when the message was there.
    """

    id: str
    event: int
    arrival: int
    keys: Mapping[str, EntityId]
    columns: Mapping[str, Value]
    label: bool | None
    known: int | None
    message: str
    read_at: int
    received_at: int = 0


def parse_transaction(
    contract: Contract, message: Message, read_at: int, latest: int
) -> ReceivedTransaction:
    """The transaction of a message. Raises ValueError, with the reason.

    latest: the last moment that is not in the future.
    """
    size = sum(len(name) + len(value) for name, value in message.fields.items())
    if size > MAX_BYTES:
        raise ValueError(f"found {size} bytes, wanted at most {MAX_BYTES}")
    fields = {name.decode(): value.decode() for name, value in message.fields.items()}
    source = contract.observations_of()
    event = _moment(fields, source.event_timestamp, latest)
    if event is None:
        raise ValueError(f"{source.event_timestamp}: found nothing, wanted a moment")
    arrival = _moment(fields, source.arrival_timestamp, latest)
    label = fields.get(source.label.column) or None
    if label is not None and label.lower() not in _TRUTHS:
        raise ValueError(f"{source.label.column}: found another value, wanted 0, 1 or nothing")
    keys: dict[str, EntityId] = {}
    for entity in contract.entities:
        text = _id(fields, entity.join_key)
        keys[entity.join_key] = text if entity.dtype == "string" else _integer(text)
    return ReceivedTransaction(
        _id(fields, source.id),
        event,
        message.at if arrival is None else arrival,
        keys,
        {name: _value(fields, name, column) for name, column in source.columns.items()},
        None if label is None else _TRUTHS[label.lower()],
        _moment(fields, source.label.known_at, MAX_MOMENT - 1),
        message.id,
        read_at,
    )


def _moment(fields: Mapping[str, str], name: str | None, latest: int) -> int | None:
    text = fields.get(name or "")
    if not text:
        return None
    moment = parse_moment(text)
    if not 0 <= moment <= latest:
        raise ValueError(f"{name}: found {text}, wanted a moment since 1970 that is not to come")
    return moment


def _id(fields: Mapping[str, str], name: str) -> str:
    text = fields.get(name, "")
    if not valid_id(text):
        raise ValueError(f"{name}: found {len(text)} characters, wanted {STRING_ID}")
    return text


def _integer(text: str) -> int:
    """`int` takes more than an integer of a file: spaces, underscores, digits of any script."""
    if not _INTEGER.fullmatch(text) or not valid_id(int(text)):
        raise ValueError(f"found {text[:40]!r}, wanted an integer of 64 bits")
    return int(text)


def _value(fields: Mapping[str, str], name: str, column: Column) -> Value:
    text = fields.get(name, "")
    try:
        if column.dtype == "bool":
            return _TRUTHS[text.lower()]
        if column.dtype == "int64":
            return _count(text)
        return _money(text, column.scale) if column.dtype == "money" else _finite(text)
    except (KeyError, ValueError, InvalidOperation):
        raise ValueError(f"{name}: found {text[:40]!r}, wanted a value of {column.dtype}") from None


def _count(text: str) -> int:
    value = _integer(text)
    if abs(value) >= 2**53:
        raise ValueError("beyond what a request can say")
    return value


def _money(text: str, scale: int) -> Decimal:
    value = Decimal(text)
    if not value.is_finite() or abs(value) >= Decimal(2**53).scaleb(-scale):
        raise ValueError("beyond what is summed exactly")
    exact = value.quantize(Decimal(1).scaleb(-scale))
    if exact != value:
        raise ValueError("finer than a minor unit")
    return exact


def _finite(text: str) -> float:
    value = float(text)
    if not abs(value) < MODEL_LIMIT:
        raise ValueError("not finite in the model's type")
    return value
