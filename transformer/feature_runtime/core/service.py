"""The part of a contract and a plan that a release freezes and the pod obeys.

`release.yml` carries it under `service:`; training, batch scoring and the pod build the same
`Service` from it, and its digest is part of the release's identity. Parsing is strict: a key
too many or too few is an error.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

from feature_runtime.core.availability import ViewTimes
from feature_runtime.core.coded import CodedError
from feature_runtime.core.encodings import KINDS, Encoding, EncodingError, check_vocabulary
from feature_runtime.core.moments import parse_duration, parse_moment
from feature_runtime.core.project_functions import Declaration, OwnFunctions


class ServiceSectionError(CodedError):
    """The service section of a release is not valid for this runtime."""

    def __init__(self, message: str) -> None:
        super().__init__(message, code="service_section_invalid")


class FeatureRef(NamedTuple):
    """A feature of a view. Its two spellings are made here only.

    `view:feature` is its reference, in contracts, records and answers; `view__feature` its column,
    in datasets and in the model's vector.
    """

    view: str
    feature: str

    def __str__(self) -> str:
        return f"{self.view}:{self.feature}"

    @property
    def column(self) -> str:
        return view_column(self.view, self.feature)


def feature_ref(reference: str) -> FeatureRef:
    """`view:feature` as a reference; without a colon the feature is empty."""
    view, _, feature = reference.partition(":")
    return FeatureRef(view, feature)


def view_column(view: str, what: str) -> str:
    """The dataset's column of a view's feature, or of its event_ts, created_ts or status."""
    return f"{view}__{what}"


@dataclass(frozen=True)
class Entity:
    """A key of features. `join_key` is the request field; dtype string or int64."""

    name: str
    join_key: str
    dtype: str


DATATYPES: Mapping[str, str] = {
    "float64": "FP64",
    "int64": "INT64",
    "bool": "BOOL",
    "string": "BYTES",
    "timestamp": "BYTES",
}
"""Types of request fields, and their datatypes in the V2 protocol."""


@dataclass(frozen=True)
class RequestField:
    """A field of a request. dtype: one of DATATYPES; money is float64, in major units.

    nullable: whether it may be absent or null.
    """

    name: str
    dtype: str = "float64"
    nullable: bool = False


@dataclass(frozen=True)
class Policy:
    """What happens when a feature is not OK.

    kind `reject`: the transaction gets the plan's fallback. `default`: `value` is used, a string
    for a string feature and else a number.
    `nan`: the model is told that the value is missing. The latter two are approvals: they need
    `approved_by` and end at `expires` (microseconds; None = no end), after which they reject.
    """

    kind: str
    value: float | str | None = None
    approved_by: str | None = None
    reason: str | None = None
    expires: int | None = None


@dataclass(frozen=True)
class Feature:
    """One feature of a view; `policy` None marks one that the service does not consume."""

    name: str
    dtype: str
    policy: Policy | None


@dataclass(frozen=True)
class View:
    """A feature view as the pod reads it: every feature in contract order, for decoding."""

    name: str
    entities: tuple[str, ...]
    schema: str
    times: ViewTimes
    features: tuple[Feature, ...]

    @property
    def dtypes(self) -> tuple[str, ...]:
        return tuple(f.dtype for f in self.features)


@dataclass(frozen=True)
class Computed:
    """A request or derived feature: a named function over named inputs.

    The function is of `functions`, or the project's own (`project_functions`).
    """

    name: str
    function: str
    inputs: tuple[str, ...]


@dataclass(frozen=True)
class TimeZone:
    """The clock that calendar functions read. rules: digest of the zone's table (`zones`)."""

    name: str
    rules: str


@dataclass(frozen=True)
class Decision:
    """How a probability becomes a decision, and what a rejected transaction gets."""

    threshold: float
    at_or_above: str
    below: str
    fallback: str
    fallback_http: int


@dataclass(frozen=True)
class Limits:
    """Bounds of one request; moments in microseconds."""

    max_batch: int
    max_body_bytes: int
    deadline: int
    clock_margin: int
    max_client_skew: int


