"""Parses a stream's message as a transaction of the contract.

One field per column of the source, as text; an empty or absent one is null. The rules are those of
a file of transactions; an invalid message is refused alone and the others are processed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation
from typing import NamedTuple

from feature_runtime.core.encode import MODEL_LIMIT
from feature_runtime.core.keys import STRING_ID, EntityId, valid_id
from feature_runtime.core.moments import parse_moment
from feature_runtime.core.values import MAX_TEXT_BYTES
from proviso.contracts.contract import Contract
from proviso.contracts.sources import AskedSource, Column
from proviso.history.values import MAX_MOMENT
from proviso.online.stream.valkey import Message

MAX_BYTES = 65_536
_INTEGER = re.compile(r"[+-]?[0-9]{1,19}")
_TRUTHS = {"0": False, "false": False, "1": True, "true": True}
Value = int | float | bool | Decimal | str | None


class ReceivedTransaction(NamedTuple):
    """A transaction of a message; moments in microseconds.

    columns: by the contract's names, the label's among them. known: by the file's columns, the
    moments at which late values are known. read_at: when the reading of its message began.
    received_at: when the message was there.
    """

    id: str
    event: int
    arrival: int
    keys: Mapping[str, EntityId]
    columns: Mapping[str, Value]
    known: Mapping[str, int | None]
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
    observed = contract.observations_of()
    source, label = observed.rows, observed.label.column
    event = _moment(fields, source.event_timestamp, latest)
    if event is None:
        raise ValueError(f"{source.event_timestamp}: found nothing, wanted a moment")
    arrival = _moment(fields, source.arrival_timestamp, latest)
    columns = {
        name: _value(fields, source.file_column(name), column, null=name == label)
        for name, column in source.columns.items()
    }
    return ReceivedTransaction(
        _id(fields, source.id_column or source.id),
        event,
        message.at if arrival is None else arrival,
        _keys(contract, source, fields),
        columns,
        {name: _moment(fields, name, MAX_MOMENT - 1) for name in known_columns(source)},
        message.id,
        read_at,
    )


def known_columns(source: AskedSource) -> list[str]:
    """The file's columns that are only moments at which late values are known."""
    values = {source.file_column(name) for name in source.columns}
    moments = {known.column for known in source.late_columns.values() if known.column}
    return sorted(moments - values)


def _keys(
    contract: Contract, source: AskedSource, fields: Mapping[str, str]
) -> dict[str, EntityId]:
    keys: dict[str, EntityId] = {}
    dtypes = {entity.join_key: entity.dtype for entity in contract.entities}
    for key, place in contract.key_columns(source).items():
        text = _id(fields, place)
        keys[key] = text if dtypes[key] == "string" else _integer(text)
    return keys


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


def _value(fields: Mapping[str, str], name: str, column: Column, *, null: bool) -> Value:
    """null: there may be no value, as where the column is nullable. Moments are microseconds."""
    text = fields.get(name, "")
    if not text and (null or column.nullable):
        return None
    try:
        return _PARSED[column.dtype](text, column)
    except (KeyError, ValueError, InvalidOperation):
        raise ValueError(f"{name}: found {text[:40]!r}, wanted a value of {column.dtype}") from None


def _text(text: str) -> str:
    if not text or len(text.encode()) > MAX_TEXT_BYTES:
        raise ValueError("no text of a file")
    return text


def _timestamp(text: str) -> int:
    moment = parse_moment(text)
    if not 0 <= moment < MAX_MOMENT:
        raise ValueError("before 1970 or after 2255")
    return moment


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


_PARSED: Mapping[str, Callable[[str, Column], Value]] = {
    "bool": lambda text, _: _TRUTHS[text.lower()],
    "int64": lambda text, _: _count(text),
    "float64": lambda text, _: _finite(text),
    "money": lambda text, column: _money(text, column.scale),
    "string": lambda text, _: _text(text),
    "timestamp": lambda text, _: _timestamp(text),
}
"""By dtype of a column: its value of a text. Raises KeyError, ValueError or InvalidOperation."""
