"""What the files of a drafted project say: sources, entities, views, a service, days."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from proviso.survey.roles import LeftOut, Roles

Dtype = Literal["int64", "float64", "money", "bool", "string", "timestamp"]


@dataclass(frozen=True)
class DraftColumn:
    """A column of a source.

    known_at: the file's column with the moment of its value. decimals: of a float64, as its
    sampled values have them. distinct: its values, about.
    """

    name: str
    physical: str
    dtype: Dtype
    scale: int = 0
    nullable: bool = False
    known_at: str | None = None
    decimals: int = 0
    distinct: int = 0


@dataclass(frozen=True)
class DraftEntity:
    """What features are keyed by. physical: its column in the rows that are asked about."""

    name: str
    join_key: str
    physical: str
    dtype: Literal["string", "int64"]
    distinct: int
    reason: str


@dataclass(frozen=True)
class DraftKey:
    """A source's column with the keys of an entity. reason: why it is that entity's."""

    entity: DraftEntity
    physical: str
    reason: str = ""


@dataclass(frozen=True)
class DraftSource:
    """A source. names: of the contract, by the file's columns. unused: what it does not name."""

    roles: Roles
    kind: Literal["events", "table"]
    names: dict[str, str]
    keys: tuple[DraftKey, ...]
    columns: tuple[DraftColumn, ...]
    unused: tuple[LeftOut, ...]

    @property
    def name(self) -> str:
        return self.roles.table.name

    @property
    def moment(self) -> str:
        """The file's column with the moment of a row."""
        assert self.roles.moment is not None
        return self.roles.moment.column

    @property
    def created(self) -> str:
        """Of a table: the file's column with the moment from which a row could be read."""
        return self.roles.arrival.column if self.roles.arrival else self.moment

    @property
    def usable(self) -> tuple[DraftColumn, ...]:
        """The columns whose values are known with the row, which a label's never is."""
        label = self.roles.label.column if self.roles.label else None
        return tuple(c for c in self.columns if c.known_at is None and c.physical != label)


@dataclass(frozen=True)
class DraftAggregate:
    """A function over windows of days; the name of one is `<name>_<days>d`."""

    name: str
    function: str
    windows: tuple[int, ...]
    of: str | None = None
    scale: int | None = None
    where: str | None = None
    known: bool = False
    text: bool = False

    @property
    def features(self) -> tuple[str, ...]:
        """The names of its features."""
        return tuple(f"{self.name}_{days}d" for days in self.windows)


@dataclass(frozen=True)
class Clocks:
    """When a view's rows are computed and how long they serve, in microseconds."""

    schedule: int
    duration: int
    source_delay: int
    slo: int
    ttl: int
    lookback: int
    population: int


@dataclass(frozen=True)
class DraftView:
    """A view: of aggregates of one entity's events, or of the columns of a table."""

    name: str
    source: DraftSource
    entities: tuple[DraftEntity, ...]
    clocks: Clocks
    aggregates: tuple[DraftAggregate, ...] = ()

    @property
    def features(self) -> tuple[str, ...]:
        if self.source.kind == "table":
            return tuple(column.name for column in self.source.columns)
        return tuple(name for one in self.aggregates for name in one.features)


@dataclass(frozen=True)
class Encoding:
    """How a category becomes numbers: an element of the vector, and at most so many values."""

    element: str
    kind: Literal["one_hot", "ordinal"]
    size: int


@dataclass(frozen=True)
class Span:
    """Days of the data, and those to train and test on; microseconds of midnights.

    last: the last day with labels, which is tested on. end: the last day of all.
    """

    first: int
    last: int
    end: int
    train_start: int
    train_end: int
    test_start: int


@dataclass(frozen=True)
class Draft:
    """Everything that the files of a project say.

    sources: the one that is asked about first. fields: columns that a request carries. others:
    tables that may be asked about instead. unused: tables that are no source, and why.
    """

    sources: tuple[DraftSource, ...]
    label: DraftColumn
    label_delay: int
    entities: tuple[DraftEntity, ...]
    views: tuple[DraftView, ...]
    fields: tuple[DraftColumn, ...]
    encodings: tuple[Encoding, ...]
    others: tuple[str, ...]
    unused: tuple[LeftOut, ...]
    span: Span

    @property
    def asked(self) -> DraftSource:
        """The source whose rows are asked about."""
        return self.sources[0]

    @property
    def name(self) -> str:
        return self.asked.name