@dataclass(frozen=True)
class Service:
    """A feature service: what goes into the model's vector, in which order, and how."""

    name: str
    entities: tuple[Entity, ...]
    request_fields: tuple[RequestField, ...]
    views: tuple[View, ...]
    consumed: tuple[FeatureRef, ...]
    request_features: tuple[Computed, ...]
    derived_features: tuple[Computed, ...]
    decision: Decision
    limits: Limits
    hash_entity_keys: bool = False
    encodings: tuple[Encoding, ...] = ()
    time_zone: TimeZone | None = None
    own_functions: OwnFunctions | None = None
    view_by_name: Mapping[str, View] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "view_by_name", {view.name: view for view in self.views})

    @property
    def fields(self) -> tuple[str, ...]:
        """Names of the fields, in order. An entity's join key may be one of them."""
        return tuple(one.name for one in self.request_fields)

    @cached_property
    def join_keys(self) -> frozenset[str]:
        """The join keys of the entities: a field that is one comes with the request already."""
        return frozenset(entity.join_key for entity in self.entities)

    @property
    def sent_fields(self) -> tuple[RequestField, ...]:
        """The fields that a request has beside join keys."""
        return tuple(one for one in self.request_fields if one.name not in self.join_keys)

    @cached_property
    def encoding_of(self) -> Mapping[str, Encoding]:
        """The encodings by element: a computed feature's name, or `view:feature`."""
        return {encoding.element: encoding for encoding in self.encodings}

    @cached_property
    def texts(self) -> tuple[FeatureRef, ...]:
        """The consumed features that are strings."""
        return tuple(ref for ref in self.consumed if self.dtype_of(ref) == "string")

    def dtype_of(self, ref: FeatureRef) -> str:
        """The type of a view's feature."""
        return next(f.dtype for f in self.view_by_name[ref.view].features if f.name == ref.feature)

    @property
    def elements(self) -> tuple[tuple[str, str], ...]:
        """(element, its column's name) in the model's order: request, view, derived features."""
        return (
            *((f.name, f.name) for f in self.request_features),
            *((str(ref), ref.column) for ref in self.consumed),
            *((f.name, f.name) for f in self.derived_features),
        )

    @property
    def vector(self) -> tuple[str, ...]:
        """Names in the order of the model's input; an encoded element has those of its encoding."""
        return tuple(
            name
            for element, column in self.elements
            for name in (
                self.encoding_of[element].names(column)
                if element in self.encoding_of
                else (column,)
            )
        )


def parse_service(section: Mapping[str, Any]) -> Service:
    """The `service` section of a release. Raises ServiceSectionError naming what is wrong."""
    try:
        return _service(section)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ServiceSectionError(f"service section: {type(error).__name__}: {error}") from error


def _service(s: Mapping[str, Any]) -> Service:
    _only(
        s,
        "name entities fields views features request_features derived_features decision limits "
        "hash_entity_keys",
        optional="encodings time_zone functions",
    )
    service = Service(
        name=s["name"],
        entities=tuple(Entity(**e) for e in s["entities"]),
        request_fields=tuple(_field(f) for f in s["fields"]),
        views=tuple(_view(v) for v in s["views"]),
        consumed=tuple(feature_ref(name) for name in s["features"]),
        request_features=tuple(_computed(c) for c in s["request_features"]),
        derived_features=tuple(_computed(c) for c in s["derived_features"]),
        decision=Decision(**s["decision"]),
        limits=_limits(s["limits"]),
        hash_entity_keys=s["hash_entity_keys"],
        encodings=tuple(_encoding(e) for e in s.get("encodings", ())),
        time_zone=TimeZone(**s["time_zone"]) if "time_zone" in s else None,
        own_functions=_own_functions(s["functions"]) if "functions" in s else None,
    )
    _check_policies(service)
    _check_elements(service)
    return service


def _check_policies(service: Service) -> None:
    consumed = service.consumed
    policies = {
        FeatureRef(v.name, f.name)
        for v in service.views
        for f in v.features
        if f.policy is not None
    }
    if set(consumed) != policies or len(set(consumed)) != len(consumed):
        raise ServiceSectionError(
            "features: every consumed feature needs one policy, and no other does"
        )


def _check_elements(service: Service) -> None:
    """Whether every element of the vector is a number, or is encoded as some."""
    dtypes = element_dtypes(service)
    for encoding in service.encodings:
        allowed = _CATEGORIES.get(dtypes.get(encoding.element, ""))
        if allowed is None or any(type(v) is not allowed for v in encoding.vocabulary or ()):
            found = dtypes.get(encoding.element, "no element of the vector")
            raise ServiceSectionError(f"encodings.{encoding.element}: found {found}")
    if len(service.encoding_of) != len(service.encodings):
        raise ServiceSectionError("encodings: found an element twice, wanted each once")
    for element, dtype in dtypes.items():
        if dtype not in _NUMBERS and element not in service.encoding_of:
            raise ServiceSectionError(f"{element}: found {dtype}, wanted a number or an encoding")


