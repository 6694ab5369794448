"""The extent of a view's history: up to which run it is final, and a digest of what it read.

It is kept in the metadata of the view's own file.

A row of run H reads what has arrived by H + source_delay, so transactions that arrive later never
change it: a history can grow by its last day, as long as what it has read is still the same.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from proviso.contracts.base import InputError
from proviso.contracts.contract import Contract, FeatureView
from proviso.contracts.publication import runs_of
from proviso.history.files import SCHEMA_KEY, check_history, history_file

EXTENT_KEY = "proviso.extent"
_AGAIN = "compute the history again with `proviso features`"

Moment = Annotated[int, Field(ge=0)]


class Backfill(BaseModel):
    """A correction: which rows' event times, as of which moment."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    start: Moment
    end: Moment
    moment: Moment


class Extent(BaseModel):
    """What a file holds. Moments in microseconds; runs H, or arrivals of an on-event
    view; of a view over a table the moments at which its rows were created.

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
    """The metadata of a view's file: schema id and extent."""
    return {SCHEMA_KEY: contract.schema_of(view), EXTENT_KEY: extent.model_dump_json()}


def final_end(view: FeatureView, as_of: int, end: int | None = None) -> int:
    """The end of the runs before `end` that read nothing but what has arrived before `as_of`."""
    bound = as_of if end is None else min(as_of, end)
    runs = runs_of(view)
    if runs is None:
        return max(bound, 0)
    every = runs.schedule
    bound = as_of - view.source_delay if end is None else min(as_of - view.source_delay, end)
    return max((bound - 1) // every * every + 1, 0)


def has_extent(path: Path) -> bool:
    """Whether a view's file has an extent; every file that `proviso features` writes has one."""
    return EXTENT_KEY.encode() in (pq.read_metadata(path).metadata or {})


def read_extent(contract: Contract, view: FeatureView, path: Path) -> Extent:
    """The extent of a view's file. Raises InputError where it is missing or not the file's."""
    check_history(contract, path, view)
    metadata = pq.read_metadata(path)
    stated = (metadata.metadata or {}).get(EXTENT_KEY.encode())
    if stated is None:
        raise InputError.event("history_extent_missing", "no extent metadata", path, _AGAIN)
    try:
        extent = Extent.model_validate_json(stated)
    except ValidationError:
        message = "extent metadata is invalid"
        raise InputError.event("history_extent_invalid", message, path, _AGAIN) from None
    if metadata.num_rows != extent.rows:
        raise InputError.of(
            path,
            f"{metadata.num_rows} rows",
            f"{extent.rows} rows, by its extent metadata",
            "the file was edited; compute it again",
            code="history_rows_mismatch",
        )
    return extent


def arrivals_end(contract: Contract, history: Path, view: FeatureView) -> int | None:
    """The moment before which a history has every arrival; None where it does not say."""
    path = history_file(history, view)
    if not has_extent(path):
        return None
    return read_extent(contract, view, path).end


def used_until(view: FeatureView, end: int) -> int:
    """The moment before which a transaction must have arrived to be in a run before `end`."""
    return end + view.source_delay if runs_of(view) else end
