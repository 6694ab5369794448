"""The part of a contract and a plan that a release freezes and the pod obeys.

`release.yml` carries it under `service:`; training, batch scoring and the pod build the same
`Service` from it, and its digest is part of the release's identity. Parsing is strict: a key
too many or too few is an error.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from feature_runtime.core.availability import ViewTimes
from feature_runtime.core.coded import CodedError
from feature_runtime.core.moments import parse_duration, parse_moment


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


@dataclass(frozen=True)
class Policy:
    """What happens when a feature is not OK.

    kind `reject`: the transaction gets the plan's fallback. `default`: `value` is used.
    `nan`: the model is told that the value is missing. The latter two are approvals: they need
    `approved_by` and end at `expires` (microseconds; None = no end), after which they reject.
    """

    kind: str
    value: float | None = None
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
    """A request or derived feature: a named function over named inputs (functions.py)."""

    name: str
    function: str
    inputs: tuple[str, ...]


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
    fields: tuple[str, ...]
    views: tuple[View, ...]
    consumed: tuple[FeatureRef, ...]
    request_features: tuple[Computed, ...]
    derived_features: tuple[Computed, ...]
    decision: Decision
    limits: Limits
    hash_entity_keys: bool = False
    view_by_name: Mapping[str, View] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "view_by_name", {view.name: view for view in self.views})

    @property
    def vector(self) -> tuple[str, ...]:
        """Names in the order of the model's input: request, view, then derived features."""
        return (
            *(f.name for f in self.request_features),
            *(ref.column for ref in self.consumed),
            *(f.name for f in self.derived_features),
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
    )
    views = tuple(_view(v) for v in s["views"])
    consumed = tuple(feature_ref(name) for name in s["features"])
    policies = {
        FeatureRef(v.name, f.name) for v in views for f in v.features if f.policy is not None
    }
    if set(consumed) != policies or len(set(consumed)) != len(consumed):
        raise ServiceSectionError(
            "features: every consumed feature needs one policy, and no other does"
        )
    return Service(
        name=s["name"],
        entities=tuple(Entity(**e) for e in s["entities"]),
        fields=tuple(s["fields"]),
        views=views,
        consumed=consumed,
        request_features=tuple(_computed(c) for c in s["request_features"]),
        derived_features=tuple(_computed(c) for c in s["derived_features"]),
        decision=Decision(**s["decision"]),
        limits=_limits(s["limits"]),
        hash_entity_keys=s["hash_entity_keys"],
    )


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


def _only(mapping: Mapping[str, Any], names: str) -> None:
    wanted = set(names.split())
    if set(mapping) != wanted:
        wrong = sorted(set(mapping) ^ wanted)
        raise ServiceSectionError(f"found {sorted(mapping)}, wanted {sorted(wanted)} (see {wrong})")
