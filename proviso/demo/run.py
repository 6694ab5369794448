"""`make demo`: the whole path on one machine, each step with its own check.

The first step whose check fails raises; the processes that were started are stopped.
"""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from proviso.checks.lab import ALL_PASSED, checks
from proviso.checks.registry import Stage as GateStage
from proviso.clients.endpoint import Client, Clients, GrpcClient, RestClient
from proviso.contracts.base import ContractError
from proviso.contracts.loading import load_contract
from proviso.contracts.places import PlacedSources, observed_place
from proviso.contracts.section import consumed_views, service_of
from proviso.demo import drills
from proviso.demo.evidence import Gathering, gather
from proviso.demo.page import page_of
from proviso.demo.progress import Steps
from proviso.demo.report import RefusedRequest, write_report
from proviso.demo.require import require
from proviso.gates.gate import judge
from proviso.gates.verdict import Verdict, text_of
from proviso.history.engines import history_engine
from proviso.local.processes import Stack
from proviso.local.stack import Embedded, start, start_endpoint
from proviso.online.materialize import Clocks
from proviso.online.store import OnlineStore
from proviso.replay.evidence import replay_failures, write_replay_evidence
from proviso.replay.replay import (
    CaseResult,
    PreparedReplay,
    ReplayContext,
    ReplaySettings,
    prepare_replay,
    run_replay,
)
from proviso.simulation.simulate import simulate
from proviso.training.data import Project, Request, clock_of
from proviso.training.project import load_project
from proviso.training.train import Trained, train
from proviso.training.weeks import Weeks, last_weeks

STEPS = 9


@dataclass(frozen=True)
class Settings:
    """The options of a demonstration. sources: None to simulate transactions."""

    contracts: Path
    work: Path
    report: Path
    sources: PlacedSources | None = None
    sample: int = 1_000
    keep: bool = False

    @property
    def commands(self) -> tuple[str, ...]:
        """How to repeat this demonstration."""
        given = f" TRANSACTIONS={self.sources.observed}" if self.sources else ""
        return (f"make demo{given}",)

    @property
    def evidence(self) -> Path:
        return self.work / "evidence"

    @property
    def history(self) -> Path:
        return self.work / "history"

    @property
    def release(self) -> Path:
        return self.work / "release"


@dataclass(frozen=True)
class Replayed:
    """A replay: its requests, their answers, and its summary."""

    context: ReplayContext
    replay: PreparedReplay
    results: tuple[CaseResult, ...]
    summary: dict[str, Any]


@dataclass(frozen=True)
class Prepared:
    """A release and what it was trained from. transactions: None: the contract's location."""

    project: Project
    transactions: Path | None
    weeks: Weeks
    trained: Trained


def demo(settings: Settings) -> Path:
    """Runs all steps; returns the report's path. Raises ValidationFailed when a step fails."""
    steps = Steps(STEPS)
    settings.work.mkdir(parents=True, exist_ok=True)
    prepared = _prepare(settings, steps)
    with Stack() as processes:
        with steps.step("start Valkey, Triton and the KServe transformer"):
            embedded = _start(settings, prepared.trained, processes, steps)
        with steps.step(f"replay {settings.sample} held-out rows, REST and gRPC"):
            replayed = _replay(settings, prepared, embedded, steps)
        with steps.step("populated keys, freshness, skew test and drift at the last request"):
            _gather(settings, prepared, embedded, replayed, steps)
        with steps.step("three requests that must be refused or flagged"):
            refused = _refused_requests(settings, processes, embedded, replayed, steps)
        with steps.step("gate: register, shadow, and shadow again with one altered value"):
            verdicts = _gates(settings, embedded, replayed, steps)
        with steps.step("summary and report"):
            page = _report(settings, prepared, replayed, refused, verdicts, steps)
        if settings.keep:
            _keep(settings, processes, embedded, replayed, steps)
    return page


def _prepare(settings: Settings, steps: Steps) -> Prepared:
    with steps.step("transactions"):
        transactions = _transactions(settings, steps)
    with steps.step("validate contract, payloads, skew cases and release plan"):
        _validate(settings, steps)
        project = _project(settings)
        delay, margin = project.contract.observations_of().label.delay, project.plan.clock_margin
        weeks = last_weeks(project.contract, transactions, delay, margin)
        steps.say(weeks.text)
    with steps.step("features, point-in-time join, training, ONNX, release"):
        trained = _train(settings, project, transactions, weeks, steps)
    return Prepared(project, transactions, weeks, trained)


