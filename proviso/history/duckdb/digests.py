"""Digests of loaded transactions, by which an update sees whether its past has changed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from feature_runtime.core.moments import format_moment
from proviso.contracts.base import InputError
from proviso.contracts.contract import Contract, FeatureView
from proviso.contracts.sources import RowsSource, TableSource
from proviso.history.duckdb.dating import known_column
from proviso.history.duckdb.engine import Engine, connect, literal, quoted
from proviso.history.duckdb.source import label_of
from proviso.history.duckdb.transactions import events_of, load_source
from proviso.history.extent import Extent, read_extent, used_until
from proviso.history.values import TransactionSummary


def digest_events(engine: Engine, contract: Contract, source: RowsSource) -> None:
    """Makes the table from which extents are measured out of a source's table, once for all.

    It has what an event says when it arrives, and what each late value adds when it is known.
    """
    keys = (e.join_key for e in contract.entities if e.name in source.entities)
    ids = [] if isinstance(source, TableSource) else [source.id]
    columns = [*ids, *keys, *(n for n, c in source.columns.items() if c.known_at is None)]
    late = "".join(
        f", case when {known} is not null then greatest({known}, _arrival) end as {known},"
        f" {_late_digest(contract, source, name)} as {quoted(name)}"
        for name, known in _late(source)
    )
    engine.execute(
        f"create or replace temp table {_digests(source)} as select _arrival,"
        f" {_digest([*columns, '_event', '_arrival'])} as _whole{late} from {events_of(source)}"
    )


def rows_digest(contract: Contract, source: RowsSource, path: Path | None) -> str:
    """`rows:<count>:<hex>` of a source's rows, in any order, late values included. Raises
    InputError."""
    with connect() as engine:
        load_source(engine, contract, source, path)
        digest_events(engine, contract, source)
        late = "".join(f" + coalesce(sum({quoted(name)}), 0)" for name, _ in _late(source))
        count, total = engine.row(
            f"select count(*), coalesce(sum(_whole), 0){late} from {_digests(source)}"
        )
    return f"rows:{count}:{total % 2**64:016x}"


def _late(source: RowsSource) -> list[tuple[str, str]]:
    """The late columns of a source, each with the column of its moments, quoted."""
    columns = {} if isinstance(source, TableSource) else source.late_columns
    return [(name, quoted(known_column(name))) for name in columns]


def _late_digest(contract: Contract, source: RowsSource, name: str) -> str:
    """A late value with its moment; the label's is the one that version 1's extents have."""
    ids = [] if isinstance(source, TableSource) else [source.id]
    label = label_of(contract, source)
    of = "" if label is not None and name == label.column else name
    return _digest([*ids, name, known_column(name)], of)


def _digests(source: RowsSource) -> str:
    return quoted(f"_digests_{source.name}")


def measured(
    engine: Engine, contract: Contract, view: FeatureView, start: int, end: int, rows: int
) -> Extent:
    """The extent of final runs in [start, end), computed from the events that were digested."""
    transactions, digest = _used(engine, contract, view, end)
    return Extent(start=start, end=end, transactions=transactions, digest=digest, rows=rows)


def verified(
    engine: Engine, contract: Contract, view: FeatureView, path: Path, loaded: TransactionSummary
) -> Extent:
    """The extent of a file that can go on from the events that were digested. Raises InputError."""
    extent = read_extent(contract, view, path)
    found = measured(engine, contract, view, extent.start, extent.end, extent.rows)
    require_same(view, path, extent, found, loaded)
    return extent


def require_same(
    view: FeatureView, path: Path, extent: Extent, found: Extent, loaded: TransactionSummary
) -> None:
    """Raises InputError where a file was computed from other transactions than those loaded."""
    if (found.transactions, found.digest) != (extent.transactions, extent.digest):
        arrived = f"arrived before {format_moment(used_until(view, extent.end))}"
        raise InputError.of(
            loaded.path,
            f"{found.transactions} rows that {arrived}, digest {found.digest}",
            f"{extent.transactions}, digest {extent.digest}, which {path} was computed from",
            "rows that were used have changed; correct the published runs with"
            " `proviso features --backfill`",
            code="transactions_changed",
        )


def rebased(engine: Engine, contract: Contract, view: FeatureView, extent: Extent) -> Extent:
    """The same extent over the transactions as they are now."""
    transactions, digest = _used(engine, contract, view, extent.end)
    return extent.model_copy(update={"transactions": transactions, "digest": digest})


def _digest(columns: Sequence[str], of: str = "") -> str:
    """64 bits of the values' MD5 digest, which does not depend on the engine's version.

    of: what they are the values of, where another digest may have the same values.
    """
    texts = [*([literal(of)] if of else []), *map(_text, columns)]
    return f"md5_number_lower(concat({', chr(31), '.join(texts)}))::hugeint"


def _text(column: str) -> str:
    return f"coalesce({quoted(column)}::varchar, '')"


def _used(engine: Engine, contract: Contract, view: FeatureView, end: int) -> tuple[int, str]:
    """Number and digest of what the last run before `end` could read, in any order.

    A late value counts from when it is known.
    """
    bound, source = used_until(view, end), contract.source_of(view)
    late = "".join(
        f" + coalesce(sum({quoted(name)}) filter (where {known} < {bound:d}), 0)"
        for name, known in _late(source)
    )
    count, total = engine.row(
        f"select count(*), coalesce(sum(_whole), 0){late}"
        f" from {_digests(source)} where _arrival < {bound:d}"
    )
    return count, f"{total % 2**64:016x}"
