"""Which tables the places of `--from` name, each with its location as a contract states it."""

from __future__ import annotations

import gzip
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal, cast
from urllib.parse import urlsplit

import pyarrow as pa
import pyarrow.parquet as pq

from proviso.contracts.base import InputError
from proviso.contracts.files import check_is_file
from proviso.contracts.locations import CsvFormat, Location
from proviso.survey.download import download, file_name, is_address, local_path
from proviso.survey.names import plain_name

MAX_TABLES = 50
FORMATS: dict[str, Literal["parquet", "csv"]] = {
    ".parquet": "parquet",
    ".pq": "parquet",
    ".csv": "csv",
    ".csv.gz": "csv",
    ".tsv": "csv",
}
_DELIMITERS = ",;\t|"


@dataclass(frozen=True)
class Place:
    """A table's name, and where its rows lie."""

    name: str
    location: Location


def places_of(given: Sequence[str], data: Path) -> tuple[Place, ...]:
    """The tables of all places, under names of their own. data: the folder for what is downloaded.

    In a folder each file is a table; files of the same columns that lie in one subfolder, or whose
    names differ in digits only, are one, and so is a folder of Delta or Iceberg. Raises InputError.
    """
    found = [place for one in given for place in _places(one, data)]
    if len(found) > MAX_TABLES:
        wanted = f"at most {MAX_TABLES}"
        raise InputError.of(", ".join(given), f"{len(found)} tables", wanted, code="data_too_wide")
    return tuple(_named(found))


def format_of(name: str) -> Literal["parquet", "csv"] | None:
    """What a file's name says it is."""
    low = name.lower()
    return next((kind for ending, kind in FORMATS.items() if low.endswith(ending)), None)


def _named(places: Sequence[Place]) -> Iterator[Place]:
    """Places whose names differ."""
    taken: Counter[str] = Counter()
    for place in places:
        name = plain_name(place.name) or "data"
        taken[name] += 1
        yield Place(name if taken[name] == 1 else f"{name}_{taken[name]}", place.location)


def _places(given: str, data: Path) -> list[Place]:
    if urlsplit(given).scheme in ("s3", "s3a"):
        name = given.rstrip("/").rsplit("/", 1)[-1]
        return [Place(_stem(name), Location(path=given))]
    path = _path(given, data)
    if path.is_dir() and not _is_lake_table(path):
        return _in_folder(path)
    if path.is_dir():
        return [Place(path.name, Location(path=str(path)))]
    check_is_file(path, "a Parquet or CSV file, or a folder of them")
    return [_of_file(path)]


def _path(given: str, data: Path) -> Path:
    """Where the data lies; it is downloaded into the project where that is an https address."""
    if not is_address(given):
        return Path(given)
    if (path := local_path(given)) is not None:
        return path
    name = file_name(given)
    if urlsplit(given).scheme == "https" and format_of(name) is None:
        wanted = f"the address of a file that ends with {', '.join(FORMATS)}"
        raise InputError.of("--from", name or given, wanted, code="data_format_unknown")
    download(given, data / name)
    return data / name


def _is_lake_table(folder: Path) -> bool:
    """Whether a folder is that of a Delta or Iceberg table."""
    return (folder / "_delta_log").is_dir() or any(folder.glob("metadata/*.metadata.json"))


def _of_file(path: Path) -> Place:
    kind = format_of(path.name)
    if kind is None:
        found, wanted = path.suffix or "no ending", f"a file that ends with {', '.join(FORMATS)}"
        raise InputError.of(path, found, wanted, code="data_format_unknown")
    return Place(_stem(path.name), _location(str(path), path))


def _location(place: str, first: Path) -> Location:
    """The location of files that are like the first of them."""
    if format_of(first.name) == "parquet":
        return Location(path=place)
    delimiter = _delimiter(first)
    named = first.name.lower().endswith((".csv", ".csv.gz"))
    return Location(
        path=place,
        format=None if named else "csv",
        csv=CsvFormat() if delimiter == "," else CsvFormat(delimiter=delimiter),
    )


def _delimiter(path: Path) -> str:
    """What separates the names of the header."""
    header = _header(path)
    return max(_DELIMITERS, key=lambda one: (header.count(one), one == ","))


def _header(path: Path) -> str:
    with _opened(path) as file:
        return file.readline(1 << 16).decode(errors="replace")


def _opened(path: Path) -> IO[bytes]:
    return cast(IO[bytes], gzip.open(path)) if path.suffix == ".gz" else path.open("rb")


# --- folders -----------------------------------------------------------------------------------


def _in_folder(folder: Path) -> list[Place]:
    lakes = [path for path in sorted(folder.iterdir()) if path.is_dir() and _is_lake_table(path)]
    tables = [Place(path.name, Location(path=str(path))) for path in lakes]
    groups: dict[tuple[str, str], list[Path]] = {}
    for path in _files(folder, lakes):
        groups.setdefault((_common_name(folder, path), _columns(path)), []).append(path)
    alone = Counter(name for name, _ in groups)
    for (name, _), paths in groups.items():
        if alone[name] == 1 and len(paths) > 1:
            tables.append(Place(name, _location(_pattern(folder, paths), paths[0])))
        else:
            tables.extend(map(_of_file, paths))
    if not tables:
        wanted = f"files that end with {', '.join(FORMATS)}"
        raise InputError.of(folder, "none", wanted, code="data_missing")
    return tables


def _files(folder: Path, lakes: Sequence[Path]) -> list[Path]:
    return sorted(
        path
        for path in folder.rglob("*")
        if path.is_file()
        and format_of(path.name)
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
        and not any(path.is_relative_to(lake) for lake in lakes)
    )


def _common_name(folder: Path, path: Path) -> str:
    """What the files of one table have in common: their subfolder, or their name without digits.

    `trips_2024-01.csv` and `trips_2024-02.csv` are both trips.
    """
    inside = path.relative_to(folder)
    if len(inside.parts) > 1:
        return inside.parts[0]
    return _stem(path.name).rstrip("0123456789-_ ") or _stem(path.name)


def _columns(path: Path) -> str:
    """What tells whether two files have the same columns."""
    if format_of(path.name) == "csv":
        return _header(path)
    try:
        return str(pq.read_schema(path).remove_metadata())
    except (pa.ArrowException, OSError) as error:
        message = str(error).strip().splitlines()[0]
        raise InputError.event("data_unreadable", message, path) from None


def _pattern(folder: Path, paths: Sequence[Path]) -> str:
    """A pattern that all of a table's files fit, and no other file of the folder."""
    inside = paths[0].relative_to(folder)
    ending = "".join(paths[0].suffixes[-2:]) if paths[0].suffix == ".gz" else paths[0].suffix
    if len(inside.parts) > 1:
        return str(folder / inside.parts[0] / "**" / f"*{ending}")
    return str(folder / f"{_common_name(folder, paths[0])}*{ending}")


def _stem(name: str) -> str:
    return name.split(".", 1)[0]
