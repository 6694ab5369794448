"""How far a view's history goes and what it was computed from, kept inside its own file.

A row of run H reads what has arrived by H + source_delay, so transactions that arrive later never
change it: a history can grow by its last day, as long as what it has read is still the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from feature_runtime.core.moments import format_moment
from proviso.contracts.base import InputError
from proviso.contracts.contract import Contract, FeatureView, Scheduled
from proviso.history.duckdb.engine import SCHEMA_KEY, Engine, quoted
from proviso.history.duckdb.relation import check_history
from proviso.history.duckdb.transactions import EVENTS, Transactions

EXTENT_KEY = "proviso.extent"
_DIGESTS = "digests"

Moment = Annotated[int, Field(ge=0)]


class Backfill(BaseModel):
    """A correction: which rows' event times, as of which moment."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    start: Moment
    end: Moment
    moment: Moment


class Extent(BaseModel):
    """What a file holds. Moments in microseconds; runs H, or arrivals of an on-event view.

    start, end: final are the runs with start <= H < end; later ones were computed before all that
    they read had arrived. transactions, digest: what had arrived when the last final run started.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    start: Moment
    end: Moment
    transactions: Moment
    digest: str
    rows: Moment
    backfills: tuple[Backfill, ...] = ()


def notes_of(contract: Contract, view: FeatureView, extent: Extent) -> dict[str, str]:
    """What a history's file says of itself, beside its rows."""
    return {SCHEMA_KEY: contract.schema_of(view), EXTENT_KEY: extent.model_dump_json()}


def final_end(view: FeatureView, as_of: int, end: int | None = None) -> int:
    """The end of the runs before `end` that read nothing but what has arrived before `as_of`."""
    bound = as_of if end is None else min(as_of, end)
    if not isinstance(view.publication, Scheduled):
        return max(bound, 0)
    every = view.publication.schedule
    bound = as_of - view.source_delay if end is None else min(as_of - view.source_delay, end)
    return max((bound - 1) // every * every + 1, 0)


def measured(engine: Engine, view: FeatureView, start: int, end: int, rows: int) -> Extent:
    """The extent of final runs in [start, end), computed from the events that were digested."""
    transactions, digest = _used(engine, view, end)
    return Extent(start=start, end=end, transactions=transactions, digest=digest, rows=rows)


def verified(
    engine: Engine, contract: Contract, view: FeatureView, path: Path, loaded: Transactions
) -> Extent:
    """The extent of a file that can go on from the events that were digested. Raises InputError."""
    extent = read_extent(contract, view, path)
    found = measured(engine, view, extent.start, extent.end, extent.rows)
    if (found.transactions, found.digest) != (extent.transactions, extent.digest):
        arrived = f"arrived before {format_moment(used_until(view, extent.end))}"
        raise InputError.of(
            loaded.path,
            f"{found.transactions} transactions that {arrived}, digest {found.digest}",
            f"{extent.transactions}, digest {extent.digest}, which {path} was computed from",
            "what was used has changed; `proviso features --backfill` corrects published runs",
        )
    return extent


def has_extent(path: Path) -> bool:
    """Whether a history's file says how far it goes; `features` writes none that does not."""
    return EXTENT_KEY.encode() in (pq.read_metadata(path).metadata or {})


def read_extent(contract: Contract, view: FeatureView, path: Path) -> Extent:
    """What a file says of itself. Raises InputError where it says nothing or too much."""
    check_history(contract, path, view)
    metadata = pq.read_metadata(path)
    stated = (metadata.metadata or {}).get(EXTENT_KEY.encode())
    if stated is None:
        raise InputError.of(
            path, "no extent", "history that says how far it goes", "compute it again"
        )
    try:
        extent = Extent.model_validate_json(stated)
    except ValidationError:
        raise InputError.of(path, "an extent that is none", "what `features` writes") from None
    if metadata.num_rows != extent.rows:
        wanted = f"{extent.rows} rows, as the file says"
        raise InputError.of(path, f"{metadata.num_rows} rows", wanted, "it was cut or edited")
    return extent


def rebased(engine: Engine, view: FeatureView, extent: Extent) -> Extent:
    """The same extent over the transactions as they are now."""
    transactions, digest = _used(engine, view, extent.end)
    return extent.model_copy(update={"transactions": transactions, "digest": digest})


def used_until(view: FeatureView, end: int) -> int:
    """The moment before which a transaction must have arrived to be in a run before `end`."""
    return end + view.source_delay if isinstance(view.publication, Scheduled) else end


def digest_events(engine: Engine, contract: Contract) -> None:
    """Makes the table from which extents are measured out of the table `events`, once for all."""
    source = contract.source
    columns = [source.id, *(e.join_key for e in contract.entities), *source.columns]
    label = [source.id, source.label.column, "_label_known"]
    engine.execute(
        f"create or replace temp table {_DIGESTS} as select _arrival,"
        f" {_digest([*columns, '_event', '_arrival'])} as _whole,"
        f" case when _label_known is not null then greatest(_label_known, _arrival) end as _known,"
        f" {_digest(label)} as _label from {EVENTS}"
    )


def _digest(columns: Sequence[str]) -> str:
    """A number that no other values are likely to have, in this engine's version or another's."""
    texts = (f"coalesce({quoted(name)}::varchar, '')" for name in columns)
    return f"md5_number_lower(concat({', chr(31), '.join(texts)}))::hugeint"


def _used(engine: Engine, view: FeatureView, end: int) -> tuple[int, str]:
    """Number and digest of what the last run before `end` could read, in any order.

    A label counts from when it is known.
    """
    bound = used_until(view, end)
    count, whole, labels = engine.row(
        f"select count(*), coalesce(sum(_whole), 0),"
        f" coalesce(sum(_label) filter (where _known < {bound:d}), 0)"
        f" from {_DIGESTS} where _arrival < {bound:d}"
    )
    return count, f"{(whole + labels) % 2**64:016x}"
