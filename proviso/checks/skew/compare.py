"""The sampled skew test: the value that the pod would read at T against the offline one.

Entities are sampled by stratum from the history; some are unknown to it. Offline is the
availability rule over the history's rows; online is the pod's own code over the key's bytes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from feature_runtime.core import keys, timeline
from feature_runtime.core.availability import Row, availability
from feature_runtime.core.moments import format_moment
from feature_runtime.core.service import FeatureRef, Service, View
from feature_runtime.core.values import feature_statuses
from feature_runtime.serving.lookup import Winner, winner
from proviso.checks.skew.rows import Compared, SkewRow, row_of
from proviso.checks.skew.verdict import Side
from proviso.checks.skew.window import Inconclusive, Window, known_offline, moment_in, window_of
from proviso.contracts.base import InputError
from proviso.contracts.contract import Contract, FeatureView
from proviso.history.engines import history_engine
from proviso.history.values import Ids, Sampled, SampleRequest
from proviso.online.store import OnlineStore

LEAST_COMPARED = 0.5
"""Of the sampled entities of a view: where more are left out, the rest says little of them."""

_KEYS_A_READ = 500
_TRIES = 3

Progress = Callable[[str], None]


@dataclass(frozen=True)
class SkewSources:
    """What is compared: a service's features, the history of a contract, and a store."""

    contract: Contract
    service: Service
    history: Path
    store: OnlineStore

    def view_of(self, view: View) -> FeatureView:
        """The contract's definition of a view of the service. Raises InputError."""
        known = self.contract.view_by_name.get(view.name)
        found = self.contract.schema_of(known) if known else "no such view"
        if known is None or found != view.schema:
            wanted = f"schema {view.schema}, which the service reads"
            place = f"contract: view {view.name}"
            raise InputError.of(place, found, wanted, code="view_schema_mismatch")
        return known


@dataclass(frozen=True)
class SkewSample:
    """At which moment (us; None: now), of how many entities of each view, by which seed."""

    at: int | None
    size: int
    seed: int


@dataclass(frozen=True)
class SkewResult:
    """A finished test. strata, sizes: per view, entities of the sample and of the whole history.

    left_out: per view, entities whose row was just being written at the moment. clock: the
    store's when the test began.
    """

    at: int
    clock: int
    window: Window
    rows: tuple[SkewRow, ...]
    strata: Mapping[str, Mapping[str, int]]
    sizes: Mapping[str, Mapping[str, int]]
    left_out: Mapping[str, int]


@dataclass
class _Tally:
    rows: list[SkewRow] = field(default_factory=list)
    strata: dict[str, Mapping[str, int]] = field(default_factory=dict)
    sizes: dict[str, Mapping[str, int]] = field(default_factory=dict)
    left_out: dict[str, int] = field(default_factory=dict)


def skew_test(sources: SkewSources, chosen: SkewSample, progress: Progress) -> SkewResult:
    """Compares a sample. Raises Inconclusive where a difference would prove nothing.

    A test of now is repeated when a writer moved the window while keys were read.
    """
    views = [sources.view_of(view) for view in sources.service.views]
    for left in reversed(range(_TRIES)):
        clock = sources.store.clock()
        window = known_offline(
            window_of(sources.service, sources.store), sources.contract, sources.history, views
        )
        at = moment_in(window, chosen.at, clock)
        tally = _Tally()
        for view in sources.service.views:
            progress(f"{view.name}: comparing at {format_moment(at)}")
            request = SampleRequest(at, chosen.size, chosen.seed, ())
            _compare_view(sources, view, request, window, tally)
        after = window_of(sources.service, sources.store)
        if after.low <= at:
            if not tally.rows:
                raise Inconclusive("the service consumes no feature of a view: nothing to compare")
            counts = (tally.strata, tally.sizes, tally.left_out)
            return SkewResult(at, clock, window, tuple(tally.rows), *counts)
        if chosen.at is not None or not left:
            break
    raise Inconclusive(f"a writer moved the interval to {after} while keys were read")


def _compare_view(
    sources: SkewSources, view: View, request: SampleRequest, window: Window, tally: _Tally
) -> None:
    definition = sources.view_of(view)
    consumed = tuple(f.name for f in view.features if f.policy is not None)
    request = SampleRequest(request.at, request.size, request.seed, consumed)
    found = history_engine().sample_entities(sources.contract, sources.history, definition, request)
    if not any(found.sizes[name] for name in ("fresh", "stale")):
        raise Inconclusive(f"{view.name}: no entity has a row at {format_moment(request.at)}")
    clear = _clear_of_writes(sources, definition, request.at, found.sampled)
    if len(clear) < len(found.sampled) * LEAST_COMPARED:
        left = f"{len(found.sampled) - len(clear)} of {len(found.sampled)} entities"
        raise Inconclusive(f"{view.name}: {left} were just being written; test another moment")
    tally.sizes[view.name] = found.sizes
    tally.left_out[view.name] = len(found.sampled) - len(clear)
    tally.strata[view.name] = Counter(name for one in clear for name in one.strata)
    comparison = _Comparison(sources, view, definition, request.at, window)
    for some in _batches(clear):
        blobs = sources.store.read([comparison.key(one.ids) for one in some])
        pairs = list(zip(some, blobs, strict=True))
        lost = [one.ids for one, blob in pairs if blob is None and one.rows]
        elsewhere = comparison.elsewhere(lost)
        for one, blob in pairs:
            seen = elsewhere.get(one.ids, "")
            tally.rows += map(row_of, comparison.features(one, blob, seen))