_NUMBERS = ("float64", "int64", "bool")
_CATEGORIES: Mapping[str, type] = {"string": str, "int64": int, "bool": bool}
"""Types that can be encoded, as those of the values of a vocabulary."""


def element_dtypes(service: Service) -> dict[str, str]:
    """The type of every element of the vector before it is encoded."""
    fields = {one.name: one.dtype for one in service.request_fields}
    own = service.own_functions.declarations if service.own_functions else ()
    outputs = {one.name: one.output for one in own}
    requested = {
        f.name: fields.get(f.inputs[0], "float64")
        if f.function == "field"
        else outputs.get(f.function, "float64")
        for f in service.request_features
    }
    return {
        **requested,
        **{f.name: outputs.get(f.function, "float64") for f in service.derived_features},
        **{str(ref): service.dtype_of(ref) for ref in service.consumed},
    }


def _field(f: str | Mapping[str, Any]) -> RequestField:
    """A name alone is a number that is always there."""
    if isinstance(f, str):
        return RequestField(f)
    _only(f, "name dtype nullable")
    if f["dtype"] not in DATATYPES:
        wanted = f"one of {', '.join(DATATYPES)}"
        raise ServiceSectionError(f"fields.{f['name']}: found {f['dtype']}, wanted {wanted}")
    return RequestField(f["name"], f["dtype"], bool(f["nullable"]))


def _encoding(e: Mapping[str, Any]) -> Encoding:
    _only(e, "element kind vocabulary")
    place, vocabulary = f"encodings.{e['element']}", e["vocabulary"]
    if e["kind"] not in KINDS:
        raise ServiceSectionError(f"{place}: found {e['kind']}, wanted one of {KINDS}")
    if vocabulary is None:
        return Encoding(e["element"], e["kind"], None)
    try:
        check_vocabulary(e["kind"], vocabulary)
    except EncodingError as error:
        raise ServiceSectionError(f"{place}: {error}") from None
    return Encoding(e["element"], e["kind"], tuple(vocabulary))


def _view(v: Mapping[str, Any]) -> View:
    _only(v, "name entities schema source_delay temporal_join_lookback online_ttl features")
    times = ViewTimes(
        source_delay=parse_duration(v["source_delay"]),
        lookback=parse_duration(v["temporal_join_lookback"]),
        ttl=parse_duration(v["online_ttl"]),
    )
    features = tuple(_feature(f) for f in v["features"])
    return View(v["name"], tuple(v["entities"]), v["schema"], times, features)


def _feature(f: Mapping[str, Any]) -> Feature:
    _only(f, "name dtype policy")
    policy = f["policy"]
    if policy is None:
        return Feature(f["name"], f["dtype"], None)
    expires = policy.get("expires")
    moment = None if expires is None else parse_moment(expires)
    return Feature(f["name"], f["dtype"], Policy(**{**policy, "expires": moment}))


def _limits(limits: Mapping[str, Any]) -> Limits:
    _only(limits, "max_batch max_body_bytes deadline_ms clock_margin max_client_skew")
    return Limits(
        max_batch=limits["max_batch"],
        max_body_bytes=limits["max_body_bytes"],
        deadline=int(limits["deadline_ms"]) * 1_000,
        clock_margin=parse_duration(limits["clock_margin"]),
        max_client_skew=parse_duration(limits["max_client_skew"]),
    )


def _computed(c: Mapping[str, Any]) -> Computed:
    _only(c, "name function inputs")
    return Computed(c["name"], c["function"], tuple(c["inputs"]))


def _own_functions(f: Mapping[str, Any]) -> OwnFunctions:
    _only(f, "digest declared")
    return OwnFunctions(f["digest"], tuple(_declaration(d) for d in f["declared"]))


def _declaration(d: Mapping[str, Any]) -> Declaration:
    _only(d, "name inputs output minimum maximum")
    return Declaration(**{**d, "inputs": tuple(d["inputs"])})


def _only(mapping: Mapping[str, Any], names: str, optional: str = "") -> None:
    wanted = set(names.split())
    if set(mapping) - set(optional.split()) != wanted:
        wrong = sorted(set(mapping) ^ wanted)
        raise ServiceSectionError(f"found {sorted(mapping)}, wanted {sorted(wanted)} (see {wrong})")
