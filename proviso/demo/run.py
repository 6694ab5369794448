"""`make demo`: the whole path on one machine, each step with its own check.

Raises ContractError at the first step whose check says no; whatever was started is stopped.
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
from proviso.contracts.loading import load_contract, load_plan
from proviso.contracts.section import consumed_views, service_of
from proviso.demo import drills
from proviso.demo.demand import demand
from proviso.demo.evidence import Gathering, gather
from proviso.demo.page import page_of
from proviso.demo.progress import Journal
from proviso.demo.report import RefusedRequest, write_report
from proviso.demo.weeks import Weeks, last_weeks
from proviso.gates.gate import judge
from proviso.gates.verdict import Verdict, text_of
from proviso.history.duckdb.features import compute_history
from proviso.local.processes import Stack
from proviso.local.stack import Embedded, start, start_endpoint
from proviso.online.materialize import Clocks
from proviso.online.store import OnlineStore
from proviso.replay.evidence import passed, summarize
from proviso.replay.replay import Outcome, Rehearsal, Span, Stage, perform, rehearse
from proviso.simulation.simulate import simulate
from proviso.training.data import Project, Request
from proviso.training.spec import load_spec
from proviso.training.train import Trained, train

STEPS = 9


@dataclass(frozen=True)
class Settings:
    """What a demonstration is asked for. transactions None: simulate some."""

    contracts: Path
    work: Path
    report: Path
    transactions: Path | None = None
    sample: int = 1_000
    keep: bool = False

    @property
    def commands(self) -> tuple[str, ...]:
        """How to repeat this demonstration."""
        given = f" TRANSACTIONS={self.transactions}" if self.transactions else ""
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
class Played:
    """What the replay was made of and came to."""

    stage: Stage
    rehearsal: Rehearsal
    outcomes: tuple[Outcome, ...]
    summary: dict[str, Any]


def demo(settings: Settings) -> Path:
    """Runs all steps; returns the report's path. Raises ValidationFailed with what a step found."""
    journal = Journal(STEPS)
    settings.work.mkdir(parents=True, exist_ok=True)
    with journal.step("transactions"):
        transactions = _transactions(settings, journal)
    with journal.step("validate contract, payloads, skew cases and release plan"):
        _validate(settings, journal)
        project = _project(settings)
        weeks = last_weeks(project.contract, transactions)
        journal.say(weeks.lines)
    with journal.step("features, point-in-time join, training, ONNX, release"):
        trained = _train(settings, project, transactions, weeks, journal)
    with Stack() as processes:
        with journal.step("start Valkey, Triton and the KServe transformer"):
            embedded = start(
                processes,
                trained.release,
                settings.work / "stack",
                replay_clock=True,
                leashed=not settings.keep,
            )
            _say_where(embedded, journal)
        with journal.step(f"replay {settings.sample} held-out transactions, REST and gRPC"):
            played = _replay(settings, project, embedded, transactions, weeks, journal)
        with journal.step("populated keys, freshness, skew test and drift at the last request"):
            _gather(settings, embedded, played, journal)
        with journal.step("three requests that must not be scored as if nothing were wrong"):
            refusals = _refusals(settings, processes, embedded, played, journal)
        with journal.step("gate: register, shadow, and shadow again with one altered value"):
            verdicts = _gates(settings, embedded, played, journal)
        with journal.step("summary and report"):
            page = settings.report / "index.html"
            data = page_of(
                project.contract,
                trained.release,
                settings.work,
                played.summary,
                refusals,
                verdicts,
                journal.steps,
                settings.commands,
            )
            write_report(data, page)
            _say_summary(trained, played, verdicts, page, journal)
        if settings.keep:
            embedded.keep(settings.work / "stack")
            processes.release()
            stack = settings.work / "stack"
            journal.say(f"the stack stays up; `proviso local down --run {stack}` stops it. Ask it:")
            print(drills.curl_line(embedded, played.rehearsal.cases[-1].request))
    return page


def _transactions(settings: Settings, journal: Journal) -> Path:
    if settings.transactions is not None:
        journal.say(f"given: {settings.transactions}")
        return settings.transactions
    out = settings.work / "transactions.parquet"
    contract = load_contract(settings.contracts)
    made = simulate(settings.contracts, contract, out)
    journal.say(made.text)
    return out


def _validate(settings: Settings, journal: Journal) -> None:
    found = checks(settings.contracts)
    for check in found:
        journal.say(str(check))
    problems = [problem for check in found for problem in check.problems]
    if problems:
        raise ContractError(problems)
    journal.say(ALL_PASSED)


def _project(settings: Settings) -> Project:
    contract, plan = load_contract(settings.contracts), load_plan(settings.contracts)
    return Project(contract, plan, load_spec(settings.contracts, contract, plan))


def _train(
    settings: Settings, project: Project, transactions: Path, weeks: Weeks, journal: Journal
) -> Trained:
    """History from the earliest lookback of the training days to the end of the test."""
    for view in consumed_views(project.contract, service_of(project.contract, project.plan)):
        begin = weeks.train.first - view.temporal_join_lookback
        compute_history(
            project.contract,
            transactions,
            settings.history,
            begin,
            weeks.test.end,
            [view.name],
            journal.tick,
        )
    delay = project.contract.source.label.delay
    request = Request(transactions, weeks.train, weeks.test, delay, settings.history)
    trained = train(project, request, settings.release, journal.tick)
    for name in ("model", "baseline"):
        metrics = trained.release.card["metrics"][name]
        figures = (f"{key} {value:.3f}" for key, value in metrics.items() if value is not None)
        journal.say(f"{name}: {', '.join(figures) or 'no figures: labels of one kind only'}")
    journal.say(f"release {trained.release.id} in {settings.release}")
    return trained


