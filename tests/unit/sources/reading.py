"""Reads a location whole, as the engine would find it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from proviso.contracts.locations import Location
from proviso.sources import open_source


def rows_of(
    location: dict[str, Any] | str, folder: Path, columns: list[str] | None = None
) -> list[dict[str, Any]]:
    """All rows of the files that a location is read as, by column, in order of `id`."""
    copies = folder / ".copies"
    copies.mkdir(exist_ok=True)
    stated = {"path": location} if isinstance(location, str) else location
    with open_source(Location.model_validate(stated), columns, copies, folder) as files:
        tables = [pq.read_table(path, partitioning=None) for path in files.paths]
        for path in copies.iterdir():
            path.unlink()
    rows: list[dict[str, Any]] = pa.concat_tables(tables, promote_options="default").to_pylist()
    return sorted(rows, key=lambda row: str(row.get("id")))
