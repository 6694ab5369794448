"""Files of this machine and of object stores: which of them a path, folder or glob names.

A folder means every file in it, at any depth; what begins with `_` or `.` (`_SUCCESS`, `.crc`) is
no file of rows, as Spark and Hive have it. Any other file that does not end as the format's do is
refused: leaving it out could leave rows out.
"""

from __future__ import annotations

import fnmatch
import re
import urllib.parse
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any, NamedTuple

import pyarrow.fs as pafs

from proviso.contracts.base import InputError
from proviso.contracts.locations import ObjectStore
from proviso.sources.failures import reported
from proviso.sources.secrets import read_secret

ENDINGS = {"parquet": (".parquet", ".pq"), "csv": (".csv", ".csv.gz")}
_GLOB = re.compile(r"[*?\[]")
_NO_VALUE = "__HIVE_DEFAULT_PARTITION__"
"""What Hive and Spark call the folder of rows whose value is null."""


class FoundFile(NamedTuple):
    """A file of rows; its mark tells whether it has changed."""

    path: str
    mark: tuple[object, ...]


@dataclass(frozen=True)
class FileStore:
    """The files of one place: of this machine, or of an object store's `s3://` URLs."""

    filesystem: Any
    prefix: str = ""
    secrets: tuple[str, ...] = ()

    @property
    def local(self) -> bool:
        """Whether the files are this machine's."""
        return not self.prefix

    def shown(self, path: str) -> str:
        """What an error calls a file."""
        return f"{self.prefix}{path}"

    @contextmanager
    def opened(self, path: str) -> Iterator[IO[bytes]]:
        """A file's bytes; seekable."""
        with reported(self.shown(path), self.secrets), self.filesystem.open_input_file(path) as f:
            yield f

    def mark(self, path: str) -> tuple[object, ...]:
        """What differs once a file has been written again; empty where it is gone."""
        if self.local:
            try:
                seen = Path(path).stat()
            except OSError:
                return ()
            return seen.st_size, seen.st_mtime_ns, seen.st_ino
        with reported(self.shown(path), self.secrets):
            info = self.filesystem.get_file_info(path)
        return (info.size, info.mtime_ns) if info.type == pafs.FileType.File else ()

    def kind(self, path: str) -> str:
        """`file`, `folder` or `nothing`."""
        with reported(self.shown(path), self.secrets):
            info = self.filesystem.get_file_info(path)
        names = {pafs.FileType.File: "file", pafs.FileType.Directory: "folder"}
        return names.get(info.type, "nothing")

    def below(self, folder: str) -> list[str]:
        """Paths of all files below a folder, in order."""
        selector = pafs.FileSelector(folder, recursive=True)
        with reported(self.shown(folder), self.secrets):
            infos = self.filesystem.get_file_info(selector)
        return sorted(info.path for info in infos if info.type == pafs.FileType.File)


def file_store(path: str, store: ObjectStore, folder: Path) -> tuple[FileStore, str]:
    """The store that holds a path or URL, and the path in it. Raises InputError."""
    if not path.startswith("s3://"):
        if "://" in path:
            found = path.split("://")[0] + "://"
            raise InputError.of("location", found, "a path or s3://", code="location_unsupported")
        return FileStore(pafs.LocalFileSystem()), str(folder / path)
    settings, secrets = _settings(store, folder)
    with reported(path, secrets):
        return FileStore(pafs.S3FileSystem(**settings), "s3://", secrets), path.removeprefix(
            "s3://"
        )


def _settings(store: ObjectStore, folder: Path) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Arguments of pyarrow's S3FileSystem, and those of their values that are secret."""
    settings: dict[str, Any] = {"anonymous": store.anonymous}
    if store.region is not None:
        settings["region"] = store.region
    if store.endpoint is not None:
        address = urllib.parse.urlsplit(store.endpoint)
        settings |= {"scheme": address.scheme or "https", "endpoint_override": address.netloc}
    secrets = store_secrets(store, folder)
    names = {"access_key_id": "access_key", "secret_access_key": "secret_key"}
    settings |= {names.get(name, name): value for name, value in secrets.items()}
    return settings, tuple(secrets.values())


