"""Databases by a query, over ADBC: the only module that loads an ADBC driver."""

from __future__ import annotations

import urllib.parse
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa

from proviso.contracts.locations import Database, Location
from proviso.sources.failures import extra_module, reported
from proviso.sources.secrets import read_secret
from proviso.sources.tables import Rows, Table


@contextmanager
def query_table(location: Location, folder: Path) -> Iterator[Table]:
    """The answer of a location's query, while the connection is open. Raises InputError.

    The query runs as a part of ours, which chooses the columns: it must be one SELECT.
    """
    database, shown = location.database, location.shown
    if database is None or location.query is None:
        raise ValueError("found no database and query, wanted both: the caller checks")
    uri, options, secrets = _address(database, folder)
    name = f"adbc_driver_{database.driver}"
    driver: Any = extra_module(f"{name}.dbapi", _install(database.driver), shown)
    rows = f"({location.query.rstrip().rstrip(';')}\n) as _rows"
    with ExitStack() as opened:
        with reported(shown, secrets):
            connection = opened.enter_context(driver.connect(uri, **options))
            cursor = opened.enter_context(connection.cursor())
            schema = _executed(cursor, f"select * from {rows} limit 0").schema

        def read(columns: Sequence[str]) -> Rows:
            chosen = ", ".join('"' + name.replace('"', '""') + '"' for name in columns)
            with reported(shown, secrets):
                reader = _executed(cursor, f"select {chosen} from {rows}")
            return Rows(reader.schema, _read(reader, shown, secrets))

        texts = frozenset(f.name for f in schema if _is_text_of_another_type(f.type))
        yield Table(shown, tuple(schema.names), read, texts)


def _install(driver: str) -> str:
    return "proviso[postgresql]" if driver == "postgresql" else f"adbc-driver-{driver}"


def _address(
    database: Database, folder: Path
) -> tuple[str, dict[str, dict[str, str]], tuple[str, ...]]:
    """The driver's address and options, and the secrets that are in them. Raises InputError."""
    secrets = []
    uri = database.uri
    if not isinstance(uri, str):
        uri = read_secret(uri, folder)
        secrets += [uri, urllib.parse.urlsplit(uri).password or uri]
    if database.password is None:
        return uri, {}, tuple(secrets)
    password = read_secret(database.password, folder)
    encoded = urllib.parse.quote(password, safe="")
    secrets += [password, encoded]
    if database.driver == "postgresql":
        return f"{uri}{'&' if '?' in uri else '?'}password={encoded}", {}, tuple(secrets)
    return uri, {"db_kwargs": {"password": password}}, tuple(secrets)


def _executed(cursor: Any, query: str) -> Any:
    """The reader of a query's answer; it ends with the cursor's next query."""
    cursor.execute(query)
    return cursor.fetch_record_batch()


def _is_text_of_another_type(kind: pa.DataType) -> bool:
    """Whether the driver passes a type that Arrow lacks on as text: PostgreSQL's `numeric`."""
    return isinstance(kind, pa.OpaqueType) and pa.types.is_string(kind.storage_type)


def _read(
    reader: pa.RecordBatchReader, shown: str, secrets: Sequence[str]
) -> Iterator[pa.RecordBatch]:
    with reported(shown, secrets):
        yield from reader
