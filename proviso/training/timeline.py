"""Raw history as the certificate sees it: one entity's rows for the rule, all rows as a digest."""

from __future__ import annotations

import hashlib
from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from feature_runtime.core.availability import Row, Status, ViewTimes, availability

_NEWEST = 8  # rows that the rule is shown first


@dataclass(frozen=True)
class Timeline:
    """One entity's rows in order; the first lies at `first` of the table that has their values."""

    first: int
    events: list[int]
    created: list[int]

    def ask(self, times: ViewTimes, t: int) -> tuple[Row | None, Status]:
        """What the rule says at t; the winner's `run_id` is its place in the table.

        Not every row is shown to the rule. One before t - lookback is never usable; one after t is
        not visible at t, for no source delay is negative; and the rows lie in the order by which
        the greatest usable one wins, so that a winner among the newest is the winner of all. When
        the newest hold none, the rule sees the whole lookback.
        """
        oldest = bisect_left(self.events, t - times.lookback)
        end = bisect_right(self.events, t, lo=oldest)
        newest = max(oldest, end - _NEWEST)
        while newest > oldest and self._order(newest - 1) == self._order(newest):
            newest -= 1  # of equal rows the first wins
        winner, status = availability(times, self._rows(newest, end), t)
        if winner is None and newest > oldest:
            return availability(times, self._rows(oldest, end), t)
        return winner, status

    def _rows(self, start: int, end: int) -> list[Row]:
        return [Row(self.events[i], self.created[i], (), self.first + i) for i in range(start, end)]

    def _order(self, i: int) -> tuple[int, int]:
        return self.events[i], self.created[i]


@dataclass
class ContentDigest:
    """Digest of a table that comes in parts, column by column: the parts leave no trace in it."""

    columns: dict[str, Any] = field(default_factory=dict)

    def take(self, table: pa.Table) -> None:
        """The next rows."""
        for name in table.column_names:
            for what, content in _content(table[name]).items():
                self.columns.setdefault(f"{name} {what}", hashlib.sha256()).update(content)

    def digest(self) -> str:
        """`sha256:<hex>` of all rows so far."""
        lines = "".join(f"{n}={d.hexdigest()}\n" for n, d in sorted(self.columns.items()))
        return f"sha256:{hashlib.sha256(lines.encode()).hexdigest()}"


def _content(column: pa.ChunkedArray) -> dict[str, bytes]:
    """A column's values, and where it has none, whatever the chunks."""
    missing = np.asarray(column.is_null().to_numpy(), dtype=np.bool_).tobytes()
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        texts = [text or "" for text in column.to_pylist()]
        return {"missing": missing, "values": "".join(f"{len(t)}:{t}" for t in texts).encode()}
    filled = pc.fill_null(column, pa.scalar(0).cast(column.type))
    wide = np.float64 if pa.types.is_floating(column.type) else np.int64
    return {"missing": missing, "values": np.asarray(filled.to_numpy(), dtype=wide).tobytes()}
