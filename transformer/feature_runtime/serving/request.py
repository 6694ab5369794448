"""One request in one form, whatever protocol it came by.

Codecs turn bytes into columns of plain values; `Inputs` checks what the service asks of them.
Nothing after this module knows a protocol.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from feature_runtime.core import moments
from feature_runtime.core.encode import MODEL_LIMIT
from feature_runtime.core.keys import INTEGER_ID, STRING_ID, EntityId, valid_id
from feature_runtime.core.record import Protocol
from feature_runtime.core.service import DATATYPES, RequestField, Service
from feature_runtime.core.traffic import Traffic
from feature_runtime.core.values import EXACT, TEXT, Column, Texts, texts_of, valid_text
from feature_runtime.serving.errors import (
    bad_input,
    model_not_found,
    shown,
    too_large,
    version_not_found,
)

EVENT_TS = "event_ts"
MAX_REQUEST_ID = 128
MAX_CLIENT_ID_BYTES = 1024
"""Of a V2 message's `id`, which may be any text and is answered as it came."""

Columns = Mapping[str, Any]
"""Values by input name: list[str] for BYTES, list[int] for INT64, list[bool] for BOOL, float64 [n]
for FP64. A nullable field that is absent has no column; of one that is there, None is a missing
value in a list, and NaN in float64."""


@dataclass(frozen=True)
class ScoringRequest:
    """n transactions to be scored.

    client_request_id: the V2 message's own id, where it has one. ids: per entity name, n ids.
    fields: per request field [n], as the encoder takes it. event_ts: the client's moments, int64
    microseconds [n].
    """

    request_id: str
    client_request_id: str | None
    traffic: Traffic
    protocol: Protocol
    ids: Mapping[str, Sequence[EntityId]]
    fields: Mapping[str, Column]
    event_ts: NDArray[np.int64]

    @property
    def size(self) -> int:
        return len(self.event_ts)


@dataclass(frozen=True)
class Served:
    """The model that a pod answers for: its public name, and the version that its release is."""

    name: str
    version: str

    def check(self, name: str, version: str | None = None) -> None:
        """Refuses another model, and another version where the request names one."""
        if name != self.name:
            raise model_not_found(name, self.name)
        if version and version != self.version:
            raise version_not_found(version, self.version)


@dataclass(frozen=True)
class Input:
    """One input tensor [n, 1]; datatype in the V2 protocol's names.

    nullable: whether it may be absent, and a value null.
    """

    name: str
    datatype: str
    nullable: bool = False


class Inputs:
    """The inputs that a service asks for: its entities' join keys, its fields, event_ts."""

    def __init__(self, service: Service) -> None:
        self.max_batch = service.limits.max_batch
        self._entities = service.entities
        self._fields = service.request_fields
        self.all: tuple[Input, ...] = (
            *(Input(e.join_key, DATATYPES[e.dtype]) for e in service.entities),
            *(
                Input(field.name, DATATYPES[field.dtype], field.nullable)
                for field in service.sent_fields
            ),
            Input(EVENT_TS, "BYTES"),
        )
        self.by_name: Mapping[str, Input] = {i.name: i for i in self.all}
        self._required = {i.name for i in self.all if not i.nullable}

    def check_names(self, given: Iterable[str], where: str) -> None:
        """Refuses unknown and missing inputs; both are named. Nullable ones may be absent."""
        names = set(given)
        if self._required <= names <= self.by_name.keys():
            return
        for name in sorted(names - self.by_name.keys()):
            wanted = f"one of {sorted(self.by_name)}"
            raise bad_input("unknown_input", f"{where}{name}", "an unknown input", wanted)
        for name in sorted(self._required - names):
            wanted = self.by_name[name].datatype
            raise bad_input("missing_input", f"{where}{name}", "nothing", wanted)

    def check_size(self, size: int) -> None:
        """Refuses an empty batch and one over the plan's limit."""
        if size < 1:
            raise bad_input("batch_empty", "batch", "no rows", "at least one")
        if size > self.max_batch:
            raise too_large("batch_too_large", "batch", f"{size} rows", f"at most {self.max_batch}")

    def request(
        self,
        columns: Columns,
        request_id: str,
        traffic: Traffic,
        protocol: Protocol,
        client_request_id: str | None = None,
    ) -> ScoringRequest:
        """A request of checked names and sizes; refuses values that are out of range."""
        size = len(columns[EVENT_TS])
        return ScoringRequest(
            request_id=request_id,
            client_request_id=client_request_id or None,
            traffic=traffic,
            protocol=protocol,
            ids={e.name: _ids(e.join_key, columns[e.join_key]) for e in self._entities},
            fields={f.name: _field(f, columns.get(f.name), size) for f in self._fields},
            event_ts=_moments(EVENT_TS, columns[EVENT_TS]),
        )


