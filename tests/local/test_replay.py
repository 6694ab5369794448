"""A replay against a real store: what it asks, what the store held, how it says how far it is.

The endpoint here answers at once and always the same; the real one is in test_whole_path.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from feature_runtime.core.identity import digest
from feature_runtime.core.moments import DAY, SECOND, parse_moment
from proviso.clients.endpoint import Answer, Clients, EndpointRequest
from proviso.online.materialize import Clocks
from proviso.replay.evidence import REPLAY_FILE, SKEW_FILE, replay_failures, write_replay_evidence
from proviso.replay.replay import (
    CaseResult,
    PreparedReplay,
    ReplayContext,
    ReplaySettings,
    prepare_replay,
    run_replay,
)
from tests.parcel_data import make, running_store, tiny_release

LAST = 1_780_272_000 * SECOND


class Endpoint:
    """Answers, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[EndpointRequest] = []

    async def ask(self, request: EndpointRequest) -> Answer:
        self.asked.append(request)
        return Answer("rest", "200", 0.0)

    async def close(self) -> None:
        """Nothing to close."""


class Played:
    """A replay that has been performed."""

    def __init__(self, stage: ReplayContext, span: ReplaySettings, work: Path) -> None:
        self.stage, self.work = stage, work
        self.said: list[str] = []
        self.endpoint = Endpoint()
        self.rehearsal: PreparedReplay = prepare_replay(stage, span, work)
        self.outcomes: tuple[CaseResult, ...] = asyncio.run(self._perform(stage, span))

    async def _perform(self, stage: ReplayContext, span: ReplaySettings) -> tuple[CaseResult, ...]:
        async with Clients(self.endpoint) as clients:
            return await run_replay(stage, self.rehearsal, span, clients, self.said.append)


@pytest.fixture(scope="module", params=[True, False], ids=["drill", "plain"])
def played(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Played]:
    directory = tmp_path_factory.mktemp("replay")
    project = make(directory, LAST, couriers=25, days=6)
    release = tiny_release(project, directory / "release")
    span = ReplaySettings(project.transactions, LAST - 2 * DAY, LAST, 200, drill=request.param)
    with running_store(directory) as held:
        clocks = Clocks(None, project.plan.clock_margin, project.plan.write_deadline)
        stage = ReplayContext(project.contract, release, project.history, held.store, clocks)
        yield Played(stage, span, directory)


def test_every_case_is_asked_once_and_in_order(played: Played) -> None:
    cases = played.rehearsal.cases
    assert [outcome.case for outcome in played.outcomes] == list(cases)
    assert sorted(q.request_id for q in played.endpoint.asked) == sorted(
        case.request.request_id for case in cases
    )
    moments = [case.request.t for case in cases]
    assert moments == sorted(moments)


def test_the_store_holds_the_offline_row_at_every_moment(played: Played) -> None:
    for outcome in played.outcomes:
        expected, seen = outcome.case.expected, outcome.stored
        assert seen.status == expected.status
        assert seen.event_ts == expected.event_ts
        for online, offline in zip(seen.values, expected.values, strict=True):
            assert online == offline or (online is None and offline != offline)


def test_evidence_is_written_and_says_why_it_does_not_count(played: Played) -> None:
    """The endpoint says nothing of any feature and decides nothing: every answer differs."""
    stage, out = played.stage, played.work / "evidence"
    release = stage.release.id
    summary = write_replay_evidence(stage.contract, release, played.rehearsal, played.outcomes, out)
    assert json.loads((out / REPLAY_FILE).read_text()) == json.loads(json.dumps(summary))
    assert summary["skew_digest"] == digest((out / SKEW_FILE).read_bytes())
    assert summary["skew"] == {"PASS": len(played.outcomes) * len(stage.release.service.consumed)}
    reasons = replay_failures(summary)
    assert f"in {summary['mismatch_count']} places" in reasons[0]
    assert f"answers came from ['None'], wanted {release}" in reasons
    kinds = {mismatch["what"].split()[0] for mismatch in summary["mismatches"]}
    assert kinds == {"status", "probability", "decision"}


def test_progress_is_told_about_every_tenth_of_the_requests(played: Played) -> None:
    told = [re.fullmatch(r"([\d,]+) of ([\d,]+) requests, at (\S+)", s) for s in played.said]
    found = [(int(m[1].replace(",", "")), m[2], parse_moment(m[3])) for m in told if m]
    total = len(played.outcomes)
    assert 2 <= len(found) <= 11
    assert all(b[0] - a[0] > 0 and b[2] > a[2] for a, b in pairwise(found))
    assert {of for _, of, _ in found} == {f"{total:,}"}
    assert found[-1][0] == total
    for done, _, moment in found:
        assert moment == played.rehearsal.cases[done - 1].request.t
