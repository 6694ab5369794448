"""Writes a view's file anew with more rows at their places; what stays is streamed through."""

from __future__ import annotations

from pathlib import Path

from proviso.contracts.contract import Contract, FeatureView
from proviso.contracts.files import Replacements
from proviso.contracts.publication import of_table
from proviso.history.duckdb.engine import Engine, names, parquet_rows, write_parquet
from proviso.history.extent import Extent, notes_of
from proviso.history.files import history_columns

_PLACED = "_placed"


def rows_before(engine: Engine, path: Path, until: int | None) -> int:
    """How many rows of a file have event_ts < until; None: all."""
    kept = _between(None, until)
    return int(engine.row(f"select count(*) from {parquet_rows(path)} where {kept}")[0])


def insert_rows(
    engine: Engine,
    contract: Contract,
    view: FeatureView,
    path: Path,
    table: str,
    until: int | None,
    extent: Extent,
    files: Replacements,
) -> None:
    """Writes a table's rows among those of the file with event_ts < until.

    files: where the file is read, if it was written before, and with which it takes its place.

    The order stays event_ts, keys, created_ts: only rows from the table's first event_ts on are
    sorted, those before it pass through. A row of the file gives way to one of the same times: it
    is of a run that has not started, and a later row of its source replaces it. extent: what the
    file then says of itself.
    """
    first = engine.row(f"select epoch_us(min(event_ts)) from {table}")[0]
    columns = names(*history_columns(contract, view).names)
    source = f"select {columns} from {parquet_rows(files.newest(path))} where"
    untouched = min((m for m in (first, until) if m is not None), default=None)
    query = f"{source} {_between(None, untouched)}"
    with engine.in_order():
        if first is not None:
            keys = names(*contract.join_keys(view))
            kept = kept_rows(contract, view, f"{source} {_between(first, until)}", table)
            engine.execute(
                f"create or replace temp table {_PLACED} as select {columns}"
                f" from (select {columns} from {table}"
                f" union all {kept})"
                f" order by event_ts, {keys}, created_ts"
            )
            query += f" union all select {columns} from {_PLACED}"
        write_parquet(engine, query, path, notes_of(contract, view, extent), files)


def kept_rows(contract: Contract, view: FeatureView, rows: str, table: str) -> str:
    """Those of some rows of a file that a table's rows do not replace.

    Only rows of a source of kind `table` are ever replaced.
    """
    if not of_table(view):
        return rows
    times = names(*contract.join_keys(view), "event_ts", "created_ts")
    return f"select * from ({rows}) anti join {table} using ({times})"


def _between(start: int | None, end: int | None) -> str:
    """The condition that start <= event_ts < end."""
    bounds = [f"event_ts >= make_timestamptz({start:d}::bigint)"] if start is not None else []
    bounds += [f"event_ts < make_timestamptz({end:d}::bigint)"] if end is not None else []
    return " and ".join(bounds) or "true"