def request_id(given: str | None, client_id: str | None = None) -> str:
    """The request id of a call: x-request-id, else the message's own id, else a new one.

    Refuses an x-request-id that could not stand in a header. An id of the message that could not
    is answered as `id` alone.
    """
    if given:
        if not _fits_header(given):
            wanted = f"at most {MAX_REQUEST_ID} printable ASCII characters"
            raise bad_input("invalid_request_id", "x-request-id", shown(given), wanted)
        return given
    return client_id if client_id and _fits_header(client_id) else uuid.uuid4().hex


def header_request_id(given: str | None) -> str:
    """The x-request-id of an answer; a new one where the given one is refused."""
    return given if given and _fits_header(given) else request_id(None)


def check_client_id(value: str) -> None:
    """Refuses an id that would make an answer larger than batch and contract let it be."""
    if len(value) > MAX_CLIENT_ID_BYTES or len(value.encode()) > MAX_CLIENT_ID_BYTES:
        found, wanted = shown(value), f"at most {MAX_CLIENT_ID_BYTES} bytes of UTF-8"
        raise bad_input("client_id_too_long", "id", found, wanted)


def _fits_header(text: str) -> bool:
    """Whether the text can be a header's value; a space at its edge would be lost there."""
    short = len(text) <= MAX_REQUEST_ID
    return short and text.isascii() and text.isprintable() and text == text.strip()


def _ids(name: str, values: Sequence[EntityId]) -> Sequence[EntityId]:
    for i, value in enumerate(values):
        if not valid_id(value):
            wanted = STRING_ID if isinstance(value, str) else INTEGER_ID
            raise bad_input("invalid_entity_id", f"{name}[{i}]", shown(value), wanted)
    return values


def _field(field: RequestField, values: Any, size: int) -> Column:
    """A field's column [size] for the encoder; values None: the request does not have it."""
    if field.dtype == "float64":
        given = np.full(size, np.nan) if values is None else values
        return _finite(field.name, given, nullable=field.nullable)
    listed = [None] * size if values is None else values
    if field.dtype == "string":
        return _texts(field.name, listed)
    if field.dtype == "timestamp":
        return _moments(field.name, listed)
    return _whole(field.name, listed)


def _finite(name: str, values: NDArray[np.float64], *, nullable: bool) -> NDArray[np.float64]:
    """Refuses what is not finite in the model's type: the record could not say what it got."""
    wrong = ~(np.abs(values) < MODEL_LIMIT)
    if nullable:
        wrong &= ~np.isnan(values)
    if wrong.any():
        at = int(np.argmax(wrong))
        wanted = "a finite number of the model's type, float32"
        raise bad_input("not_finite", f"{name}[{at}]", str(values[at]), wanted)
    return values


def _whole(name: str, values: Sequence[int | None]) -> NDArray[np.float64]:
    """Integers and truth values as doubles; refuses those that a double does not hold exactly."""
    for i, value in enumerate(values):
        if value is not None and abs(value) >= EXACT:
            wanted = "an integer below 2^53"
            raise bad_input("integer_too_large", f"{name}[{i}]", shown(value), wanted)
    return np.array([np.nan if v is None else v for v in values], dtype=np.float64)


def _texts(name: str, values: Sequence[str | None]) -> Texts:
    for i, value in enumerate(values):
        if value is not None and not valid_text(value):
            found = f"{len(value)} characters"
            raise bad_input("string_too_long", f"{name}[{i}]", found, TEXT)
    return texts_of(values)


def _moments(name: str, values: Sequence[str | None]) -> NDArray[np.int64]:
    parsed = np.full(len(values), moments.MISSING, dtype=np.int64)
    for i, text in enumerate(values):
        if text is None:
            continue
        try:
            parsed[i] = moments.parse_moment(text)
        except ValueError:
            wanted = "an RFC 3339 moment (2018-06-20T12:00:00Z)"
            raise bad_input("invalid_moment", f"{name}[{i}]", shown(text), wanted) from None
    return parsed
