"""The DuckDB engine: the operations of `proviso.history.ports.HistoryEngine`.

Only this package knows DuckDB's SQL. Callers get it from `proviso.history.engines`.
"""

from proviso.history.duckdb.arriving import open_arrivals
from proviso.history.duckdb.beliefs import used_too_early, write_believed
from proviso.history.duckdb.digests import rows_digest
from proviso.history.duckdb.entities import sample_entities
from proviso.history.duckdb.features import compute_history
from proviso.history.duckdb.forgetting import digests_without
from proviso.history.duckdb.incremental import backfill_history, update_history
from proviso.history.duckdb.join import build_dataset
from proviso.history.duckdb.live import live_entities, visible_entities
from proviso.history.duckdb.loaded import open_transactions
from proviso.history.duckdb.publishable import (
    arriving_rows,
    complete_until,
    run_rows,
    writable_rows,
)
from proviso.history.duckdb.published import late_intervals
from proviso.history.duckdb.stamps import sent_before, stamps_to_keep
from proviso.history.duckdb.statistics import view_statistics
from proviso.history.duckdb.transactions import by_arrival

__all__ = [
    "arriving_rows",
    "backfill_history",
    "build_dataset",
    "by_arrival",
    "complete_until",
    "compute_history",
    "digests_without",
    "late_intervals",
    "live_entities",
    "open_arrivals",
    "open_transactions",
    "rows_digest",
    "run_rows",
    "sample_entities",
    "sent_before",
    "stamps_to_keep",
    "update_history",
    "used_too_early",
    "view_statistics",
    "visible_entities",
    "writable_rows",
    "write_believed",
]
