"""Replay: sends held-out transactions to the endpoint and keeps answers and offline rows together.

Requests and publications form one list ordered by time. At a run's start the replay waits for the
answers to all earlier requests and publishes the run ahead of its visibility, so that a request
between the run's start and its created_ts must still get the older row. Rows of on-event views are
published before the first request that can see them, ahead of their visibility too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from feature_runtime.core import keys
from feature_runtime.core.availability import Status, Value
from feature_runtime.core.moments import MINUTE, format_moment
from feature_runtime.core.service import Service, View
from feature_runtime.core.values import feature_statuses
from feature_runtime.serving.lookup import winner
from proviso.clients.endpoint import Answer, Clients, EndpointRequest
from proviso.contracts.base import InputError
from proviso.contracts.contract import Contract, FeatureView
from proviso.contracts.places import observed_place
from proviso.contracts.publication import runs_of
from proviso.history.arrays import EncoderInputs
from proviso.online.materialize import Clocks, Materializer
from proviso.online.store import OnlineStore
from proviso.release.directory import Release
from proviso.replay.arrivals import Arrivals, arrived_by
from proviso.replay.cases import (
    PLAIN_FILE,
    REPLAYED_FILE,
    Case,
    Offline,
    Synthetic,
    synthetic_transactions,
)
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
class ReplaySettings:
    """What is replayed: `size` transactions of [start, end), chosen by `seed`.

    transactions: None: the contract's location.
    drill: leave out runs, add synthetic transactions where the data has too few of a kind, and
    require that every stratum of the sample reaches its floor.
    """

    transactions: Path | None
    start: int
    end: int
    size: int
    seed: int = 7
    drill: bool = True


@dataclass(frozen=True)
class StoredFeatures:
    """What the store holds for a request at its moment, per consumed feature [K]."""

    status: tuple[Status, ...]
    values: tuple[Value, ...]
    event_ts: tuple[int | None, ...]


@dataclass(frozen=True)
class CaseResult:
    """A case, the endpoint's answer, and what the store held at the case's moment."""

    case: Case
    answer: Answer
    stored: StoredFeatures


@dataclass(frozen=True)
class PreparedReplay:
    """A prepared replay: cases in time order, what the sample contains, what is left out."""

    cases: tuple[Case, ...]
    strata: Mapping[str, int]
    left_out: LeftOut | None

    @property
    def skipped(self) -> frozenset[tuple[str, int]]:
        return _skipped(self.left_out)


@dataclass(frozen=True)
class ReplayContext:
    """What a replay reads and writes: contract, release, history and store."""

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
class ReplayStep:
    """A step of the replay: a publication of `view`, or with None a request.

    number: the run's event_ts, or the case's position.
    """

    moment: int
    view: FeatureView | None
    number: int


def prepare_replay(context: ReplayContext, settings: ReplaySettings, work: Path) -> PreparedReplay:
    """Chooses the sample and computes its offline rows."""
    start, end, transactions = settings.start, settings.end, settings.transactions
    plain = Offline(context.contract, context.release, context.history, work, ())
    at = plain.inputs(transactions, start, end, PLAIN_FILE).at
    if len(at) == 0:
        found, wanted = "no observed row of these days", "at least one in these days"
        shown = observed_place(context.contract, transactions)
        raise InputError.of(shown, found, wanted, code="no_transactions")
    gap = choose_left_out(context.views, at, start, end) if settings.drill else None
    offline = replace(plain, left_out=tuple(sorted(_skipped(gap))))
    inputs = offline.inputs(transactions, start, end, REPLAYED_FILE)
    runs = (moment for moment, _, _ in _runs(context, settings, _skipped(gap)))
    created = created_moments(context.views, start, end, _skipped(gap))
    landmarks = Landmarks(created, max(runs, default=start))
    made = _made(offline, settings, inputs, landmarks)
    sample = stratify(inputs.at, inputs.status, landmarks, settings.size - len(made), settings.seed)
    cases = offline.cases(inputs, sample.positions.tolist()) + offline.cases(made, range(len(made)))
    extra = memberships(made.at, made.status, landmarks)
    strata = {
        name: n + int(extra[name].sum()) for name, n in sample.strata.items() if name in extra
    }
    ordered = tuple(sorted(cases, key=lambda case: case.request.t))
    return PreparedReplay(ordered, strata | {"made": len(made), "all": len(ordered)}, gap)


def _made(
    offline: Offline, settings: ReplaySettings, inputs: EncoderInputs, landmarks: Landmarks
) -> EncoderInputs:
    """Synthetic rows for the strata of which a drill finds too few in the data; often none."""
    members = memberships(inputs.at, inputs.status, landmarks)
    within = landmarks.created[
        (landmarks.created > settings.start + MINUTE) & (landmarks.created < settings.end - MINUTE)
    ]
    moments = beside(
        within, *(lacking(members, name) for name in ("before_created", "after_created"))
    )
    wanted = Synthetic(lacking(members, "missing_key"), moments)
    if not settings.drill or not wanted:
        return inputs.take(np.arange(0))
    path = synthetic_transactions(offline.contract, inputs, wanted, offline.work / "made.parquet")
    return offline.inputs(path, settings.start, settings.end, "made-joined.parquet")


async def run_replay(
    context: ReplayContext,
    prepared: PreparedReplay,
    settings: ReplaySettings,
    clients: Clients,
    progress: Progress,
) -> tuple[CaseResult, ...]:
    """Makes all requests and publications in order. The endpoint must use the replay clock."""
    writer = Materializer(
        context.contract,
        context.history,
        context.store,
        replace(context.clocks, as_of=settings.start),
    )
    writer.require_whole(writer.bring_up(context.views, prepared.skipped, progress))
    arrivals = {
        view.name: Arrivals(context.contract, context.history, view, settings.start, settings.end)
        for view in context.views
        if runs_of(view) is None
    }
    waiting: list[Case] = []
    results: list[CaseResult] = []
    for step in _schedule(context, prepared, settings):
        if step.view is None:
            waiting.append(prepared.cases[step.number])
            continue
        results += await ask(context, waiting, clients, len(results))
        _tell(progress, prepared, len(results) - len(waiting), len(results))
        waiting.clear()
        now = replace(writer, clocks=replace(context.clocks, as_of=step.moment))
        if step.view.name in arrivals:
            done = now.publish(step.view, arrivals[step.view.name].until(step.moment))
            now.require_all(step.view, done)
        else:
            now.publish_run(step.view, step.number)
    results += await ask(context, waiting, clients, len(results))
    _tell(progress, prepared, len(results) - len(waiting), len(results))
    return tuple(results)


def _tell(progress: Progress, prepared: PreparedReplay, before: int, done: int) -> None:
    """Reports progress after about every tenth of the requests."""
    total = len(prepared.cases)
    tenth = max(1, total // 10)
    if done // tenth > before // tenth:
        moment = format_moment(prepared.cases[done - 1].request.t)
        progress(f"{done:,} of {total:,} requests, at {moment}")


async def ask(
    context: ReplayContext, cases: Sequence[Case], clients: Clients, first: int = 0
) -> list[CaseResult]:
    """Asks some cases, a few at a time, and waits for all answers; in the cases' order.

    first: the number of the first case, which decides over which protocol each is asked.
    """
    slots = asyncio.Semaphore(IN_FLIGHT)

    async def one(number: int, case: Case) -> CaseResult:
        async with slots:
            answer = await clients.ask(number, case.request)
            return CaseResult(case, answer, stored_features(context, case.request))

    return list(await asyncio.gather(*(one(first + i, case) for i, case in enumerate(cases))))


def stored_features(context: ReplayContext, request: EndpointRequest) -> StoredFeatures:
    """Reads the store as the pod would at the request's t, without asking the pod."""
    service = context.release.service
    blobs = context.store.read([_key(service, view, request) for view in service.views])
    status: dict[tuple[str, str], Status] = {}
    values: dict[tuple[str, str], Value] = {}
    events: dict[str, int | None] = {}
    for view, blob in zip(service.views, blobs, strict=True):
        found = winner(view, blob, request.t)
        row = found.row
        statuses = feature_statuses(found.status, row, view.dtypes)
        held = row.values if row else (None,) * len(view.features)
        events[view.name] = row.event_ts if row else None
        for feature, one, value in zip(view.features, statuses, held, strict=True):
            status[view.name, feature.name] = one
            values[view.name, feature.name] = value
    return StoredFeatures(
        tuple(status[name] for name in service.consumed),
        tuple(values[name] for name in service.consumed),
        tuple(events[view] for view, _ in service.consumed),
    )


