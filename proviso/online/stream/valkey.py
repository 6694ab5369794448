"""The stream of transactions: a port, and its implementation with Valkey streams.

The port needs no more than a log with a consumer group, so Kafka can implement it, with offsets as
ids. The client belongs to `proviso.online.connecting`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from proviso.contracts.base import InputError
from proviso.online.connecting import GROUP_EXISTS, open_client, store_errors

REFUSED_KEPT = 100_000
_FIELDS_KEPT, _BYTES_KEPT = 64, 4096


class Message(NamedTuple):
    """A message of a stream; `at`: when the stream received it, microseconds."""

    id: str
    at: int
    fields: Mapping[bytes, bytes]


class Stream(Protocol):
    """A consumer of a group. A message that it has read is pending until it is acknowledged."""

    def position(self) -> str:
        """The id of the last message delivered to the group; empty before the first."""

    def read(self, count: int, wait_ms: int) -> list[Message]:
        """Messages not yet delivered to the group; empty when none came in time."""

    def unacknowledged(self) -> list[Message]:
        """Pending messages, of this consumer or of one that crashed."""

    def waiting(self) -> int:
        """The number of pending messages."""

    def acknowledge(self, ids: Sequence[str]) -> None:
        """Acknowledges messages, so that they are not delivered again."""

    def refuse(self, message: Message, reason: str) -> None:
        """Moves a message to the stream of refused ones with the reason, and acknowledges it."""

    def close(self) -> None:
        """Closes the connection."""


class ValkeyStream:
    """One consumer of a group of a Valkey stream. Raises InputError when it is unreachable."""

    def __init__(
        self, url: str, password_file: Path | None, name: str, group: str, consumer: str
    ) -> None:
        self._address, self._client = open_client(url, password_file)
        self._name, self._group, self._consumer = name, group, consumer
        try:
            with self._asking():
                self._client.xgroup_create(name, group, id="0", mkstream=True)
        except InputError as error:
            if error.problems[0].code != GROUP_EXISTS:
                raise

    def position(self) -> str:
        with self._asking():
            found = self._client.xinfo_groups(self._name)
        [last] = [g["last-delivered-id"] for g in found if g["name"].decode() == self._group]
        return "" if last == b"0-0" else str(last.decode())

    def read(self, count: int, wait_ms: int) -> list[Message]:
        with self._asking():
            found = self._client.xreadgroup(
                self._group, self._consumer, {self._name: ">"}, count=count, block=wait_ms
            )
        if not found:
            return []
        entries = found[0][1] if isinstance(found, list) else next(iter(found.values()))
        return _messages(entries)

    def unacknowledged(self) -> list[Message]:
        """Entries that were trimmed from the stream while pending are lost."""
        taken: list[Message] = []
        place = b"0-0"
        while True:
            with self._asking():
                place, entries, *_ = self._client.xautoclaim(
                    self._name, self._group, self._consumer, 0, start_id=place, count=1000
                )
            taken += _messages(entries)
            if place == b"0-0":
                return taken

    def waiting(self) -> int:
        with self._asking():
            return int(self._client.xpending(self._name, self._group)["pending"])

    def acknowledge(self, ids: Sequence[str]) -> None:
        if ids:
            with self._asking():
                self._client.xack(self._name, self._group, *ids)

    def refuse(self, message: Message, reason: str) -> None:
        fields = {k[:256]: v[:_BYTES_KEPT] for k, v in list(message.fields.items())[:_FIELDS_KEPT]}
        note = {b"_reason": reason.encode(), b"_id": message.id.encode()}
        with self._asking():
            pipeline = self._client.pipeline(transaction=True)
            pipeline.xadd(f"{self._name}:refused", note | fields, maxlen=REFUSED_KEPT)
            pipeline.xack(self._name, self._group, message.id)
            pipeline.execute()

    def close(self) -> None:
        self._client.close()

    def _asking(self) -> Any:
        return store_errors(self._address)


class ValkeyProducer:
    """Appends messages to a Valkey stream, in the order given."""

    def __init__(self, url: str, password_file: Path | None, name: str) -> None:
        self._address, self._client = open_client(url, password_file)
        self._name = name

    def append(self, messages: Sequence[Mapping[str, str]]) -> None:
        with store_errors(self._address):
            pipeline = self._client.pipeline(transaction=False)
            for fields in messages:
                pipeline.xadd(self._name, dict(fields))
            pipeline.execute()

    def close(self) -> None:
        self._client.close()


def _messages(entries: Sequence[Any]) -> list[Message]:
    return [
        Message(key.decode(), int(key.split(b"-")[0]) * 1_000, fields)
        for key, fields in entries
        if fields
    ]
