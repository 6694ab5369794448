"""How far a view's history goes and what it was computed from, kept inside its own file.

A row of run H reads what has arrived by H + source_delay, so transactions that arrive later never
change it: a history can grow by its last day, as long as what it has read is still the same.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from proviso.contracts.base import InputError
from proviso.contracts.contract import Contract, FeatureView, Scheduled
from proviso.history.engine import SCHEMA_KEY, Engine, quoted
from proviso.history.relation import check_history
from proviso.history.transactions import EVENTS, Transactions

EXTENT_KEY = "proviso.extent"
_SEPARATOR = "chr(31)"

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


def measured(
    engine: Engine, contract: Contract, view: FeatureView, start: int, end: int, rows: int
) -> Extent:
    """The extent of final runs in [start, end), computed from the table `events`."""
    transactions, digest = _used(engine, contract, view, end)
    return Extent(start=start, end=end, transactions=transactions, digest=digest, rows=rows)


def verified(
    engine: Engine, contract: Contract, view: FeatureView, path: Path, loaded: Transactions
) -> Extent:
    """The extent of a file that can go on from the table `events`. Raises InputError."""
    extent = read_extent(contract, view, path)
    found = measured(engine, contract, view, extent.start, extent.end, extent.rows)
    if (found.transactions, found.digest) != (extent.transactions, extent.digest):
        known = f"{found.transactions} transactions ({found.digest})"
        raise InputError.of(
            loaded.path,
            f"{known} of the time that {path} was computed from",
            f"{extent.transactions} ({extent.digest}) as they were",
            "what was used has changed; `proviso features --backfill` corrects published runs",
        )
    return extent


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


def rebased(engine: Engine, contract: Contract, view: FeatureView, extent: Extent) -> Extent:
    """The same extent over the transactions as they are now."""
    transactions, digest = _used(engine, contract, view, extent.end)
    return extent.model_copy(update={"transactions": transactions, "digest": digest})


def used_until(view: FeatureView, end: int) -> int:
    """The moment before which a transaction must have arrived to be in a run before `end`."""
    return end + view.source_delay if isinstance(view.publication, Scheduled) else end


def _used(engine: Engine, contract: Contract, view: FeatureView, end: int) -> tuple[int, str]:
    """Number and digest of what the last run before `end` could read; any order, any file.

    A label counts from when it is known.
    """
    bound = used_until(view, end)
    source = contract.source
    always = [source.id, *(e.join_key for e in contract.entities), *source.columns]
    known = f"greatest(_label_known, _arrival) < {bound:d}"
    parts = [f"{quoted(name)}::varchar" for name in [*always, "_event", "_arrival"]]
    parts += [
        f"coalesce(case when {known} then {quoted(name)} end::varchar, '')"
        for name in (source.label.column, "_label_known")
    ]
    text = f"concat({f', {_SEPARATOR}, '.join(parts)})"
    count, total = engine.row(
        f"select count(*), coalesce(sum(md5_number_lower({text})::hugeint), 0)"
        f" from {EVENTS} where _arrival < {bound:d}"
    )
    return count, f"{total % 2**64:016x}"
