"""The catalogue as values: an entry for each feature, view and service, owners, notices. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any, Literal

from feature_runtime.core.service import FeatureRef, feature_ref
from proviso.contracts.contract import (
    Aggregate,
    Contract,
    Deprecation,
    Feature,
    FeatureView,
    Lineage,
)
from proviso.contracts.definitions import feature_scalar
from proviso.contracts.feature_service import FeatureService
from proviso.contracts.publication import runs_of
from proviso.contracts.sql import SqlError
from proviso.history.quarantine import Quarantined
from proviso.history.values import FeatureStatistics, ViewStatistics
from proviso.release.directory import Release

NOTICE = timedelta(days=30)
"""How long before its end an approval has a notice."""

Tone = Literal["good", "warn", "bad"]
State = Literal["active", "deprecated", "retired"]


@dataclass(frozen=True)
class Measured:
    """Measurements beside the contract; each part may be absent.

    statistics: by view; None where its history has no row. freshness: by view, as
    `proviso check freshness` says it, served at `as_of`. quarantined: rows that the history's
    computation set aside, by source.
    """

    releases: tuple[Release, ...] = ()
    statistics: Mapping[str, ViewStatistics | None] = field(default_factory=dict)
    freshness: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    as_of: int | None = None
    quarantined: tuple[Quarantined, ...] = ()


@dataclass(frozen=True)
class Notice:
    """Something that a reader should act on; `anchor` says where it stands on the page."""

    tone: Tone
    anchor: str
    text: str


@dataclass(frozen=True)
class FeatureEntry:
    """One feature. state: as of today. approval: the tone of its default's approval."""

    view: FeatureView
    feature: Feature
    owner: str
    lineage: Lineage
    deprecation: Deprecation
    state: State
    approval: Tone
    aggregates: tuple[Aggregate, ...]
    consumers: tuple[FeatureService, ...]
    statistics: FeatureStatistics | None
    entities: int

    @property
    def name(self) -> str:
        return str(FeatureRef(self.view.name, self.feature.name))


@dataclass(frozen=True)
class ViewEntry:
    """One view with its features."""

    view: FeatureView
    schema: str
    keys: tuple[str, ...]
    on_event: bool
    state: State
    features: tuple[FeatureEntry, ...]
    statistics: ViewStatistics | None
    freshness: Mapping[str, Any] | None


@dataclass(frozen=True)
class ReleaseEntry:
    """A release directory of a service; `problems` say where the contract has moved on."""

    release: Release
    problems: tuple[str, ...]

    @property
    def metrics(self) -> Mapping[str, Any]:
        """The model's metrics on its test days; empty without known labels."""
        found = (self.release.card.get("metrics") or {}).get("model")
        return found if isinstance(found, Mapping) else {}


@dataclass(frozen=True)
class ServiceEntry:
    """A consumer: the service, how many features of which view, and its releases."""

    service: FeatureService
    views: Mapping[str, int]
    releases: tuple[ReleaseEntry, ...]


def feature_state(deprecation: Deprecation, today: date) -> State:
    """From the day of its retirement on it is retired."""
    if deprecation.ended(today):
        return "retired"
    return "active" if deprecation.status == "active" else "deprecated"


def view_entries(contract: Contract, measured: Measured, today: date) -> tuple[ViewEntry, ...]:
    """All views in the contract's order."""
    return tuple(_view(contract, view, measured, today) for view in contract.feature_views)


def service_entries(contract: Contract, measured: Measured) -> tuple[ServiceEntry, ...]:
    """All services in the contract's order."""
    return tuple(_service(contract, service, measured) for service in contract.feature_services)


def owners(contract: Contract) -> dict[str, list[tuple[str, str]]]:
    """Owner to what it owns: (kind, name), in the contract's order."""
    found: dict[str, list[tuple[str, str]]] = {}
    things = [
        *((e.owner, "entity", e.name) for e in contract.entities),
        *((v.owner, "view", v.name) for v in contract.feature_views),
        *(
            (f.owner, "feature", str(FeatureRef(v.name, f.name)))
            for v in contract.feature_views
            for f in v.features
            if f.owner is not None
        ),
        *((s.owner, "service", s.name) for s in contract.feature_services),
        *((g.owner, "quality gate", g.name) for g in contract.quality_gates),
        *(
            (f.default.approved_by, "default", str(FeatureRef(v.name, f.name)))
            for v in contract.feature_views
            for f in v.features
            if f.default.approved_by is not None
        ),
    ]
    for owner, kind, name in things:
        found.setdefault(owner, []).append((kind, name))
    return found


