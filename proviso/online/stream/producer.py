"""Appends a file of transactions to a stream in order of arrival, for drills and demos."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from feature_runtime.core.moments import format_moment, to_microseconds
from proviso.contracts.contract import Contract
from proviso.history.duckdb.engine import connect, literal, names, parquet_columns, quoted
from proviso.online.stream.valkey import ValkeyProducer

_BATCH = 1_000


def produce(
    contract: Contract, transactions: Path, producer: ValkeyProducer, rate: int | None
) -> int:
    """Appends every transaction; rate: how many a second, None: as fast as it goes."""
    began, sent = time.monotonic(), 0
    size = _BATCH if rate is None else max(1, min(_BATCH, rate // 10))
    for messages in _messages(contract, transactions, size):
        producer.append(messages)
        sent += len(messages)
        if rate is not None:
            time.sleep(max(0.0, began + sent / rate - time.monotonic()))
    return sent


def _messages(contract: Contract, path: Path, size: int) -> Iterator[list[dict[str, str]]]:
    source = contract.source
    wanted = [source.id, source.event_timestamp, source.arrival_timestamp]
    wanted += [*(entity.join_key for entity in contract.entities), *source.columns]
    wanted += [source.label.column, source.label.known_at]
    with connect() as engine:
        found = parquet_columns(engine, path)
        columns = [name for name in wanted if name in found]
        event = quoted(source.event_timestamp)
        arrival = source.arrival_timestamp
        order = f"coalesce({quoted(arrival)}, {event})" if arrival in found else event
        cursor = engine.execute(
            f"select {names(*columns)} from read_parquet({literal(path)})"
            f" order by {order}, {quoted(source.id)}"
        )
        while rows := cursor.fetchmany(size):
            yield [
                {
                    name: _text(cell)
                    for name, cell in zip(columns, row, strict=True)
                    if cell is not None
                }
                for row in rows
            ]


def _text(value: Any) -> str:
    if isinstance(value, datetime):
        return format_moment(to_microseconds(value))
    return str(value).lower() if isinstance(value, bool) else str(value)
