"""What is counted and sampled of a table of unknown meaning, before anything is decided."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from proviso.contracts.locations import Location

Kind = Literal[
    "integer", "decimal", "float", "boolean", "text", "timestamp", "date", "empty", "other"
]
"""`empty`: null in every row. `other`: times of day, bytes, lists; a contract has no such type."""

Value = bool | int | float | str | None
"""A value of the sample; moments and dates are microseconds."""


@dataclass(frozen=True)
class ColumnFacts:
    """A column as the file has it.

    type: how the reader calls it. unique: every row has a value of its own. distinct: about, in
    large tables. low, high: of all rows; None for text. sample: values of the sampled rows, in one
    order for all columns. form: of a text that is not written as a contract reads it.
    """

    name: str
    kind: Kind
    type: str
    nulls: int
    distinct: int
    unique: bool
    sample: tuple[Value, ...]
    low: Value = None
    high: Value = None
    scale: int = 0
    form: str = ""


@dataclass(frozen=True)
class TableFacts:
    """A table: a file, several files of the same columns, or a table of a lake."""

    name: str
    location: Location
    rows: int
    columns: tuple[ColumnFacts, ...]

    @property
    def place(self) -> str:
        """What messages call the place."""
        return self.location.shown

    @property
    def rewritten(self) -> bool:
        """Whether a contract can read its rows only from a copy: of texts in another form."""
        return any(column.form for column in self.columns)

    def column(self, name: str) -> ColumnFacts:
        """The column of a name that it has."""
        return next(column for column in self.columns if column.name == name)
