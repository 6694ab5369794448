"""Where rows come from: the `sources` of a contract, and what is predicted of them.

A source is a table that somebody else writes. Its columns are typed here; what a file must hold is
`history.duckdb.source`'s. `Contract.observations_of` resolves what a service predicts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Discriminator, Field, Tag, model_validator

from proviso.contracts.base import Duration, Name, Strict, Text, invalid
from proviso.contracts.locations import Location

Dtype = Literal["int64", "float64", "money", "bool", "string", "timestamp"]

FileColumn = Annotated[str, Field(pattern=r"^[^\x00-\x1f\x7f]{1,200}$")]
"""A column as a file or table calls it: any case, spaces."""

_DURATION = re.compile(r"P(T?\d.*)?")


class KnownAt(Strict):
    """When a value becomes known: the moment in a column of the file, else `delay` after the event.

    A null in the column without a `delay` means: not known yet.
    """

    column: FileColumn | None = None
    delay: Duration | None = None

    @model_validator(mode="after")
    def _stated(self) -> KnownAt:
        if self.column is None and self.delay is None:
            wanted = "a column, a delay, or both"
            raise invalid("known_at_empty", "neither column nor delay", wanted)
        return self


def _known_at(value: Any) -> Any:
    """The short forms: the name of a column, or a duration."""
    if not isinstance(value, str):
        return value
    return {"delay": value} if _DURATION.fullmatch(value) else {"column": value}


class Column(Strict):
    """A column of a source.

    scale: money is summed as integer minor units of 10^-scale. known_at: left out where the value
    is known with the row itself. column: what the file calls it, by default its name.
    """

    dtype: Dtype
    scale: Annotated[int, Field(ge=0, le=6)] = 0
    nullable: bool = False
    known_at: Annotated[KnownAt | None, BeforeValidator(_known_at)] = None
    column: FileColumn | None = None
    description: Text | None = None

    @property
    def late(self) -> bool:
        """Whether the value is known only after the event."""
        return self.known_at is not None


def stored_dtype(column: Column) -> str | None:
    """The dtype of a feature that is the column, None where it can be none."""
    if column.dtype == "timestamp":
        return None
    return "float64" if column.dtype == "money" else column.dtype


class _Rows(Strict):
    """What all sources have that are tables of their own.

    entities: those whose keys the rows carry. keys: the key's column in the file, where it is not
    called like the entity's join key. quarantine: the share of rows that may be set aside because
    they do not fit; 0 refuses the source with the first of them.
    """

    name: Name
    description: Text | None = None
    location: Location | None = None
    event_timestamp: FileColumn
    entities: Annotated[list[Name], Field(min_length=1)]
    keys: dict[Name, FileColumn] = Field(default_factory=dict)
    columns: dict[Name, Column] = Field(default_factory=dict)
    quarantine: Annotated[float, Field(ge=0, lt=1)] = 0.0

    @property
    def late_columns(self) -> dict[str, KnownAt]:
        """The columns whose value is known only after the event."""
        return {n: c.known_at for n, c in self.columns.items() if c.known_at is not None}

    def file_column(self, name: str) -> str:
        """What the file calls one of the `columns`."""
        return self.columns[name].column or name


class EventsSource(_Rows):
    """Rows that happened."""

    kind: Literal["events"]
    id: Name
    id_column: FileColumn | None = None
    arrival_timestamp: FileColumn | None = None


class TableSource(_Rows):
    """Features that somebody else computed: rows with the moment that they can be read from."""

    kind: Literal["table"]
    created_timestamp: FileColumn


class ObservationsSource(_Rows):
    """What is to be predicted, one row each; `event_timestamp` is the moment of asking."""

    kind: Literal["observations"]
    id: Name
    id_column: FileColumn | None = None
    arrival_timestamp: FileColumn | None = None
    label: Name


class ObservedRows(Strict):
    """Observations that are the rows of an events source."""

    kind: Literal["observations"]
    name: Name
    description: Text | None = None
    rows_of: Name
    label: Name


_KINDS = {"events": "EventsSource", "table": "TableSource", "observations": "ObservationsSource"}


def _kind(value: Any) -> str | None:
    """Decided before parsing, so that a problem is reported for the kind that the file states."""
    stated = value if isinstance(value, dict) else getattr(value, "__dict__", {})
    if stated.get("kind") == "observations" and "rows_of" in stated:
        return "ObservedRows"
    return _KINDS.get(str(stated.get("kind")))


Source = Annotated[
    Annotated[EventsSource, Tag("EventsSource")]
    | Annotated[TableSource, Tag("TableSource")]
    | Annotated[ObservationsSource, Tag("ObservationsSource")]
    | Annotated[ObservedRows, Tag("ObservedRows")],
    Discriminator(_kind),
]
"""An item of the contract's `sources`."""

RowsSource = EventsSource | TableSource | ObservationsSource
"""A source with a place, columns and keys of its own."""

AskedSource = EventsSource | ObservationsSource
"""A source whose rows may be what is predicted."""


@dataclass(frozen=True)
class Label:
    """What is predicted: a column, and when its value is known."""

    column: str
    known: KnownAt
    description: str

    @property
    def known_at(self) -> str | None:
        """The column of the file with the moment at which the label is known."""
        return self.known.column

    @property
    def delay(self) -> int:
        """Microseconds from the event to the known label where no column says it."""
        return self.known.delay or 0


@dataclass(frozen=True)
class Observations:
    """What a service predicts: the rows of a source, and which of their columns is the label."""

    name: str
    rows: AskedSource
    label: Label

    @property
    def id(self) -> str:
        return self.rows.id

    @property
    def event_timestamp(self) -> str:
        """The file's column with the moment of asking."""
        return self.rows.event_timestamp

    @property
    def arrival_timestamp(self) -> str | None:
        return self.rows.arrival_timestamp

    @property
    def entities(self) -> Sequence[str]:
        return self.rows.entities

    @cached_property
    def columns(self) -> Mapping[str, Column]:
        """The columns of the rows but the label."""
        return {n: c for n, c in self.rows.columns.items() if n != self.label.column}


def rows_source(sources: Sequence[Source], name: str | None) -> EventsSource | TableSource | None:
    """The source of a view that names one; without a name the only events source, if it is one."""
    if name is None:
        events = [source for source in sources if isinstance(source, EventsSource)]
        return events[0] if len(events) == 1 else None
    named = (source for source in sources if source.name == name)
    return next((one for one in named if isinstance(one, EventsSource | TableSource)), None)


def observed(sources: Sequence[Source], name: str | None) -> Observations | None:
    """The observations of a name; without a name the only ones, if there is one such source."""
    found = [s for s in sources if isinstance(s, ObservationsSource | ObservedRows)]
    chosen = [source for source in found if name is None or source.name == name]
    if len(chosen) != 1:
        return None
    rows = _asked_rows(sources, chosen[0])
    column = rows.columns.get(chosen[0].label) if rows else None
    if rows is None or column is None or column.known_at is None:
        return None
    label = Label(chosen[0].label, column.known_at, column.description or "")
    return Observations(chosen[0].name, rows, label)


def _asked_rows(
    sources: Sequence[Source], observations: ObservationsSource | ObservedRows
) -> AskedSource | None:
    if isinstance(observations, ObservationsSource):
        return observations
    events = (source for source in sources if isinstance(source, EventsSource))
    return next((source for source in events if source.name == observations.rows_of), None)
