"""Replay: the endpoint must give every held-out transaction its offline row, on time's own terms.

One ordered list of requests and publications. At a run's start it waits for the answers to all
earlier requests and publishes that run ahead of its visibility, so that a request between a
run's start and its created_ts must still see the older row. What views on event have learned is
published before the first request that could see it, ahead of its visibility too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from feature_runtime.core import keys, timeline
from feature_runtime.core.availability import Row, Status, Value, availability, feature_statuses
from feature_runtime.core.moments import MINUTE, format_moment
from feature_runtime.core.service import Service, View
from proviso.clients.endpoint import Answer, Clients, EndpointRequest
from proviso.contracts.base import InputError
from proviso.contracts.contract import Contract, FeatureView, OnEvent
from proviso.history.arrays import EncoderInputs
from proviso.online.materialize import Clocks, Materializer
from proviso.online.store import OnlineStore
from proviso.release.directory import Release
from proviso.replay.arrivals import Arrivals, arrived_by
from proviso.replay.cases import PLAIN_FILE, REPLAYED_FILE, Case, Making, Offline, made_transactions
from proviso.replay.sampling import (
    Landmarks,
    LeftOut,
    beside,
    choose_left_out,
    created_moments,
    lacking,
    memberships,
    runs_between,
    stratify,
)

IN_FLIGHT = 8
Progress = Callable[[str], None]


@dataclass(frozen=True)
class Span:
    """What is replayed: `size` transactions of [start, end), chosen by `seed`.

    drill: leave out runs, make up unseen entities where the data has too few, and demand that
    every stratum of the sample reaches its floor.
    """

    transactions: Path
    start: int
    end: int
    size: int
    seed: int = 7
    drill: bool = True


@dataclass(frozen=True)
class Seen:
    """What the store held for a case at its moment, per consumed feature [K]."""

    status: tuple[Status, ...]
    values: tuple[Value, ...]
    event_ts: tuple[int | None, ...]


@dataclass(frozen=True)
class Outcome:
    """A case, the endpoint's answer, and what the store held at that moment."""

    case: Case
    answer: Answer
    seen: Seen


@dataclass(frozen=True)
class Rehearsal:
    """A prepared replay: cases in time order, what the sample contains, what is left out."""

    cases: tuple[Case, ...]
    strata: Mapping[str, int]
    left_out: LeftOut | None

    @property
    def skipped(self) -> frozenset[tuple[str, int]]:
        return _skipped(self.left_out)


@dataclass(frozen=True)
class Stage:
    """Everything a replay needs of the world: definitions, the history, the store."""

    contract: Contract
    release: Release
    history: Path
    store: OnlineStore
    clocks: Clocks

    @property
    def views(self) -> list[FeatureView]:
        """The views that the release consumes."""
        return [self.contract.view_by_name[v.name] for v in self.release.service.views]


@dataclass(frozen=True)
class Step:
    """One line of a replay's score: a publication of `view`, or with None a request.

    number: the run's event_ts, or the case's place in the rehearsal.
    """

    moment: int
    view: FeatureView | None
    number: int


def rehearse(stage: Stage, span: Span, work: Path) -> Rehearsal:
    """Chooses the sample and computes its offline rows."""
    plain = Offline(stage.contract, stage.release, stage.history, work, ())
    at = plain.inputs(span.transactions, span.start, span.end, PLAIN_FILE).at
    if len(at) == 0:
        raise InputError.of(span.transactions, "no transaction in the span", "some to replay")
    gap = choose_left_out(stage.views, at, span.start, span.end) if span.drill else None
    offline = replace(plain, left_out=tuple(sorted(_skipped(gap))))
    inputs = offline.inputs(span.transactions, span.start, span.end, REPLAYED_FILE)
    landmarks = Landmarks(
        created_moments(stage.views, span.start, span.end, _skipped(gap)),
        max((moment for moment, _, _ in _runs(stage, span, _skipped(gap))), default=span.start),
    )
    made = _made(offline, span, inputs, landmarks)
    sample = stratify(inputs.at, inputs.status, landmarks, span.size - len(made), span.seed)
    cases = offline.cases(inputs, sample.positions.tolist()) + offline.cases(made, range(len(made)))
    extra = memberships(made.at, made.status, landmarks)
    strata = {
        name: n + int(extra[name].sum()) for name, n in sample.strata.items() if name in extra
    }
    ordered = tuple(sorted(cases, key=lambda case: case.request.t))
    return Rehearsal(ordered, strata | {"made": len(made), "all": len(ordered)}, gap)


def _made(
    offline: Offline, span: Span, inputs: EncoderInputs, landmarks: Landmarks
) -> EncoderInputs:
    """Made up rows for the strata of which a drill finds too few in the data; often none."""
    members = memberships(inputs.at, inputs.status, landmarks)
    within = landmarks.created[
        (landmarks.created > span.start + MINUTE) & (landmarks.created < span.end - MINUTE)
    ]
    moments = beside(
        within, *(lacking(members, name) for name in ("before_created", "after_created"))
    )
    making = Making(lacking(members, "missing_key"), moments)
    if not span.drill or not making:
        return inputs.take(np.arange(0))
    path = made_transactions(offline.contract, inputs, making, offline.work / "made.parquet")
    return offline.inputs(path, span.start, span.end, "made-joined.parquet")


