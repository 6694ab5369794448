"""Delta tables: the only module that imports deltalake."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from proviso.contracts.locations import Location
from proviso.sources.failures import extra_module, reported
from proviso.sources.stores import store_secrets
from proviso.sources.tables import Rows, Table


def delta_table(location: Location, place: str, folder: Path) -> Table:
    """A Delta table at one version: the location's, or the newest. Raises InputError."""
    deltalake: Any = extra_module("deltalake", "proviso[delta]", place)
    secrets = store_secrets(location.store, folder)
    options = _options(location, secrets) if place.startswith("s3://") else None
    uri = place if "://" in place else str(folder / place)
    with reported(place, secrets.values()):
        table = deltalake.DeltaTable(uri, version=location.version, storage_options=options)
        names = tuple(field.name for field in table.schema().fields)

    def read(columns: Sequence[str]) -> Rows:
        chosen = ", ".join('"' + name.replace('"', '""') + '"' for name in columns)
        with reported(place, secrets.values()):
            query = deltalake.QueryBuilder().register("_rows", table)
            reader = pa.RecordBatchReader.from_stream(query.execute(f"select {chosen} from _rows"))
        return Rows(reader.schema, _read(reader, place, tuple(secrets.values())))

    return Table(place, names, read)


def _read(
    reader: pa.RecordBatchReader, place: str, secrets: Sequence[str]
) -> Iterator[pa.RecordBatch]:
    with reported(place, secrets):
        yield from reader


def _options(location: Location, secrets: dict[str, str]) -> dict[str, str]:
    """Settings of the object store in deltalake's names."""
    store = location.store
    options = {f"aws_{name}": value for name, value in secrets.items()}
    if store.region is not None:
        options["aws_region"] = store.region
    if store.endpoint is not None:
        options["aws_endpoint_url"] = store.endpoint
        options["aws_allow_http"] = str(store.endpoint.startswith("http://")).lower()
    if store.anonymous:
        options["aws_skip_signature"] = "true"
    return options
