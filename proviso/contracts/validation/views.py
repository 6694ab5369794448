"""First check, a view by itself: keys, clocks, publication, lineage and the online key."""

from __future__ import annotations

from collections.abc import Iterator

from feature_runtime.core.keys import entity_key, timeline_key
from feature_runtime.core.moments import format_duration
from feature_runtime.core.timeline import BUSY_ROWS
from proviso.contracts.base import ALL_TIME, Problem
from proviso.contracts.contract import Aggregate, Contract, FeatureView, OnEvent, Scheduled
from proviso.contracts.definitions import late_columns
from proviso.contracts.paths import listed, of_view, repeated
from proviso.contracts.sources import TableSource

ROOM = 1.05
"""How much longer than a whole cycle a row must live, so that a slightly late run is no outage."""


def view_problems(contract: Contract, view: FeatureView) -> Iterator[Problem]:
    """Everything about a view but its features' own definitions."""
    yield from _names(view)
    yield from _key_pattern(contract, view)
    yield from _source_fits(contract, view)
    yield from _durations(view)
    if isinstance(view.publication, Scheduled):
        yield from _schedule(view, view.publication)
    else:
        yield from _on_event(view, view.publication)
    yield from _population(contract, view)
    yield from _lineage(contract, view)


def entity_problems(contract: Contract, view: FeatureView) -> Iterator[Problem]:
    """Entities that the contract does not have: without them the view has no keys."""
    for name in view.entities:
        if name not in contract.entity_by_name:
            wanted = f"one of {listed(contract.entity_by_name)}"
            why = "rows are read by the keys of their entities"
            yield Problem(of_view(view, "entities"), name, wanted, why, "entity_unknown")


def _names(view: FeatureView) -> Iterator[Problem]:
    aggregates = [aggregate.name for aggregate in view.aggregates]
    features = [feature.name for feature in view.features]
    why = "one name would stand for two things"
    yield from repeated(of_view(view, "entities"), view.entities, why)
    yield from repeated(of_view(view, "aggregates"), aggregates, why)
    yield from repeated(of_view(view, "features"), features, why)


def _source_fits(contract: Contract, view: FeatureView) -> Iterator[Problem]:
    """Rows of a table are taken as they are; of events every value is counted."""
    source = contract.source_of(view)
    for name in view.entities:
        if name not in source.entities:
            why = f"the rows of {source.name} have no key of it"
            wanted = f"one of {listed(source.entities)}"
            yield Problem(of_view(view, "entities"), name, wanted, why, "view_entity_not_in_source")
    if isinstance(source, TableSource):
        yield from _whole_key(source, view)
    if isinstance(source, TableSource) and view.aggregates:
        found = f"aggregates over the table {source.name}"
        wanted, why = "none", "the features of a table are its columns"
        yield Problem(of_view(view, "aggregates"), found, wanted, why, "table_view_aggregates")
    if not isinstance(source, TableSource) and not view.aggregates:
        wanted, why = "at least one", "features of events are computed from aggregates"
        yield Problem(of_view(view, "aggregates"), "nothing", wanted, why, "aggregates_missing")


def _whole_key(source: TableSource, view: FeatureView) -> Iterator[Problem]:
    """A row of a table is told by all of its keys: with fewer, rows would contradict each other."""
    if missing := [name for name in source.entities if name not in view.entities]:
        wanted, why = listed(source.entities), "a row of the table belongs to all of its entities"
        found = f"no {', '.join(missing)}"
        yield Problem(of_view(view, "entities"), found, wanted, why, "table_view_entities")


def _key_pattern(contract: Contract, view: FeatureView) -> Iterator[Problem]:
    ids = [f"<{key}>" for key in contract.join_keys(view)]
    wanted = timeline_key(entity_key(view.entities, ids), view.name, "<schema>").decode()
    found = view.online_store.key_pattern
    if found != wanted:
        place = of_view(view, "online_store.key_pattern")
        why = "writer and pod build exactly this key"
        yield Problem(place, found, wanted, why, "key_pattern_mismatch")


def _durations(view: FeatureView) -> Iterator[Problem]:
    if view.online_ttl >= view.temporal_join_lookback:
        yield Problem(
            of_view(view, "online_ttl"),
            format_duration(view.online_ttl),
            f"less than temporal_join_lookback {format_duration(view.temporal_join_lookback)}",
            "past the lookback a stale row cannot be told from a missing key",
            "ttl_beyond_lookback",
        )
    if view.freshness_slo > view.online_ttl:
        yield Problem(
            of_view(view, "freshness_slo"),
            format_duration(view.freshness_slo),
            f"at most online_ttl {format_duration(view.online_ttl)}",
            "the objective must be missed before values are refused",
            "slo_beyond_ttl",
        )


