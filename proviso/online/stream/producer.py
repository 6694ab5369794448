"""Appends a file of transactions to a stream in order of arrival, for drills and demos."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from feature_runtime.core.moments import format_moment, to_microseconds
from proviso.contracts.contract import Contract
from proviso.history.engines import history_engine

_BATCH = 1_000


class Producer(Protocol):
    """Takes messages, in the order given."""

    def append(self, messages: Sequence[Mapping[str, str]]) -> None:
        """Appends them to the stream."""


def produce(
    contract: Contract, transactions: Path | None, producer: Producer, rate: int | None
) -> int:
    """Appends every transaction; rate: how many a second, None: as fast as it goes."""
    began, sent = time.monotonic(), 0
    size = _BATCH if rate is None else max(1, min(_BATCH, rate // 10))
    for rows in history_engine().by_arrival(contract, transactions, size):
        messages = [{name: _text(cell) for name, cell in row.items()} for row in rows]
        producer.append(messages)
        sent += len(messages)
        if rate is not None:
            time.sleep(max(0.0, began + sent / rate - time.monotonic()))
    return sent


def _text(value: Any) -> str:
    if isinstance(value, datetime):
        return format_moment(to_microseconds(value))
    return str(value).lower() if isinstance(value, bool) else str(value)
