"""The feature store contract as typed values: `feature_store_contract.yml`.

The models check what concerns one value; `contracts.validation` checks what must fit across
features, views and files.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import math
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Discriminator,
    Field,
    PrivateAttr,
    Tag,
    WithJsonSchema,
    model_validator,
)

from feature_runtime.core.availability import ViewTimes
from feature_runtime.core.project_functions import (
    NO_FUNCTIONS,
    Declaration,
    Library,
    load_functions,
)
from feature_runtime.core.zones import ZoneError, zone
from proviso.contracts import meaning
from proviso.contracts.aggregates import AGGREGATES
from proviso.contracts.base import (
    Date,
    Duration,
    InputError,
    Label,
    Name,
    Span,
    Strict,
    Text,
    Window,
    invalid,
)
from proviso.contracts.bounds import Bound
from proviso.contracts.feature_service import FeatureService
from proviso.contracts.own_functions import OwnFunction
from proviso.contracts.sources import (
    EventsSource,
    Observations,
    RowsSource,
    Source,
    TableSource,
    observed,
    rows_source,
)


def _known_zone(name: str) -> str:
    try:
        zone(name)
    except ZoneError as error:
        wanted = "an IANA time zone such as America/New_York"
        raise invalid(error.code, name[:64], wanted) from None
    return name


TimeZoneName = Annotated[str, AfterValidator(_known_zone)]
"""A time zone of the pinned IANA data."""


class Entity(Strict):
    """A business object; `join_key` is its column in sources and its field in a request."""

    name: Name
    join_key: Name
    dtype: Literal["string", "int64"]
    description: Text
    owner: Label


class Deprecation(Strict):
    """Whether a service may use a view or feature, and the date from which none may."""

    status: Literal["active", "deprecated", "retired"] = "active"
    retire_on: Date | None = None
    replacement: Text | None = None

    @model_validator(mode="after")
    def _deprecated_has_an_end(self) -> Deprecation:
        if self.status == "deprecated" and self.retire_on is None:
            found = "deprecated without retire_on"
            raise invalid("retire_on_missing", found, "the date of its end")
        return self

    def ended(self, today: datetime.date) -> bool:
        """Whether no service may use it: it is retired, or `retire_on` has come."""
        return self.status == "retired" or (self.retire_on is not None and self.retire_on <= today)


class Lineage(Strict):
    """Where the values come from and what makes them."""

    sources: Annotated[list[Text], Field(min_length=1)]
    job: Text


class Scheduled(Strict):
    """Runs aligned to the epoch; one takes `duration`."""

    schedule: Span
    duration: Duration


class OnEvent(Strict):
    """One row per arrival moment, readable `delay` after the arrival."""

    on: Literal["event"]
    delay: Duration


def _publication_kind(value: Any) -> str:
    """Decided before parsing, so that a problem is reported for the kind that the file states."""
    on_event = isinstance(value, OnEvent) or (isinstance(value, dict) and "on" in value)
    return "OnEvent" if on_event else "Scheduled"


Publication = Annotated[
    Annotated[Scheduled, Tag("Scheduled")] | Annotated[OnEvent, Tag("OnEvent")],
    Discriminator(_publication_kind),
]


class OnlineStore(Strict):
    """Where the view is served from, and under which key."""

    type: Literal["valkey", "redis", "tair"]
    key_pattern: Text


def _default_value(value: Any) -> bool | float | str:
    if isinstance(value, bool | str):
        return value
    if isinstance(value, int | float) and math.isfinite(value):
        return float(value)
    raise invalid("default_value_invalid", repr(value)[:120], "a number, true, false or text")


DefaultValue = Annotated[bool | float | str, BeforeValidator(_default_value)]
"""A number as a double, a truth value, or text."""


class DefaultPolicy(Strict):
    """What a missing value leads to. Anything but `reject` needs an approval and a reason."""

    policy: Literal["reject", "default", "nan"]
    value: DefaultValue | None = None
    approved_by: Label | None = None
    reason: Text | None = None
    expires: Date | None = None

    @model_validator(mode="after")
    def _complete(self) -> DefaultPolicy:
        if (self.policy == "default") != (self.value is not None):
            found = f"policy {self.policy} with value {self.value}"
            wanted = "a value for `default` and none otherwise"
            raise invalid("default_value_mismatch", found, wanted)
        if self.policy != "reject" and not (self.approved_by and self.reason):
            found = f"policy {self.policy} without approved_by and reason"
            raise invalid("default_unapproved", found, "both")
        return self


class Tolerance(Strict):
    """How far online may be from offline: within absolute + relative * |offline|."""

    absolute: Annotated[float, Field(ge=0)]
    relative: Annotated[float, Field(ge=0, lt=1)]


def _registered(name: str) -> str:
    if name not in AGGREGATES:
        raise ValueError(f"found {name!r}, wanted one of {', '.join(AGGREGATES)}")
    return name


AggregateName = Annotated[
    str, AfterValidator(_registered), WithJsonSchema({"enum": list(AGGREGATES), "type": "string"})
]
"""A function of the registry in `aggregates.py`."""


class Aggregate(Strict):
    """A function of one entity's arrived events in the window (H - window, H].

    `dated: known` counts an event at the moment at which the late columns that `of` and `where`
    use are known, and only then may they use such columns. scale: the decimals that a float64
    column is summed with.
    """

    name: Name
    function: AggregateName
    of: Name | None = None
    scale: Annotated[int, Field(ge=0, le=9)] | None = None
    where: Text | None = None
    dated: Literal["event", "known"] = "event"
    window: Window

    @model_validator(mode="after")
    def _fits_the_function(self) -> Aggregate:
        function = AGGREGATES[self.function]
        if function.column != "optional" and (function.column == "none") != (self.of is None):
            found, wanted = f"{self.function} of {self.of}", "a column for sums and none for count"
            raise invalid("aggregate_column_mismatch", found, wanted)
        if function.condition and self.where is None:
            found, wanted = f"{self.function} without where", "the condition that it measures"
            raise invalid("aggregate_where_missing", found, wanted)
        return self


class Feature(Strict):
    """One value. `sql` is a scalar over the view's aggregates; left out, the one of its name."""

    name: Name
    dtype: Literal["int64", "float64", "bool", "string"]
    description: Text
    sql: Text | None = None
    default: DefaultPolicy
    tolerance: Tolerance
    owner: Label | None = None
    lineage: Lineage | None = None
    deprecation: Deprecation | None = None

    @property
    def expression(self) -> str:
        return self.name if self.sql is None else self.sql


