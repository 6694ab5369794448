"""Where transactions come from while they happen: a port, and Valkey streams behind it.

The port asks for no more than a log with a consumer group gives, so that Kafka fits: its ids are
then offsets. The client belongs to `proviso.online.store`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from proviso.contracts.base import InputError
from proviso.online.store import asking, open_client

REFUSED_KEPT = 100_000
_FIELDS_KEPT, _BYTES_KEPT = 64, 4096


class Message(NamedTuple):
    """What a producer said; `at`: when the stream got it, microseconds."""

    id: str
    at: int
    fields: Mapping[bytes, bytes]


class Stream(Protocol):
    """A consumer's place in a stream. What it has read is its own until it acknowledges."""

    def position(self) -> str:
        """The last message that the group was given; empty before the first."""

    def read(self, count: int, wait_ms: int) -> list[Message]:
        """Messages that nobody of the group has read; none when none came in time."""

    def unacknowledged(self) -> list[Message]:
        """What was read and not acknowledged, by this consumer or by one that died."""

    def waiting(self) -> int:
        """How many messages are not acknowledged."""

    def acknowledge(self, ids: Sequence[str]) -> None:
        """Says that messages need not come again."""

    def refuse(self, message: Message, reason: str) -> None:
        """Puts a message aside with the reason, and acknowledges it."""

    def close(self) -> None:
        """Ends the connection."""


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
            if "BUSYGROUP" not in str(error):
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
        """Entries that were trimmed before anybody was done with them are gone."""
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
        return asking(self._address)


class ValkeyProducer:
    """Appends messages to a Valkey stream, in the order given."""

    def __init__(self, url: str, password_file: Path | None, name: str) -> None:
        self._address, self._client = open_client(url, password_file)
        self._name = name

    def append(self, messages: Sequence[Mapping[str, str]]) -> None:
        with asking(self._address):
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