def _start(settings: Settings, trained: Trained, processes: Stack, steps: Steps) -> Embedded:
    work = settings.work / "stack"
    embedded = start(processes, trained.release, work, replay_clock=True, leashed=not settings.keep)
    for process, ports in embedded.processes:
        listening = ", ".join(f"{name} {port}" for name, port in ports.items())
        steps.say(f"{process.name}: {listening}, log {process.log}")
    return embedded


def _keep(
    settings: Settings, processes: Stack, embedded: Embedded, replayed: Replayed, steps: Steps
) -> None:
    """Leaves the stack running, and prints a request to it."""
    work = settings.work / "stack"
    embedded.keep(work)
    processes.release()
    steps.say(f"the stack stays up; `proviso local down --run {work}` stops it. A request to it:")
    print(drills.curl_line(embedded, replayed.replay.cases[-1].request))


def _report(
    settings: Settings,
    prepared: Prepared,
    replayed: Replayed,
    refused: Sequence[RefusedRequest],
    verdicts: Sequence[tuple[Verdict, bool]],
    steps: Steps,
) -> Path:
    page = settings.report / "index.html"
    data = page_of(
        prepared.project.contract,
        prepared.trained.release,
        settings.work,
        replayed.summary,
        refused,
        verdicts,
        steps.taken,
        settings.commands,
    )
    write_report(data, page)
    _say_summary(prepared.trained, replayed, verdicts, page, steps)
    return page


def _transactions(settings: Settings, steps: Steps) -> Path | None:
    if settings.sources is not None:
        contract, observed = settings.sources.contract, settings.sources.observed
        steps.say(f"given: {observed_place(contract, observed)}")
        return observed
    out = settings.work / "transactions.parquet"
    contract = load_contract(settings.contracts)
    made = simulate(settings.contracts, contract, out)
    steps.say(made.text)
    return out


def _validate(settings: Settings, steps: Steps) -> None:
    results = checks(settings.contracts)
    for result in results:
        steps.say(str(result))
    problems = [problem for result in results for problem in result.problems]
    if problems:
        raise ContractError(problems)
    steps.say(ALL_PASSED)


def _project(settings: Settings) -> Project:
    return load_project(
        settings.contracts, None, settings.sources.contract if settings.sources else None
    )


def _train(
    settings: Settings, project: Project, transactions: Path | None, weeks: Weeks, steps: Steps
) -> Trained:
    """History from the earliest lookback of the training days to the end of the test."""
    delay = project.contract.observations_of().label.delay
    request = Request(transactions, weeks.train, weeks.test, delay, settings.history)
    for view in consumed_views(project.contract, service_of(project.contract, project.plan)):
        begin = weeks.train.first - view.temporal_join_lookback
        history_engine().compute_history(
            project.contract,
            transactions,
            settings.history,
            begin,
            weeks.test.end,
            [view.name],
            steps.tick,
            clock=clock_of(project, request),
        )
    trained = train(project, request, settings.release, steps.tick)
    for name in ("model", "baseline"):
        metrics = trained.release.card["metrics"][name]
        figures = (f"{key} {value:.3f}" for key, value in metrics.items() if value is not None)
        steps.say(f"{name}: {', '.join(figures) or 'no figures: labels of one kind only'}")
    steps.say(f"release {trained.release.id} in {settings.release}")
    return trained


def _context(settings: Settings, project: Project, embedded: Embedded) -> ReplayContext:
    store = OnlineStore(embedded.store.url, embedded.store.password_file)
    clocks = Clocks(None, project.plan.clock_margin, project.plan.write_deadline)
    return ReplayContext(project.contract, embedded.release, settings.history, store, clocks)


def _replay(settings: Settings, prepared: Prepared, embedded: Embedded, steps: Steps) -> Replayed:
    context = _context(settings, prepared.project, embedded)
    test = prepared.weeks.test
    span = ReplaySettings(prepared.transactions, test.first, test.end, settings.sample)
    replay = prepare_replay(context, span, settings.work)
    steps.say(", ".join(f"{name} {count}" for name, count in replay.strata.items()))
    results = asyncio.run(_perform(context, replay, span, embedded, steps))
    release = embedded.release.id
    summary = write_replay_evidence(context.contract, release, replay, results, settings.evidence)
    difference = summary["max_probability_difference"]
    steps.say(
        f"{len(results)} answers, {summary['mismatch_count']} differ, max |dp| {difference:.1e}"
    )
    evidence = settings.evidence / "replay.json"
    wanted = "every answer equal to its offline row"
    require(evidence, replay_failures(summary), wanted, "replay_mismatch")
    return Replayed(context, replay, results, summary)


