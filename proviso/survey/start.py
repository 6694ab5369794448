"""`proviso init --from`: data at a path or address becomes the files of a drafted project."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

from proviso.contracts.base import InputError
from proviso.contracts.starter import check_empty, write_project
from proviso.survey.download import download, file_name, is_address, local_path
from proviso.survey.draft import Draft, draft
from proviso.survey.facts import TableFacts
from proviso.survey.project import project_files
from proviso.survey.reading import FORMATS, copy_as_parquet, format_of, read_tables
from proviso.survey.roles import Roles, is_truth, roles_of

DATA = "data"
"""The folder of a project for what was downloaded."""
QUESTION = "QUESTION"
"""How a line of the files begins that the user is to answer."""


def start_project(place: str, directory: Path, label: str | None) -> dict[str, str]:
    """Writes a project for the data at `place` into `directory`; returns its files' texts.

    label: the column to predict, or `table.column`, where the user names one. Raises InputError.
    """
    check_empty(directory)
    with _at_hand(place, directory) as path:
        drafted = _as_one_file(draft(_roles(read_tables(path), label)), directory)
        texts = project_files(drafted, directory)
        write_project(directory, texts)
    return texts


def _as_one_file(drafted: Draft, directory: Path) -> Draft:
    """The draft over one Parquet file, which other commands read: a copy of any other data."""
    table = drafted.roles.table
    if table.format == "parquet" and Path(table.place).is_file():
        return drafted
    path = directory / DATA / f"{table.name}.parquet"
    copy_as_parquet(table, path)
    return replace(drafted, roles=replace(drafted.roles, table=replace(table, place=str(path))))


@contextmanager
def _at_hand(place: str, directory: Path) -> Iterator[Path]:
    """The data as a path; what was written into the project goes again if the block fails."""
    existed = directory.exists()
    try:
        yield _path(place, directory)
    except BaseException:
        shutil.rmtree(directory / DATA if existed else directory, ignore_errors=True)
        raise


def _path(place: str, directory: Path) -> Path:
    """Where the data lies; it is downloaded into the project where that is an https address."""
    if not is_address(place):
        return Path(place)
    if (path := local_path(place)) is not None:
        return path
    name = file_name(place)
    if urlsplit(place).scheme == "https" and format_of(name) is None:
        wanted = f"the address of a file that ends with {', '.join(FORMATS)}"
        raise InputError.of("--from", name or place, wanted, code="data_format_unknown")
    download(place, directory / DATA / name)
    return directory / DATA / name


def _roles(tables: Sequence[TableFacts], label: str | None) -> list[Roles]:
    """The roles of all tables; where the user names a label, no other table has one."""
    if label is None:
        return [roles_of(table) for table in tables]
    name, dot, column = label.rpartition(".")
    found = [table for table in tables if _has(table, label)]
    if not found and dot:
        found = [table for table in tables if table.name == name and _has(table, column)]
        label = column
    if not found:
        names = [column.name for table in tables for column in table.columns]
        wanted = f"a column of the data, one of {', '.join(names[:20])}"
        raise InputError.of("--label", label, wanted, code="label_unknown")
    for table in found:
        _check_truth(table, label)
    return [
        roles_of(table, label) if table in found else replace(roles_of(table), label=None)
        for table in tables
    ]


def _has(table: TableFacts, column: str) -> bool:
    return any(one.name == column for one in table.columns)


def _check_truth(table: TableFacts, label: str) -> None:
    column = table.column(label)
    if not is_truth(column):
        found = f"{column.name} of type {column.type} with {column.distinct} values"
        wanted = "a column with both of true and false, or 0 and 1"
        raise InputError.of("--label", found, wanted, code="label_not_binary")