class Defaults(Strict):
    """What features do not state themselves."""

    default: DefaultPolicy | None = None
    tolerance: Tolerance | None = None


class ContractDefaults(Defaults):
    """What a contract's parts do not state themselves."""

    owner: Label | None = None


class FeatureView(Strict):
    """A group of features with shared keys, clocks and ownership.

    source: what its rows are computed from; left out, the only source of kind `events`. A view
    over a table has no aggregates: its features are columns of the source, by name.
    """

    name: Name
    description: Text
    owner: Label
    source: Name | None = None
    defaults: Defaults | None = None
    entities: Annotated[list[Name], Field(min_length=1)]
    event_timestamp: Literal["event_ts"]
    created_timestamp: Literal["created_ts"]
    source_delay: Duration
    temporal_join_lookback: Span
    online_ttl: Span
    freshness_slo: Span
    publication: Publication
    population: Span
    online_store: OnlineStore
    lineage: Lineage
    deprecation: Deprecation
    aggregates: list[Aggregate] = Field(default_factory=list)
    features: Annotated[list[Feature], Field(min_length=1)]

    @property
    def times(self) -> ViewTimes:
        """The durations that decide when a row may be used (docs/time.md)."""
        return ViewTimes(self.source_delay, self.temporal_join_lookback, self.online_ttl)

    @property
    def delay_to_readable(self) -> int:
        """Microseconds from a row's event time to its planned created_ts."""
        if isinstance(self.publication, OnEvent):
            return self.publication.delay
        return self.source_delay + self.publication.duration

    def deprecation_of(self, feature: Feature) -> Deprecation:
        return feature.deprecation or self.deprecation

    def owner_of(self, feature: Feature) -> str:
        return feature.owner or self.owner


class QualityGate(Strict):
    """A bound on a metric that is measured on a schedule, and the gate stage that it blocks."""

    name: Name
    metric: Name
    max: float | None = None
    min: float | None = None
    schedule: Span
    blocks: Literal["register", "shadow", "promote", "none"]
    owner: Label

    @model_validator(mode="after")
    def _bounded(self) -> QualityGate:
        if (self.max is None) == (self.min is None):
            found = f"min {self.min} and max {self.max}"
            raise invalid("gate_bounds_ambiguous", found, "exactly one bound")
        return self

    @property
    def bound(self) -> Bound:
        """The values that pass the gate."""
        return Bound.at_least(self.min) if self.min is not None else Bound.at_most(self.max or 0.0)


