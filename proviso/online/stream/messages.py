"""A stream's messages as rows of the source, and what becomes of each.

One field per column of the source, as text. The rules are those of a file's rows: the history
engine judges both (`Arrivals.judged`). A message that does not fit is set aside alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from feature_runtime.core.keys import EntityId
from feature_runtime.core.moments import format_moment
from proviso.contracts.contract import Contract
from proviso.history.values import JudgedRow
from proviso.online.stream.valkey import Message

MAX_BYTES = 65_536


class ReceivedTransaction(NamedTuple):
    """A transaction of a message; moments in microseconds.

    cells: values by the source's columns. said: as of a `JudgedRow`. read_at: when the reading of
    its message began. received_at: when its row was there, judged.
    """

    id: str
    event: int
    arrival: int
    keys: Mapping[str, EntityId]
    cells: Mapping[str, Any]
    said: int
    source: Message
    read_at: int
    received_at: int = 0

    @property
    def message(self) -> str:
        """The id of its message."""
        return self.source.id


class SortedOut(NamedTuple):
    """Transactions that are new, copies of others, and those that contradict an earlier one."""

    new: list[ReceivedTransaction]
    copies: int
    contradicting: list[ReceivedTransaction]


def fields_of(message: Message) -> dict[str, str]:
    """A message's fields. Raises ValueError, with the reason."""
    size = sum(len(name) + len(value) for name, value in message.fields.items())
    if size > MAX_BYTES:
        raise ValueError(f"found {size} bytes, wanted at most {MAX_BYTES}")
    return {name.decode(): value.decode() for name, value in message.fields.items()}


def received(
    contract: Contract, message: Message, row: JudgedRow, read_at: int, latest: int
) -> ReceivedTransaction:
    """The transaction of a message. Raises ValueError, with the reasons.

    latest: the last moment that is not in the future.
    """
    if row.reasons:
        raise ValueError("; ".join(row.reasons))
    source = contract.observations_of()
    arrival = message.at if row.arrival is None else row.arrival
    moments = {source.event_timestamp: row.event, source.arrival_timestamp: row.arrival}
    for name, moment in moments.items():
        if moment is not None and moment > latest:
            raise ValueError(f"{name}: found {format_moment(moment)}, wanted one not to come")
    return ReceivedTransaction(
        row.id, row.event, arrival, row.keys, row.cells, row.said, message, read_at
    )


def sorted_out(due: Sequence[ReceivedTransaction], known: Mapping[str, int]) -> SortedOut:
    """Of transactions with one id the first counts, as in a file: a later one that says the same
    is a copy. known: by id, what those that landed said."""
    said, new, contradicting = dict(known), [], []
    for one in due:
        if one.id not in said:
            said[one.id] = one.said
            new.append(one)
        elif said[one.id] != one.said:
            contradicting.append(one)
    return SortedOut(new, len(due) - len(new) - len(contradicting), contradicting)
