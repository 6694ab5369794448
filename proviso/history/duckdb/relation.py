"""How history is read: a view's file as a query, with the stamps of what was really published."""

from __future__ import annotations

from pathlib import Path

from proviso.contracts.contract import Contract, FeatureView
from proviso.history.duckdb.engine import literal, names, parquet_rows
from proviso.history.files import check_history, history_file
from proviso.history.segments import segments, stamps_file

_ACKNOWLEDGED = r"nullif(regexp_extract(_filename, '\.at(\d+)\.parquet$', 1), '')::bigint"
_STORE = r"regexp_extract(_filename, '\d{10}\.([0-9a-f]{16})\.[^/]*$', 1)"
"""The parts of a journal file's name (`segments.py`) as SQL."""


def history_relation(
    contract: Contract,
    history: Path,
    view: FeatureView,
    start: int | None = None,
    end: int | None = None,
) -> str:
    """A query of the rows of a view with start <= event_ts < end, as they were published.

    Columns: join keys, `_event_us`, `_created_us` (BIGINT microseconds), features, `_row` (the
    row's number in the file). A row that was stamped more than once comes once per stamp; a batch
    that was never acknowledged counts as written, since it may have been (`late_intervals`). A row
    that gave way to a later one of its slice was never published, and is left out (docs/adr/0094).
    Raises InputError when the file is absent or was not made by this contract.
    """
    check_history(contract, history_file(history, view), view)
    rows = stored_rows(contract, history, view, start, end)
    stamps = stamps_relation(contract, history, view)
    if stamps is None:
        return rows
    keys = names(*contract.join_keys(view))
    bounds = [f"_event_us >= {start:d}"] if start is not None else []
    bounds += [f"_event_us < {end:d}"] if end is not None else []
    return (
        f"select _r.* replace (coalesce(_s._created, _r._created_us) as _created_us)"
        f" from ({rows}) _r"
        f" left join (select distinct {keys}, _event_us, _planned_us as _created_us,"
        f" _created_us as _created, true as _stamped"
        f" from ({stamps}) where {' and '.join(bounds) or 'true'}) _s"
        f" using ({keys}, _event_us, _created_us)"
        f" where _s._stamped is null or _s._created is not null"
    )


def stamps_relation(
    contract: Contract, history: Path, view: FeatureView, *, every_schema: bool = False
) -> str | None:
    """A query of what live writers have written or were about to; None: nothing.

    Columns: join keys, `_event_us`, `_planned_us`, `_created_us` (the stamp; null: the row gave
    way to a later one and was never sent), `_acknowledged_us` (null: not yet), `_schema` of the
    view, `_store` (which one was written to, by its token).
    """
    keys = names(*contract.join_keys(view))
    moments = ", ".join(f"epoch_us({n}_ts) as _{n}_us" for n in ("event", "planned", "created"))
    columns = f"select {keys}, {moments}, _schema"
    parts = []
    stamps = stamps_file(history, view)
    if stamps.is_file():
        parts.append(
            f"{columns}, _store, epoch_us(acknowledged_ts) as _acknowledged_us"
            f" from {parquet_rows(stamps)}"
        )
    if journal := segments(history, view):
        files = parquet_rows(*(segment.path for segment in journal), more="filename = '_filename'")
        parts.append(
            f"{columns}, {_STORE} as _store, {_ACKNOWLEDGED} as _acknowledged_us from {files}"
        )
    if not parts:
        return None
    wanted = "true" if every_schema else f"_schema = {literal(contract.schema_of(view))}"
    return f"select * from ({' union all '.join(parts)}) where {wanted}"


def planned_relation(
    contract: Contract,
    history: Path,
    view: FeatureView,
    start: int | None = None,
    end: int | None = None,
) -> str:
    """The same query, with created_ts as planned. Raises InputError as that one does."""
    check_history(contract, history_file(history, view), view)
    return stored_rows(contract, history, view, start, end)


def stored_rows(
    contract: Contract, history: Path, view: FeatureView, start: int | None, end: int | None
) -> str:
    """The same query without stamps: every row of the file once, `_created_us` as planned."""
    bounds = [f"event_ts >= make_timestamptz({start:d}::bigint)"] if start is not None else []
    bounds += [f"event_ts < make_timestamptz({end:d}::bigint)"] if end is not None else []
    rows = parquet_rows(history_file(history, view), more="file_row_number = true")
    return (
        f"select {names(*contract.join_keys(view))}, epoch_us(event_ts) as _event_us,"
        f" epoch_us(created_ts) as _created_us, {names(*(f.name for f in view.features))},"
        f" file_row_number as _row"
        f" from {rows}"
        f" where {' and '.join(bounds) or 'true'}"
    )