class Contract(Strict):
    """The whole feature store contract, version 2; `contracts.upgrade` makes it of version 1."""

    version: Literal[2]
    name: Label
    description: Text
    time_zone: TimeZoneName = "UTC"
    functions: list[OwnFunction] = Field(default_factory=list)
    defaults: ContractDefaults | None = None
    sources: Annotated[list[Source], Field(min_length=1)]
    entities: Annotated[list[Entity], Field(min_length=1)]
    feature_views: Annotated[list[FeatureView], Field(min_length=1)]
    feature_services: Annotated[list[FeatureService], Field(min_length=1)]
    quality_gates: Annotated[list[QualityGate], Field(min_length=1)]

    _functions_source: bytes | None = PrivateAttr(default=None)

    def with_functions(self, source: bytes) -> Contract:
        """The contract with the content of its `functions.py`."""
        made = self.model_copy()
        made._functions_source = source  # noqa: SLF001  # its own
        return made

    @property
    def functions_source(self) -> bytes | None:
        """The content of `functions.py`; None where the contract declares no functions."""
        return self._functions_source

    @property
    def declarations(self) -> tuple[Declaration, ...]:
        return tuple(function.declaration for function in self.functions)

    @cached_property
    def library(self) -> Library:
        """The declared functions, loaded. Raises FunctionsError."""
        if not self.functions:
            return NO_FUNCTIONS
        return load_functions(self._functions_source or b"", self.declarations)

    @cached_property
    def entity_by_name(self) -> dict[str, Entity]:
        return {entity.name: entity for entity in self.entities}

    @cached_property
    def view_by_name(self) -> dict[str, FeatureView]:
        return {view.name: view for view in self.feature_views}

    @cached_property
    def source_by_name(self) -> dict[str, Source]:
        return {source.name: source for source in self.sources}

    def join_keys(self, view: FeatureView) -> tuple[str, ...]:
        """The key columns of a view, in its order."""
        return tuple(self.entity_by_name[name].join_key for name in view.entities)

    def key_columns(self, source: RowsSource) -> dict[str, str]:
        """The file's column of each join key that a source's rows carry."""
        keys = {name: self.entity_by_name[name].join_key for name in source.entities}
        return {key: source.keys.get(name, key) for name, key in keys.items()}

    def source_of(self, view: FeatureView) -> EventsSource | TableSource:
        """The source of a view's rows. Raises InputError when it is not decided."""
        found = rows_source(self.sources, view.source)
        if found is None:
            place = f"feature_views[{view.name}].source"
            raise _undecided(place, view.source, "view_source_unknown")
        return found

    def observations_of(self, service: FeatureService | None = None) -> Observations:
        """What a service predicts; without a service, what the contract's only one observes.

        Raises InputError when it is not decided.
        """
        stated = service.observations if service else None
        found = observed(self.sources, stated)
        if found is None:
            raise _undecided("sources", stated, "observations_unknown")
        return found

    def schema_of(self, view: FeatureView) -> str:
        """16 hex digits over all that gives the view's rows their meaning."""
        source = self.source_of(view)
        label = meaning.version_1_label(source, self.sources)
        keys = self.key_columns(source)
        whole = {
            "entities": [
                self.entity_by_name[e].model_dump(exclude={"description", "owner"})
                for e in view.entities
            ],
            "source": meaning.source_meaning(
                source, self.sources, {key: keys.get(key, key) for key in self.join_keys(view)}
            ),
            "source_delay": view.source_delay,
            "publication": view.publication.model_dump(mode="json"),
            "population": view.population,
            "aggregates": [
                meaning.aggregate_meaning(a.model_dump(mode="json"), label) for a in view.aggregates
            ],
            "features": [[f.name, f.dtype, f.expression] for f in view.features],
        }
        text = json.dumps(whole, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def _undecided(place: str, stated: str | None, code: str) -> InputError:
    found = "no name of a source" if stated is None else stated
    return InputError.of(place, found, "the name of one of the contract's sources", code=code)
