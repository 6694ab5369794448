"""A closed loop of requests against an endpoint: the gate's evidence of latency and errors.

At each concurrency of the plan as many requests are under way for the plan's duration. The client
is Python and may share its cores with what it measures, so its figures are upper bounds.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import numpy as np

from feature_runtime.core.moments import now
from feature_runtime.core.record import field_value
from feature_runtime.core.service import Service
from proviso.checks.evidence import Evidence
from proviso.checks.registry import Check, CheckContext, FigureBound, Option
from proviso.clients.endpoint import Clients, EndpointRequest, clients_of
from proviso.contracts.base import InputError
from proviso.contracts.bounds import Bound
from proviso.contracts.contract import Contract
from proviso.contracts.places import observed_place, place_sources
from proviso.contracts.plan import Plan
from proviso.history.engines import history_engine

KIND = "load"
MAX_REQUESTS = 5_000
Progress = Callable[[str], None]


@dataclass(frozen=True)
class Level:
    """What one concurrency came to; latencies in milliseconds, of the answered.

    refused: requests that failed by this client's own mistake, failed: all others that did.
    releases: those that answered.
    """

    concurrency: int
    requests: int
    failed: int
    seconds: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    refused: int = 0
    releases: tuple[str, ...] = ()

    @property
    def answered(self) -> int:
        return self.requests - self.failed - self.refused

    @property
    def rate(self) -> float:
        return self.answered / self.seconds


def load_requests(
    contract: Contract, service: Service, transactions: Path | None
) -> list[EndpointRequest]:
    """Requests of up to MAX_REQUESTS of the last transactions, with t set when they are sent."""
    keys = [entity.join_key for entity in service.entities]
    with history_engine().open_transactions(contract, transactions) as loaded:
        rows = loaded.newest(MAX_REQUESTS, keys, [field.name for field in service.sent_fields])
    if not rows:
        shown, wanted = observed_place(contract, transactions), "at least one row"
        raise InputError.of(shown, "no row", wanted, code="no_transactions")
    width = len(keys)
    return [
        EndpointRequest(
            f"load-{i}",
            0,
            dict(zip(keys, row[:width], strict=True)),
            {
                field.name: field_value(field, cell)
                for field, cell in zip(service.sent_fields, row[width:], strict=True)
            },
        )
        for i, row in enumerate(rows)
    ]


async def measure(
    clients: Clients,
    asked: Sequence[EndpointRequest],
    concurrencies: Sequence[int],
    seconds: float,
    progress: Progress,
) -> list[Level]:
    """One level after the other, each `seconds` long."""
    levels = []
    for concurrency in concurrencies:
        level = await _level(clients, asked, concurrency, seconds)
        progress(f"concurrency {concurrency}: {level.rate:,.0f}/s, p95 {level.p95_ms:.1f} ms")
        levels.append(level)
    return levels


async def _level(
    clients: Clients, asked: Sequence[EndpointRequest], concurrency: int, seconds: float
) -> Level:
    numbers = itertools.count()
    latencies: list[float] = []
    failed = refused = 0
    releases: set[str] = set()
    started = time.perf_counter()

    async def worker() -> None:
        nonlocal failed, refused
        while time.perf_counter() - started < seconds:
            number = next(numbers)
            request = asked[number % len(asked)]
            name = f"{request.request_id}-{concurrency}-{number}"
            answer = await clients.ask(number, replace(request, request_id=name, t=now()))
            if answer.answered:
                latencies.append(answer.seconds * 1_000)
                releases.add(str(answer.release))
            else:
                failed, refused = failed + (not answer.refused), refused + answer.refused

    await asyncio.gather(*(worker() for _ in range(concurrency)))
    took = time.perf_counter() - started
    p50, p95, p99 = np.percentile(latencies or [float("inf")], [50, 95, 99])
    return Level(
        concurrency,
        len(latencies) + failed + refused,
        failed,
        took,
        float(p50),
        float(p95),
        float(p99),
        refused,
        tuple(sorted(releases)),
    )


def evidence_of(release: str, levels: Sequence[Level]) -> Evidence:
    """The worst latencies and the best rate of all levels, all errors together.

    `seconds` is the shortest level's length: each has to last as long as the plan says.
    http_error_rate is of the requests that were not refused, as in monitoring; what is refused
    measures nothing and has a figure of its own. Another release's answers are no evidence.
    """
    requests, refused = sum(x.requests for x in levels), sum(x.refused for x in levels)
    failed, ours = sum(x.failed for x in levels), requests - refused
    others = sorted({name for level in levels for name in level.releases} - {release})
    figures = {
        "latency_p95_ms": max(level.p95_ms for level in levels),
        "latency_p99_ms": max(level.p99_ms for level in levels),
        "http_error_rate": failed / ours if ours else 1.0,
        "refused_share": refused / requests if requests else 1.0,
        "other_releases": len(others),
        "requests_per_second": max(level.rate for level in levels),
        "seconds": min(level.seconds for level in levels),
        "requests": requests,
        **{_answered_at(level.concurrency): level.answered for level in levels},
        "levels": [vars(level) for level in levels],
    }
    reasons = (
        *(() if ours > failed else ("no request was answered [load_unanswered]",)),
        *(f"{name} answered, wanted {release} [load_release_mismatch]" for name in others),
    )
    moment = now()
    return Evidence(KIND, release, moment, moment, reasons, figures=figures)


@dataclass(frozen=True)
class LoadOptions:
    """What `proviso check load` takes."""

    target: Annotated[str, Option("Endpoint, http://host:port.")]
    transactions: Annotated[
        Path | None,
        Option("Rows to request scores for (default: the contract's location)."),
    ] = None
    source: Annotated[
        tuple[str, ...],
        Option("Where a source lies, NAME=PATH (repeatable; default: the contract's location)."),
    ] = ()
    grpc_target: Annotated[
        str | None, Option("host:port for V2 gRPC; then half of the requests use it.")
    ] = None
    seconds: Annotated[
        float | None, Option("A level's length (default: the plan's).", min=1, max=3600)
    ] = None


def _measure(context: CheckContext, options: LoadOptions) -> Evidence:
    release, stress = context.required_release(), context.plan.stress_test
    sources = place_sources(context.contract, options.transactions, options.source)
    requests = load_requests(sources.contract, release.service, sources.observed)
    seconds = stress.duration / 1e6 if options.seconds is None else options.seconds

    async def levels() -> list[Level]:
        async with clients_of(
            release.model_name, release.service, options.target, options.grpc_target
        ) as clients:
            return await measure(clients, requests, stress.concurrency, seconds, context.progress)

    return evidence_of(release.id, asyncio.run(levels()))


def _answered_at(concurrency: int) -> str:
    """The figure of the requests that were answered at one of the plan's concurrencies."""
    return f"answered_at_{concurrency}"


def _bounds(plan: Plan) -> tuple[FigureBound, ...]:
    """The error budget is a share: what may fail is what need not be available.

    Every concurrency of the plan must have been measured.
    """
    levels = map(_answered_at, plan.stress_test.concurrency)
    return (
        FigureBound("latency_p95_ms", Bound.at_most(plan.latency_slo.p95_ms)),
        FigureBound("latency_p99_ms", Bound.at_most(plan.latency_slo.p99_ms)),
        FigureBound("http_error_rate", Bound.at_most(plan.error_budget.error_share)),
        FigureBound(
            "requests_per_second", Bound.at_least(plan.stress_test.min_requests_per_second)
        ),
        FigureBound("seconds", Bound.at_least(plan.stress_test.duration / 1e6)),
        FigureBound("refused_share", Bound.at_most(plan.error_budget.error_share)),
        FigureBound("other_releases", Bound.at_most(0)),
        *(FigureBound(level, Bound.at_least(1)) for level in levels),
    )


CHECK = Check(
    name=KIND,
    options=LoadOptions,
    measure=_measure,
    figures=("latency_p95_ms", "latency_p99_ms", "http_error_rate"),
    stage="promote",
    finding="latency and errors",
    bounds=_bounds,
)