def timeline_of(
    context: ReplayContext, view: View, request: EndpointRequest
) -> tuple[bytes, bytes | None]:
    """The key of a request's entity in a view, and what the store holds there."""
    key = _key(context.release.service, view, request)
    return key, context.store.read([key])[0]


def _key(service: Service, view: View, request: EndpointRequest) -> bytes:
    join_keys = {entity.name: entity.join_key for entity in service.entities}
    ids = [request.ids[join_keys[name]] for name in view.entities]
    return keys.timeline_key(keys.entity_key(view.entities, ids), view.name, view.schema)


def _schedule(
    context: ReplayContext, prepared: PreparedReplay, settings: ReplaySettings
) -> list[ReplayStep]:
    """Every publication and every request, in order; a publication before what it may reach."""
    asked = [ReplayStep(case.request.t, None, n) for n, case in enumerate(prepared.cases)]
    runs = [ReplayStep(*run) for run in _runs(context, settings, prepared.skipped)]
    live = [
        ReplayStep(moment, view, 0)
        for view in context.views
        if runs_of(view) is None
        for moment in {arrived_by(view, case.request.t) for case in prepared.cases}
    ]
    return sorted([*runs, *live, *asked], key=lambda step: (step.moment, step.view is None))


def _runs(
    context: ReplayContext, settings: ReplaySettings, skipped: frozenset[tuple[str, int]]
) -> list[tuple[int, FeatureView, int]]:
    """(start, view, event_ts) of the runs that start in the replayed time and are published."""
    return [
        (run + view.source_delay, view, run)
        for view in context.views
        for run in runs_between(
            view, settings.start - view.source_delay, settings.end - view.source_delay
        )
        if (view.name, run) not in skipped
    ]


def _skipped(gap: LeftOut | None) -> frozenset[tuple[str, int]]:
    return frozenset((gap.view, run) for run in gap.runs) if gap else frozenset()
