"""A point-in-time join in one statement of SQL, its delay a parameter, held to proviso's own.

python docs/lab/join.py TRANSACTIONS HISTORY DATASET
"""

from __future__ import annotations

import sys
from pathlib import Path

import duckdb

START, END = "2026-05-30", "2026-05-31"
DELAYS = (0, 10, 30, 60)
MINE = 10

# Right because no row of a scheduled view is readable before an older one is: the last row that
# became readable is then also the newest. With corrections it would be wrong (docs/time.md).
JOIN = """
select t.transaction_id, case when r.event_ts >= t.event_ts - interval 7 day
    then r.txn_count_1h end as txn_count_1h
from (from read_parquet($transactions) where event_ts >= $start::timestamptz
    and event_ts < $end::timestamptz) t
asof left join (select *, greatest(event_ts + to_minutes($delay), created_ts) as readable
    from read_parquet($history)
    where event_ts > $start::timestamptz - interval 8 day) r
on t.customer_id = r.customer_id and t.event_ts >= r.readable
"""


def main(transactions: str, history: str, dataset: str) -> None:
    engine = duckdb.connect()
    engine.execute("set timezone = 'UTC'")
    wanted: dict[str, int | None] = dict(
        engine.execute(
            "select transaction_id, customer_velocity_1h__txn_count_1h from read_parquet(?)",
            [dataset],
        ).fetchall()
    )
    for delay in DELAYS:
        found: dict[str, int | None] = dict(
            engine.execute(
                JOIN,
                {
                    "transactions": transactions,
                    "history": str(Path(history) / "customer_velocity_1h.parquet"),
                    "start": START,
                    "end": END,
                    "delay": delay,
                },
            ).fetchall()
        )
        changed = sum(found[row] != value for row, value in wanted.items())
        print(f"source_delay {delay:2} min: {changed} of {len(wanted)} values differ")


if __name__ == "__main__":
    main(*sys.argv[1:])