def _schedule(view: FeatureView, publication: Scheduled) -> Iterator[Problem]:
    cycle = publication.schedule + view.delay_to_readable
    parts = f"schedule + source_delay + duration = {format_duration(cycle)}"
    if view.online_ttl < ROOM * cycle:
        yield Problem(
            of_view(view, "online_ttl"),
            format_duration(view.online_ttl),
            f"at least {format_duration(_whole_seconds(ROOM * cycle))}",
            f"{parts} and 5% of room, or a fresh row turns stale before the next one is readable",
            "ttl_too_short",
        )
    if view.freshness_slo < cycle:
        yield Problem(
            of_view(view, "freshness_slo"),
            format_duration(view.freshness_slo),
            f"at least {format_duration(cycle)}",
            f"{parts}: a row is that old when the next one is readable, with nothing late",
            "slo_too_short",
        )
    if publication.duration >= publication.schedule:
        yield Problem(
            of_view(view, "publication.duration"),
            format_duration(publication.duration),
            f"less than schedule {format_duration(publication.schedule)}",
            "runs would pile up",
            "run_longer_than_schedule",
        )
    in_flight = view.delay_to_readable // publication.schedule + 2
    if in_flight > BUSY_ROWS:
        yield Problem(
            of_view(view, "publication.schedule"),
            format_duration(publication.schedule),
            f"at most {BUSY_ROWS} rows of one key that are written and not readable yet",
            f"{in_flight} runs start before the first of them is readable",
            "schedule_too_dense",
        )


def _on_event(view: FeatureView, publication: OnEvent) -> Iterator[Problem]:
    if publication.delay < view.source_delay:
        yield Problem(
            of_view(view, "publication.delay"),
            format_duration(publication.delay),
            f"at least source_delay {format_duration(view.source_delay)}",
            "a row cannot be readable before its source is complete",
            "delay_below_source",
        )
    if view.freshness_slo < publication.delay:
        yield Problem(
            of_view(view, "freshness_slo"),
            format_duration(view.freshness_slo),
            f"at least delay {format_duration(publication.delay)}",
            "a row is that old when it becomes readable, with nothing late",
            "slo_too_short",
        )


def _population(contract: Contract, view: FeatureView) -> Iterator[Problem]:
    place, found = of_view(view, "population"), format_duration(view.population)
    bounded = [aggregate for aggregate in view.aggregates if aggregate.window != ALL_TIME]
    longest = max(bounded, key=lambda a: _reach(contract, view, a), default=None)
    reach = 0 if longest is None else _reach(contract, view, longest)
    if view.population < max(reach, view.temporal_join_lookback):
        lookback = f"temporal_join_lookback {format_duration(view.temporal_join_lookback)}"
        wanted = lookback
        if longest is not None and reach >= view.temporal_join_lookback:
            wanted = f"{format_duration(reach)}, as far as {longest.name} counts"
        why = "an entity with events in the window would have no row, so MISSING_KEY"
        yield Problem(place, found, f"at least {wanted}", why, "population_too_short")


def _reach(contract: Contract, view: FeatureView, aggregate: Aggregate) -> int:
    """How long before a run an event may lie that the aggregate counts, by the contract's plan."""
    late = late_columns(contract, view, aggregate) if aggregate.dated == "known" else {}
    return aggregate.window + max((known.delay or 0 for known in late.values()), default=0)


def _lineage(contract: Contract, view: FeatureView) -> Iterator[Problem]:
    source = contract.source_of(view).name
    lineages = {of_view(view, "lineage.sources"): view.lineage} | {
        of_view(view, f"features[{feature.name}].lineage.sources"): feature.lineage
        for feature in view.features
        if feature.lineage is not None
    }
    for place, lineage in lineages.items():
        if source not in lineage.sources:
            why = "every value is computed from that source"
            found, wanted = ", ".join(lineage.sources), f"{source} among them"
            yield Problem(place, found, wanted, why, "lineage_without_source")


def _whole_seconds(microseconds: float) -> int:
    """Rounded up, so that the duration asked for suffices."""
    return -int(-microseconds // 1_000_000) * 1_000_000