def _clear_of_writes(
    sources: SkewSources, view: FeatureView, at: int, sampled: Sequence[Sampled]
) -> Sequence[Sampled]:
    """The entities of which no row was just being written at the moment."""
    late = history_engine().late_intervals(sources.contract, sources.history, view)
    margin = sources.service.limits.clock_margin
    return [
        one
        for one in sampled
        if not any(
            interval.start - margin <= at <= interval.end + margin
            for interval in late.get(one.ids, ())
        )
    ]


@dataclass(frozen=True)
class _Comparison:
    """One view at one moment."""

    sources: SkewSources
    view: View
    definition: FeatureView
    at: int
    window: Window

    def key(self, ids: Ids, schema: str | None = None) -> bytes:
        entity = keys.entity_key(self.view.entities, ids)
        return keys.timeline_key(entity, self.view.name, schema or self.view.schema)

    @cached_property
    def other_schemas(self) -> list[str]:
        return sorted(self.sources.store.schemas(self.view.name) - {self.view.schema})

    def elsewhere(self, lost: Sequence[Ids]) -> dict[Ids, str]:
        """Entities without a key that have one under another schema, with a note of it."""
        if not lost:
            return {}
        found = {}
        for schema in self.other_schemas:
            blobs = self.sources.store.read([self.key(ids, schema) for ids in lost])
            for ids, blob in zip(lost, blobs, strict=True):
                if blob is not None:
                    found[ids] = f"found a key of schema {schema}, wanted {self.view.schema}"
        return found

    def features(self, one: Sampled, blob: bytes | None, elsewhere: str) -> Iterator[Compared]:
        """Every consumed feature of an entity, both sides."""
        offline = Winner(*availability(self.view.times, one.rows, self.at))
        early = _future_row(self.view, blob, self.latest)
        online = winner(self.view, blob, self.at)
        if early is not None:
            online = Winner(early, offline.status)
        seen = self._seen(blob, online, early) or elsewhere
        entity = "|".join(map(str, one.ids))
        columns = zip(
            self.definition.features,
            self.view.features,
            _sides(self.view, offline),
            _sides(self.view, online),
            strict=True,
        )
        for feature, served, its_offline, its_online in columns:
            if served.policy is None:
                continue
            case = f"{FeatureRef(self.view.name, feature.name)}:{entity}"
            yield Compared(
                case, self.definition, feature, entity, self.at, its_offline, its_online, seen
            )

    @property
    def latest(self) -> int:
        """The event_ts beyond which no writer accepts a row."""
        margin = self.sources.service.limits.clock_margin
        return max(self.at, self.window.merge_clock) + margin

    def _seen(self, blob: bytes | None, online: Winner, early: Row | None) -> str:
        if early is not None:
            return f"a stored row lies beyond {format_moment(self.latest)}"
        if blob is None or online.row is not None:
            return ""
        return _fault(self.view, blob)


def _future_row(view: View, blob: bytes | None, latest: int) -> Row | None:
    """A stored row whose event_ts lies beyond every clock."""
    try:
        rows = timeline.unpack(view.schema, blob) if blob is not None else ()
    except timeline.TimelineError:
        return None
    whole = [row for row in rows if len(row.values) == len(view.features)]
    return next((row for row in whole if row.event_ts > latest), None)


def _fault(view: View, blob: bytes) -> str:
    """Why bytes are no timeline of the view; '' when they are one."""
    try:
        rows = timeline.unpack(view.schema, blob)
    except timeline.TimelineError as error:
        return str(error)
    counts = {len(row.values) for row in rows} - {len(view.features)}
    return f"found {max(counts)} values, wanted {len(view.features)}" if counts else ""


def _sides(view: View, found: Winner) -> tuple[Side, ...]:
    """One side of every feature of the view."""
    statuses = feature_statuses(found.status, found.row, view.dtypes)
    if found.row is None:
        return tuple(Side(status, None, None) for status in statuses)
    event_ts = found.row.event_ts
    return tuple(
        Side(status, value, event_ts)
        for status, value in zip(statuses, found.row.values, strict=True)
    )


def _batches(sampled: Sequence[Sampled]) -> Iterator[Sequence[Sampled]]:
    return (sampled[at : at + _KEYS_A_READ] for at in range(0, len(sampled), _KEYS_A_READ))