async def _perform(
    context: ReplayContext,
    replay: PreparedReplay,
    span: ReplaySettings,
    embedded: Embedded,
    steps: Steps,
) -> tuple[CaseResult, ...]:
    async with clients_of(embedded) as clients:
        return await run_replay(context, replay, span, clients, steps.tick)


def clients_of(embedded: Embedded) -> Clients:
    """Both protocols of the stack's endpoint."""
    release, endpoint = embedded.release, embedded.endpoint
    both: tuple[Client, Client] = (
        RestClient(endpoint.url, release.model_name, release.service),
        GrpcClient(endpoint.grpc_address, release.model_name, release.service),
    )
    return Clients(*both)


def _gather(
    settings: Settings, prepared: Prepared, embedded: Embedded, replayed: Replayed, steps: Steps
) -> None:
    """Writes the evidence that the gate needs beside the replay, as of the last request."""
    at, plan = replayed.replay.cases[-1].request.t, prepared.project.plan
    gathering = Gathering(replayed.context, plan, at, embedded.endpoint.record, settings.evidence)
    for line in gather(gathering, steps.tick):
        steps.say(line)


def _refused_requests(
    settings: Settings, processes: Stack, embedded: Embedded, replayed: Replayed, steps: Steps
) -> list[RefusedRequest]:
    live = start_endpoint(
        processes,
        embedded.release,
        settings.work / "stack" / "live",
        embedded.store,
        embedded.predictor,
        replay_clock=False,
        leashed=True,
    )
    refused = asyncio.run(
        drills.refused_requests(replayed.context, replayed.replay, embedded, live)
    )
    for request in refused:
        steps.say(f"{request.title}: {request.answered} ({request.reason})")
    return refused


def _gates(
    settings: Settings, embedded: Embedded, replayed: Replayed, steps: Steps
) -> list[tuple[Verdict, bool]]:
    """Each verdict with whether it is expected to pass."""
    first = _gate(settings, "register", settings.evidence, steps)
    second = _gate(settings, "shadow", settings.evidence, steps)
    for verdict in (first, second):
        refusals = [finding.detail for finding in verdict.refusals]
        require(settings.release, refusals, f"a pass at stage {verdict.stage}", "gate_refused")
    altered = settings.work / "evidence-altered"
    shutil.copytree(settings.evidence, altered, dirs_exist_ok=True)
    what = asyncio.run(_altered(replayed, embedded, altered))
    steps.say(f"altered in the store: {what}")
    third = _gate(settings, "shadow", altered, steps)
    named = [f for f in third.refusals if "REVIEW VALUE" in f.detail and "owner" in f.detail]
    missing = [] if named else ["no REVIEW row"]
    wanted = "a refusal that names the row's kind and owner"
    require(altered, missing, wanted, "altered_value_accepted")
    return [(first, True), (second, True), (third, False)]


async def _altered(replayed: Replayed, embedded: Embedded, out: Path) -> str:
    async with clients_of(embedded) as clients:
        results, what = await drills.with_altered_value(replayed.context, replayed.results, clients)
    context = replayed.context
    write_replay_evidence(context.contract, context.release.id, replayed.replay, results, out)
    return what


def _gate(settings: Settings, stage: GateStage, evidence: Path, steps: Steps) -> Verdict:
    verdict = judge(settings.contracts, settings.release, stage, evidence)
    verdict.write(evidence)
    for line in text_of(verdict).splitlines():
        steps.say(line)
    return verdict


def _say_summary(
    trained: Trained,
    replayed: Replayed,
    verdicts: Sequence[tuple[Verdict, bool]],
    page: Path,
    steps: Steps,
) -> None:
    for verdict, expected in verdicts:
        word = "pass" if verdict.passed else "refused"
        judged = "as expected" if verdict.passed == expected else "NOT as expected"
        steps.say(f"gate {verdict.stage}: {word} ({judged})")
    strata = json.dumps(dict(replayed.replay.strata))
    steps.say(f"release {trained.release.id}, replayed {strata}")
    steps.say(f"report: {page}")
