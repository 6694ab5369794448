"""Where a source's rows lie: the `location` of a source of the contract.

A secret is never a value here: the file or the environment variable that holds it is named.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import Field, model_validator

from proviso.contracts.base import Name, Strict, Text, invalid

Variable = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,126}$")]
"""The name of an environment variable."""

FolderColumn = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_ -]{0,126}$")]
"""The `key` of folders that are called `key=value`."""

_PASSWORD = re.compile(r"//[^/@]*:[^/@]+@|[?&; ](password|passwd|pwd|token)=", re.IGNORECASE)
Model = TypeVar("Model", bound=Strict)
_PLACES = ("path", "delta", "iceberg", "query")


class Secret(Strict):
    """A secret by name: a file that holds it, or an environment variable."""

    file: Text | None = None
    env: Variable | None = None

    @model_validator(mode="after")
    def _one(self) -> Secret:
        if (self.file is None) == (self.env is None):
            found = f"file {self.file} and env {self.env}"
            raise invalid("secret_ambiguous", found, "exactly one of `file` and `env`")
        return self


class CsvFormat(Strict):
    """How a CSV file is written: UTF-8, a header line, `"` around fields that need it.

    An empty field is null; `nulls` are further texts that are.
    """

    delimiter: Annotated[str, Field(pattern=r'^[^"\r\n]$')] = ","
    nulls: list[Annotated[str, Field(max_length=100)]] = Field(default_factory=list)


class ObjectStore(Strict):
    """An S3-compatible object store, for places that begin with `s3://`.

    Without keys they are the environment's (`AWS_ACCESS_KEY_ID` and so on, or the machine's role).
    """

    endpoint: Text | None = None
    region: Text | None = None
    access_key_id: Secret | None = None
    secret_access_key: Secret | None = None
    session_token: Secret | None = None
    anonymous: bool = False

    @model_validator(mode="after")
    def _both_keys(self) -> ObjectStore:
        if (self.access_key_id is None) != (self.secret_access_key is None):
            wanted = "both access_key_id and secret_access_key, or neither"
            raise invalid("store_keys_incomplete", "one of them", wanted)
        return self


class Database(Strict):
    """A database that an ADBC driver connects to.

    driver: the NAME of the Python package `adbc_driver_NAME`. uri: the driver's address without a
    password, or a secret that holds the whole of it.
    """

    driver: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")]
    uri: Text | Secret
    password: Secret | None = None

    @model_validator(mode="after")
    def _no_password_stated(self) -> Database:
        if isinstance(self.uri, str) and _PASSWORD.search(self.uri):
            wanted = "`password: {file: ...}` or `password: {env: ...}`"
            raise invalid("secret_stated", "a password in `uri`", wanted)
        return self


class Location(Strict):
    """Where rows lie: exactly one of `path`, `delta`, `iceberg` and `query`.

    path: a Parquet or CSV file, a folder of them, a glob, or a Delta or Iceberg table's folder,
    local or `s3://`. format: of the files, where their ending does not say. partitions: the keys
    of folders `key=value` that are columns; no other folder's name is one. delta: a table's folder.
    iceberg: a table's folder or metadata file, or its identifier in `catalog`. query: SQL of
    `database`. A relative path is one in the project, the folder that holds the contract's.
    """

    path: Text | None = None
    format: Literal["parquet", "csv"] | None = None
    csv: CsvFormat = CsvFormat()
    partitions: list[FolderColumn] = Field(default_factory=list)
    delta: Text | None = None
    version: Annotated[int, Field(ge=0)] | None = None
    iceberg: Text | None = None
    catalog: Name | None = None
    snapshot: Annotated[int, Field(ge=0)] | None = None
    query: Text | None = None
    database: Database | None = None
    store: ObjectStore = ObjectStore()

    @model_validator(mode="after")
    def _one_place(self) -> Location:
        stated = [name for name in _PLACES if getattr(self, name) is not None]
        if len(stated) != 1:
            found = " and ".join(stated) or "no place"
            raise invalid("location_ambiguous", found, f"exactly one of {', '.join(_PLACES)}")
        if (self.query is None) != (self.database is None):
            wanted = "`query` and `database` together"
            raise invalid("location_query_incomplete", "one of them", wanted)
        self._fits(stated[0])
        return self

    def _fits(self, place: str) -> None:
        """Refuses settings of another kind of place. Raises PydanticCustomError."""
        of_place = {"version": "delta", "catalog": "iceberg", "snapshot": "iceberg"}
        of_place |= {"format": "path", "partitions": "path", "csv": "path"}
        for name, wanted in of_place.items():
            if name in self.model_fields_set and wanted != place and getattr(self, name):
                found, fits = f"{name} beside {place}", f"{name} only beside {wanted}"
                raise invalid("location_setting_misplaced", found, fits)

    @property
    def shown(self) -> str:
        """What an error calls the place; it holds no secret."""
        if self.query is not None and self.database is not None:
            return f"{self.database.driver} query"
        return self.path or self.delta or self.iceberg or ""

    def at(self, path: str) -> Location:
        """This location with its files elsewhere; of another kind of place, only the path."""
        if self.path is None:
            return Location(path=path, store=self.store)
        return self.model_copy(update={"path": path})

    def within(self, folder: Path) -> Location:
        """The same place, whose relative paths are those of a folder."""
        changes: dict[str, object] = {
            name: str(folder / stated)
            for name in ("path", "delta", "iceberg")
            if (stated := getattr(self, name)) is not None and self._is_relative(name, stated)
        }
        if self.database is not None:
            changes["database"] = _placed(self.database, folder)
        return self.model_copy(update={**changes, "store": _placed(self.store, folder)})

    def _is_relative(self, name: str, stated: str) -> bool:
        identifier = name == "iceberg" and self.catalog is not None
        return not identifier and "://" not in stated


def _placed(model: Model, folder: Path) -> Model:
    """A model whose secrets' files are those of a folder."""
    secrets = {
        name: secret.model_copy(update={"file": str(folder / secret.file)})
        for name in type(model).model_fields
        if isinstance(secret := getattr(model, name), Secret) and secret.file is not None
    }
    return model.model_copy(update=secrets)