def notices(views: tuple[ViewEntry, ...], services: tuple[ServiceEntry, ...]) -> Iterator[Notice]:
    """What needs action: retirements and approvals that end, late views, outdated releases."""
    for entry in views:
        for feature in entry.features:
            yield from _ending(feature)
            yield from _approval(feature)
        if entry.freshness is not None:
            for reason in entry.freshness["reasons"]:
                yield Notice("bad", entry.view.name, f"Not fresh: {reason}")
    for service in services:
        for release in service.releases:
            for problem in release.problems:
                yield Notice("bad", service.service.name, problem)


def _view(contract: Contract, view: FeatureView, measured: Measured, today: date) -> ViewEntry:
    statistics = measured.statistics.get(view.name)
    return ViewEntry(
        view=view,
        schema=contract.schema_of(view),
        keys=contract.join_keys(view),
        on_event=runs_of(view) is None,
        state=feature_state(view.deprecation, today),
        features=tuple(_feature(contract, view, f, statistics, today) for f in view.features),
        statistics=statistics,
        freshness=measured.freshness.get(view.name),
    )


def _feature(
    contract: Contract,
    view: FeatureView,
    feature: Feature,
    statistics: ViewStatistics | None,
    today: date,
) -> FeatureEntry:
    name, deprecation = str(FeatureRef(view.name, feature.name)), view.deprecation_of(feature)
    return FeatureEntry(
        view=view,
        feature=feature,
        owner=view.owner_of(feature),
        lineage=feature.lineage or view.lineage,
        deprecation=deprecation,
        state=feature_state(deprecation, today),
        approval=_approval_tone(feature.default.expires, today),
        aggregates=_aggregates(contract, view, feature),
        consumers=tuple(s for s in contract.feature_services if name in s.features),
        statistics=statistics.features[feature.name] if statistics else None,
        entities=statistics.entities if statistics else 0,
    )


def _aggregates(contract: Contract, view: FeatureView, feature: Feature) -> tuple[Aggregate, ...]:
    """What the feature is computed from; none where its SQL is not valid."""
    try:
        read = feature_scalar(contract, view, feature).columns
    except SqlError:
        return ()
    return tuple(aggregate for aggregate in view.aggregates if aggregate.name in read)


def _approval_tone(expires: date | None, today: date) -> Tone:
    if expires is None or expires - today > NOTICE:
        return "good"
    return "bad" if expires <= today else "warn"


def _service(contract: Contract, service: FeatureService, measured: Measured) -> ServiceEntry:
    views: dict[str, int] = {}
    for name in service.features:
        view = feature_ref(name).view
        views[view] = views.get(view, 0) + 1
    releases = tuple(
        ReleaseEntry(release, tuple(_moved_on(contract, service, release)))
        for release in measured.releases
        if release.service.name == service.name
    )
    return ServiceEntry(service, views, releases)


def _moved_on(contract: Contract, service: FeatureService, release: Release) -> Iterator[str]:
    if release.model != service.model:
        yield f"Release {release.id} is of {release.model}, the contract says {service.model}"
    for view in release.service.views:
        present = contract.view_by_name.get(view.name)
        if present is None or contract.schema_of(present) != view.schema:
            yield f"Release {release.id} knows another definition of {view.name}"
    if [*map(str, release.service.consumed)] != service.features:
        yield f"Release {release.id} consumes other features than {service.name} states"


def _ending(entry: FeatureEntry) -> Iterator[Notice]:
    if entry.state == "active" or not entry.consumers:
        return
    users = ", ".join(service.name for service in entry.consumers)
    day, instead = entry.deprecation.retire_on, entry.deprecation.replacement
    hint = f"; {instead} takes its place" if instead else ""
    if entry.state == "retired":
        yield Notice("bad", entry.name, f"{entry.name} is retired, and {users} consumes it{hint}")
    else:
        text = f"{entry.name} is deprecated, ends on {day}, and {users} consumes it{hint}"
        yield Notice("warn", entry.name, text)


def _approval(entry: FeatureEntry) -> Iterator[Notice]:
    default = entry.feature.default
    if entry.approval == "good":
        return
    word = "ended" if entry.approval == "bad" else "ends"
    consequence = "the feature rejects" if entry.approval == "bad" else "then the feature rejects"
    text = f"{entry.name}: the approval of its default {word} on {default.expires}; {consequence}"
    yield Notice(entry.approval, entry.name, f"{text} ({default.approved_by})")