def _say_where(embedded: Embedded, journal: Journal) -> None:
    for process, ports in embedded.processes:
        where = ", ".join(f"{name} {port}" for name, port in ports.items())
        journal.say(f"{process.name}: {where}, log {process.log}")


def _stage(settings: Settings, project: Project, embedded: Embedded) -> Stage:
    store = OnlineStore(embedded.store.url, embedded.store.password_file)
    clocks = Clocks(None, project.plan.clock_margin, project.plan.write_deadline)
    return Stage(project.contract, embedded.release, settings.history, store, clocks)


def _replay(
    settings: Settings,
    project: Project,
    embedded: Embedded,
    transactions: Path,
    weeks: Weeks,
    journal: Journal,
) -> Played:
    stage = _stage(settings, project, embedded)
    span = Span(transactions, weeks.test.first, weeks.test.end, settings.sample)
    rehearsal = rehearse(stage, span, settings.work)
    journal.say(", ".join(f"{name} {count}" for name, count in rehearsal.strata.items()))
    outcomes = asyncio.run(_perform(stage, rehearsal, span, embedded, journal))
    release = embedded.release.id
    summary = summarize(stage.contract, release, rehearsal, outcomes, settings.evidence)
    difference = summary["max_probability_difference"]
    journal.say(
        f"{len(outcomes)} answers, {summary['mismatch_count']} differ, max |dp| {difference:.1e}"
    )
    demand(settings.evidence / "replay.json", passed(summary), "every answer its offline row")
    return Played(stage, rehearsal, outcomes, summary)


async def _perform(
    stage: Stage, rehearsal: Rehearsal, span: Span, embedded: Embedded, journal: Journal
) -> tuple[Outcome, ...]:
    async with clients_of(embedded) as clients:
        return await perform(stage, rehearsal, span, clients, journal.tick)


def clients_of(embedded: Embedded) -> Clients:
    """Both protocols of the stack's endpoint."""
    release, endpoint = embedded.release, embedded.endpoint
    both: tuple[Client, Client] = (
        RestClient(endpoint.url, release.model_name, release.service),
        GrpcClient(endpoint.grpc_address, release.model_name, release.service),
    )
    return Clients(*both)


def _gather(settings: Settings, embedded: Embedded, played: Played, journal: Journal) -> None:
    """What the gate needs beside the replay, as of the last request."""
    at = played.rehearsal.cases[-1].request.t
    plan = load_plan(settings.contracts)
    asked = Gathering(played.stage, plan, at, embedded.endpoint.record, settings.evidence)
    for line in gather(asked, journal.tick):
        journal.say(line)


def _refusals(
    settings: Settings, processes: Stack, embedded: Embedded, played: Played, journal: Journal
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
    found = asyncio.run(drills.refusals(played.stage, played.rehearsal, embedded, live))
    for refusal in found:
        journal.say(f"{refusal.title}: {refusal.answered} ({refusal.reason})")
    return found


def _gates(
    settings: Settings, embedded: Embedded, played: Played, journal: Journal
) -> list[tuple[Verdict, bool]]:
    """Each verdict with whether it was meant to pass."""
    first = _gate(settings, "register", settings.evidence, journal)
    second = _gate(settings, "shadow", settings.evidence, journal)
    for verdict in (first, second):
        demand(settings.release, [f.detail for f in verdict.refusals], "a gate that lets it pass")
    altered = settings.work / "evidence-altered"
    shutil.copytree(settings.evidence, altered, dirs_exist_ok=True)
    what = asyncio.run(_altered(played, embedded, altered))
    journal.say(f"altered in the store: {what}")
    third = _gate(settings, "shadow", altered, journal)
    named = [f for f in third.refusals if "REVIEW VALUE" in f.detail and "owner" in f.detail]
    demand(altered, [] if named else ["no REVIEW row"], "a refusal that names kind and owner")
    return [(first, True), (second, True), (third, False)]


async def _altered(played: Played, embedded: Embedded, out: Path) -> str:
    async with clients_of(embedded) as clients:
        outcomes, what = await drills.with_altered_value(played.stage, played.outcomes, clients)
    stage = played.stage
    summarize(stage.contract, stage.release.id, played.rehearsal, outcomes, out)
    return what


def _gate(settings: Settings, stage: GateStage, evidence: Path, journal: Journal) -> Verdict:
    verdict = judge(settings.contracts, settings.release, stage, evidence)
    verdict.write(evidence)
    for line in text_of(verdict).splitlines():
        journal.say(line)
    return verdict


def _say_summary(
    trained: Trained,
    played: Played,
    verdicts: Sequence[tuple[Verdict, bool]],
    page: Path,
    journal: Journal,
) -> None:
    for verdict, meant in verdicts:
        word = "pass" if verdict.passed else "refused"
        journal.say(
            f"gate {verdict.stage}: {word} ({'as it must' if verdict.passed == meant else 'WRONG'})"
        )
    strata = json.dumps(dict(played.rehearsal.strata))
    journal.say(f"release {trained.release.id}, replayed {strata}")
    journal.say(f"report: {page}")