def store_secrets(store: ObjectStore, folder: Path) -> dict[str, str]:
    """The keys that a location names, read. Raises InputError."""
    named = {
        "access_key_id": store.access_key_id,
        "secret_access_key": store.secret_access_key,
        "session_token": store.session_token,
    }
    return {n: read_secret(one, folder) for n, one in named.items() if one is not None}


def files_of(files: FileStore, path: str, endings: Sequence[str]) -> list[FoundFile]:
    """The files that a path, folder or glob names, in order; at least one. Raises InputError."""
    kind = files.kind(path)
    if kind == "file":
        return [FoundFile(path, files.mark(path))]
    chosen = _in_folder(files, path, endings) if kind == "folder" else _matching(files, path)
    return [FoundFile(one, files.mark(one)) for one in chosen]


def _in_folder(files: FileStore, path: str, endings: Sequence[str]) -> list[str]:
    rows = [one for one in files.below(path) if not _hidden(one, path)]
    wanted = f"files that end in {' or '.join(endings)}"
    if foreign := [one for one in rows if not one.endswith(tuple(endings))]:
        found = f"{len(foreign)} other files, such as {files.shown(foreign[0])}"
        why = "a glob chooses among the files of a folder"
        raise InputError.of(files.shown(path), found, wanted, why, code="source_folder_foreign")
    if not rows:
        raise InputError.of(files.shown(path), "none", wanted, code="source_files_missing")
    return rows


def _matching(files: FileStore, pattern: str) -> list[str]:
    """The files that a glob matches: `*` within a name, `**` any number of folders."""
    if not _GLOB.search(pattern):
        found, wanted = "no such file", "a file, folder or glob"
        raise InputError.of(files.shown(pattern), found, wanted, code="file_not_found")
    parts = PurePosixPath(pattern).parts
    first = next(place for place, part in enumerate(parts) if _GLOB.search(part))
    root = str(PurePosixPath(*parts[:first])) if first else "."
    below = files.below(root) if files.kind(root) == "folder" else []
    depth = len(PurePosixPath(root).parts)
    rows = [one for one in below if _matches(PurePosixPath(one).parts[depth:], parts[first:])]
    if not rows:
        wanted = "at least one file that the glob matches"
        raise InputError.of(files.shown(pattern), "none", wanted, code="source_files_missing")
    return rows


def _matches(names: Sequence[str], parts: Sequence[str]) -> bool:
    """Whether names of a path match a glob's parts; a name with a leading dot needs one there."""
    if not names or not parts:
        return not names and (not parts or tuple(parts) == ("**",))
    if parts[0] == "**":
        return _matches(names, parts[1:]) or _matches(names[1:], parts)
    if names[0].startswith(".") and not parts[0].startswith("."):
        return False
    return fnmatch.fnmatchcase(names[0], parts[0]) and _matches(names[1:], parts[1:])


def _hidden(path: str, folder: str) -> bool:
    """Whether a name below the folder begins with `_` or `.`; `_date=2026-01-01` is a value's."""
    names = PurePosixPath(path).relative_to(PurePosixPath(folder)).parts
    return any(name[0] == "." or (name[0] == "_" and "=" not in name) for name in names)


def folder_values(shown: str, path: str, keys: Sequence[str]) -> dict[str, str | None]:
    """The values of folders `key=value` on a path. Raises InputError where a key is missing."""
    stated = dict(p.split("=", 1) for p in PurePosixPath(path).parts[:-1] if "=" in p)
    if missing := [key for key in keys if key not in stated]:
        wanted = f"a folder {missing[0]}=VALUE in the path of every file"
        raise InputError.of(shown, "none", wanted, "partitions", code="source_partition_missing")
    values = {key: urllib.parse.unquote(stated[key]) for key in keys}
    return {key: None if value in ("", _NO_VALUE) else value for key, value in values.items()}