async def perform(
    stage: Stage, rehearsal: Rehearsal, span: Span, clients: Clients, progress: Progress
) -> tuple[Outcome, ...]:
    """Plays requests and publications in order. The endpoint must run with the replay clock."""
    writer = Materializer(
        stage.contract, stage.history, stage.store, replace(stage.clocks, as_of=span.start)
    )
    writer.bring_up(stage.views, rehearsal.skipped, progress)
    arrivals = {
        view.name: Arrivals(stage.contract, stage.history, view, span.start, span.end)
        for view in stage.views
        if isinstance(view.publication, OnEvent)
    }
    waiting: list[Case] = []
    outcomes: list[Outcome] = []
    for step in _score(stage, rehearsal, span):
        if step.view is None:
            waiting.append(rehearsal.cases[step.number])
            continue
        outcomes += await ask(stage, waiting, clients, len(outcomes))
        _tell(progress, rehearsal, len(outcomes) - len(waiting), len(outcomes))
        waiting.clear()
        now = replace(writer, clocks=replace(stage.clocks, as_of=step.moment))
        if step.view.name in arrivals:
            now.publish(step.view, arrivals[step.view.name].until(step.moment))
        else:
            now.publish_run(step.view, step.number)
    outcomes += await ask(stage, waiting, clients, len(outcomes))
    _tell(progress, rehearsal, len(outcomes) - len(waiting), len(outcomes))
    return tuple(outcomes)


def _tell(progress: Progress, rehearsal: Rehearsal, before: int, done: int) -> None:
    """Says how far a replay is, about every tenth of its requests."""
    total = len(rehearsal.cases)
    tenth = max(1, total // 10)
    if done // tenth > before // tenth:
        moment = format_moment(rehearsal.cases[done - 1].request.t)
        progress(f"{done:,} of {total:,} requests, at {moment}")


async def ask(
    stage: Stage, cases: Sequence[Case], clients: Clients, first: int = 0
) -> list[Outcome]:
    """Asks some cases, a few at a time, and waits for all answers; in the cases' order.

    first: the number of the first case, which decides over which protocol each is asked.
    """
    slots = asyncio.Semaphore(IN_FLIGHT)

    async def one(number: int, case: Case) -> Outcome:
        async with slots:
            answer = await clients.ask(number, case.request)
            return Outcome(case, answer, look(stage, case.request))

    return list(await asyncio.gather(*(one(first + i, case) for i, case in enumerate(cases))))


def look(stage: Stage, request: EndpointRequest) -> Seen:
    """What the store holds for a request at its t, by the one rule, without the pod."""
    service = stage.release.service
    blobs = stage.store.read([_key(service, view, request) for view in service.views])
    status: dict[tuple[str, str], Status] = {}
    values: dict[tuple[str, str], Value] = {}
    events: dict[str, int | None] = {}
    for view, blob in zip(service.views, blobs, strict=True):
        row, found = _winner(view, blob, request.t)
        events[view.name] = row.event_ts if row else None
        held = row.values if row else (None,) * len(view.features)
        for feature, one, value in zip(view.features, found, held, strict=True):
            status[view.name, feature.name] = one
            values[view.name, feature.name] = value
    return Seen(
        tuple(status[name] for name in service.consumed),
        tuple(values[name] for name in service.consumed),
        tuple(events[view] for view, _ in service.consumed),
    )


def _winner(view: View, blob: bytes | None, t: int) -> tuple[Row | None, tuple[Status, ...]]:
    try:
        rows = timeline.unpack(view.schema, blob) if blob is not None else ()
    except timeline.TimelineError:
        return None, (Status.TYPE,) * len(view.features)
    row, status = availability(view.times, rows, t)
    if row is not None and len(row.values) != len(view.features):
        return None, (Status.TYPE,) * len(view.features)
    return row, feature_statuses(status, row, view.dtypes)


def timeline_of(stage: Stage, view: View, request: EndpointRequest) -> tuple[bytes, bytes | None]:
    """The key of a request's entity in a view, and what the store holds there."""
    key = _key(stage.release.service, view, request)
    return key, stage.store.read([key])[0]


def _key(service: Service, view: View, request: EndpointRequest) -> bytes:
    join_keys = {entity.name: entity.join_key for entity in service.entities}
    ids = [request.ids[join_keys[name]] for name in view.entities]
    return keys.timeline_key(keys.entity_key(view.entities, ids), view.name, view.schema)


def _score(stage: Stage, rehearsal: Rehearsal, span: Span) -> list[Step]:
    """Every publication and every request, in order; a publication before what it may reach."""
    asked = [Step(case.request.t, None, n) for n, case in enumerate(rehearsal.cases)]
    runs = [Step(*run) for run in _runs(stage, span, rehearsal.skipped)]
    live = [
        Step(moment, view, 0)
        for view in stage.views
        if isinstance(view.publication, OnEvent)
        for moment in {arrived_by(view, case.request.t) for case in rehearsal.cases}
    ]
    return sorted([*runs, *live, *asked], key=lambda step: (step.moment, step.view is None))


def _runs(
    stage: Stage, span: Span, skipped: frozenset[tuple[str, int]]
) -> list[tuple[int, FeatureView, int]]:
    """(start, view, event_ts) of the runs that start in the span and are published."""
    return [
        (run + view.source_delay, view, run)
        for view in stage.views
        for run in runs_between(view, span.start - view.source_delay, span.end - view.source_delay)
        if (view.name, run) not in skipped
    ]


def _skipped(gap: LeftOut | None) -> frozenset[tuple[str, int]]:
    return frozenset((gap.view, run) for run in gap.runs) if gap else frozenset()
