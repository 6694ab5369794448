"""`proviso init --from`: data at paths or addresses becomes the files of a drafted project."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from proviso.contracts.base import InputError
from proviso.contracts.locations import Location
from proviso.contracts.starter import check_empty, write_project
from proviso.survey.draft import draft
from proviso.survey.drafted import Draft, DraftSource
from proviso.survey.facts import TableFacts
from proviso.survey.places import places_of
from proviso.survey.project import project_files
from proviso.survey.reading import copy_as_parquet, read_table
from proviso.survey.roles import Roles, is_truth, roles_of

DATA = "data"
"""The folder of a project for what was downloaded or converted."""
QUESTION = "QUESTION"
"""How a line of the files begins that the user is to answer."""


@dataclass(frozen=True)
class Started:
    """A drafted project: its files' texts, and what was decided in lines."""

    texts: Mapping[str, str]
    decided: tuple[str, ...]


def start_project(places: Sequence[str], directory: Path, label: str | None) -> Started:
    """Writes a project for the data at `places` into `directory`. Raises InputError.

    label: the column to predict, or `table.column`, where the user names one.
    """
    check_empty(directory)
    with _at_hand(directory):
        tables = [read_table(place) for place in places_of(places, directory / DATA)]
        drafted = _readable(draft(_roles(tables, label)), directory)
        texts = project_files(drafted, directory)
        write_project(directory, texts)
    return Started(texts, _said(drafted))


def _said(drafted: Draft) -> tuple[str, ...]:
    """What was decided, a line each."""
    asked = drafted.asked
    lines = [f"predicts {drafted.label.name} of {asked.name}, {asked.roles.table.rows:,} rows"]
    for source in drafted.sources[1:]:
        keys = ", ".join(key.entity.name for key in source.keys)
        kind = "events" if source.kind == "events" else "a table of values"
        lines.append(f"joins {source.name} by {keys}, {kind}")
    return (*lines, *(f"leaves out {one.column}: {one.reason}" for one in drafted.unused))


def _readable(drafted: Draft, directory: Path) -> Draft:
    """The draft over data that a contract can read: a copy where it has other moments."""
    return replace(drafted, sources=tuple(_copied(one, directory) for one in drafted.sources))


def _copied(source: DraftSource, directory: Path) -> DraftSource:
    table = source.roles.table
    if not table.rewritten:
        return source
    path = directory / DATA / f"{table.name}.parquet"
    copy_as_parquet(table, path)
    copied = replace(table, location=Location(path=str(path)))
    return replace(source, roles=replace(source.roles, table=copied))


@contextmanager
def _at_hand(directory: Path) -> Iterator[None]:
    """What was written into the project goes again if the block fails."""
    existed = directory.exists()
    try:
        yield
    except BaseException:
        shutil.rmtree(directory / DATA if existed else directory, ignore_errors=True)
        raise


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
