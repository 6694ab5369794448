"""Iceberg tables: the only module that imports pyiceberg."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from proviso.contracts.base import InputError
from proviso.contracts.locations import Location
from proviso.sources.failures import extra_module, reported
from proviso.sources.stores import FileStore, file_store, store_secrets
from proviso.sources.tables import Rows, Table

_METADATA = re.compile(r".*/(?:v(\d+)|(\d+)-[^/]*)(?:\.gz)?\.metadata\.json")
_INSTALL = "proviso[iceberg]"


def iceberg_table(location: Location, place: str, folder: Path) -> Table:
    """An Iceberg table at one snapshot: the location's, or the newest. Raises InputError."""
    extra_module("pyiceberg", _INSTALL, place)
    secrets = store_secrets(location.store, folder)
    with reported(place, secrets.values()):
        table = _loaded(location, place, folder, _properties(location, secrets))
        names = tuple(field.name for field in _schema(table, location.snapshot).fields)

    def read(columns: Sequence[str]) -> Rows:
        with reported(place, secrets.values()):
            snapshot = _snapshot(table, location)
            scan = table.scan(selected_fields=tuple(columns), snapshot_id=snapshot)
            reader = scan.to_arrow_batch_reader()
        chosen = pa.schema([reader.schema.field(name) for name in columns])
        return Rows(chosen, _read(reader, columns, place, tuple(secrets.values())))

    return Table(place, names, read)


def is_iceberg(files: FileStore, path: str) -> bool:
    """Whether a folder is an Iceberg table's."""
    return bool(_numbered(files, path))


def _loaded(location: Location, place: str, folder: Path, properties: dict[str, str]) -> Any:
    if location.catalog is not None:
        catalogs: Any = extra_module("pyiceberg.catalog", _INSTALL, place)
        return catalogs.load_catalog(location.catalog, **properties).load_table(place)
    tables: Any = extra_module("pyiceberg.table", _INSTALL, place)
    metadata = place if "://" in place else str((folder / place).absolute())
    if not place.endswith(".metadata.json"):
        metadata = _newest_metadata(location, place, folder)
    return tables.StaticTable.from_metadata(metadata, properties)


def _newest_metadata(location: Location, place: str, folder: Path) -> str:
    """The metadata file of the greatest number in a table's folder. Raises InputError.

    Only a catalogue knows which of two files of one number was committed.
    """
    files, path = file_store(place, location.store, folder)
    numbered = _numbered(files, path)
    if not numbered:
        wanted = "metadata/*.metadata.json"
        raise InputError.of(place, "none", wanted, code="iceberg_metadata_missing")
    newest = [name for number, name in numbered if number == numbered[-1][0]]
    if len(newest) > 1:
        found, wanted = f"{len(newest)} newest metadata files", "one"
        why = "name the file, or the catalogue"
        raise InputError.of(place, found, wanted, why, code="iceberg_metadata_ambiguous")
    return str(Path(newest[0]).absolute()) if files.local else files.shown(newest[0])


def _numbered(files: FileStore, path: str) -> list[tuple[int, str]]:
    """Numbers and names of the metadata files in a table's folder, in order."""
    metadata = f"{path.rstrip('/')}/metadata"
    names = files.below(metadata) if files.kind(metadata) == "folder" else []
    matched = [(m, name) for name in names if (m := _METADATA.fullmatch(name))]
    return sorted((int(m[1] or m[2]), name) for m, name in matched)


def _schema(table: Any, snapshot: int | None) -> Any:
    if snapshot is None:
        return table.schema()
    return table.scan(snapshot_id=snapshot).projection()


def _snapshot(table: Any, location: Location) -> int | None:
    """The snapshot that is read, though others be committed meanwhile."""
    if location.snapshot is not None:
        return location.snapshot
    newest = table.current_snapshot()
    return None if newest is None else int(newest.snapshot_id)


def _read(
    reader: pa.RecordBatchReader, columns: Sequence[str], place: str, secrets: Sequence[str]
) -> Iterator[pa.RecordBatch]:
    with reported(place, secrets):
        for batch in reader:
            yield batch.select(list(columns))


def _properties(location: Location, secrets: dict[str, str]) -> dict[str, str]:
    """Settings of the object store in pyiceberg's names."""
    store = location.store
    properties = {f"s3.{name.replace('_', '-')}": value for name, value in secrets.items()}
    if store.region is not None:
        properties["s3.region"] = store.region
    if store.endpoint is not None:
        properties["s3.endpoint"] = store.endpoint
    if store.anonymous:
        properties["s3.anonymous"] = "true"
    return properties
