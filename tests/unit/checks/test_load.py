"""A load's figures: worst latencies, best rate, all errors; asked at the moment of asking."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest

from feature_runtime.core.moments import MINUTE, now
from proviso.checks.load import Level, evidence_of, load_requests, measure
from proviso.clients.endpoint import Answer, Clients, EndpointRequest
from proviso.contracts.loading import load_contract, load_plan
from proviso.contracts.section import runtime_service
from proviso.monitoring.queries import LIVE, QueryContext
from proviso.simulation.simulate import simulate

ROOT = Path(__file__).parents[3]


class Endpoint:
    """Answers all but every tenth request, in 2 ms by its own account."""

    def __init__(self) -> None:
        self.asked: list[EndpointRequest] = []

    async def ask(self, request: EndpointRequest) -> Answer:
        self.asked.append(request)
        number = len(self.asked)
        await asyncio.sleep(0)
        if number % 10 == 0:
            return Answer("rest", "503", 0.5, error="store: no connection")
        return Answer("rest", "200", 0.002, probability=0.5)

    async def close(self) -> None:
        """Nothing to close."""


@pytest.fixture(scope="module")
def some(tmp_path_factory: pytest.TempPathFactory) -> list[EndpointRequest]:
    contract = load_contract(ROOT / "contracts")
    service = runtime_service(contract, load_plan(ROOT / "contracts"))
    path = tmp_path_factory.mktemp("load") / "transactions.parquet"
    simulate(ROOT / "contracts", contract, path, days=2)
    return load_requests(contract, service, path)


def test_questions_are_real_transactions(some: list[EndpointRequest]) -> None:
    assert len(some) > 1_000
    for request in some[:100]:
        assert set(request.ids) == {"customer_id", "merchant_id"}
        amount = request.fields["amount"]
        assert isinstance(amount, float)
        assert amount == round(amount, 2) > 0


def test_every_level_is_asked_with_fresh_moments_and_its_own_ids(
    some: list[EndpointRequest],
) -> None:
    endpoint, said = Endpoint(), list[str]()

    async def run() -> list[Level]:
        async with Clients(endpoint) as clients:
            return await measure(clients, some, (1, 4), 0.05, said.append)

    levels = asyncio.run(run())
    assert (
        [level.concurrency for level in levels] == [1, 4] == [int(s.split()[1][:-1]) for s in said]
    )
    assert sum(level.requests for level in levels) == len(endpoint.asked)
    assert sum(level.failed for level in levels) == len(endpoint.asked) // 10
    assert {level.p99_ms for level in levels} == {2.0}
    assert len({q.request_id for q in endpoint.asked}) == len(endpoint.asked)
    assert all(abs(q.t - now()) < MINUTE for q in endpoint.asked)


def test_evidence_is_the_worst_of_all_levels() -> None:
    levels = [Level(1, 100, 0, 30.0, 1, 2, 3), Level(8, 300, 4, 29.5, 2, 9, 20)]
    found = evidence_of("r-1", levels)
    assert found.passed
    wanted = {
        "latency_p95_ms": 9,
        "latency_p99_ms": 20,
        "http_error_rate": 0.01,
        "requests_per_second": 296 / 29.5,
        "seconds": 29.5,
        "requests": 400,
    }
    assert {name: found.figures[name] for name in wanted} == wanted


def test_no_answer_at_all_is_a_no() -> None:
    nothing = float("inf")
    found = evidence_of("r-1", [Level(1, 5, 5, 1.0, nothing, nothing, nothing)])
    assert found.reasons == ("no request was answered [load_unanswered]",)


def test_refused_requests_are_no_errors_and_no_evidence() -> None:
    """As monitoring counts: a client's own mistake is neither a failure nor a request."""
    found = evidence_of("r-1", [Level(1, 100, 8, 30.0, 1, 2, 3, refused=20)])
    assert found.figures["http_error_rate"] == 0.1
    assert (found.figures["refused_share"], found.figures["answered_at_1"]) == (0.2, 72)
    assert found.figures["requests_per_second"] == 72 / 30
    every = evidence_of("r-1", [Level(1, 100, 0, 30.0, 1, 2, 3, refused=100)])
    assert (every.figures["http_error_rate"], every.passed) == (1.0, False)


@pytest.mark.parametrize(
    ("code", "refused"),
    [
        ("400", True),
        ("404", True),
        ("408", True),
        ("413", True),
        ("429", False),
        ("500", False),
        ("503", False),
        ("none", False),
        ("StatusCode.INVALID_ARGUMENT", True),
        ("StatusCode.RESOURCE_EXHAUSTED", False),
        ("StatusCode.UNAVAILABLE", False),
        ("StatusCode.DEADLINE_EXCEEDED", False),
    ],
)
def test_whose_mistake_a_failure_is(code: str, refused: bool) -> None:
    assert Answer("rest", code, 0.1, error="reason").refused is refused


def test_a_client_error_counts_as_in_monitoring() -> None:
    """The recorded rate leaves out of both sums what `refused` leaves out."""
    expression = LIVE["http_error_rate"](QueryContext(load_plan(ROOT / "contracts"), "5m"))
    [failed, ours] = (
        re.findall(r'code=~"([^"]+)"', expression)[:1]
        + re.findall(r'code!~"([^"]+)"', expression)[:1]
    )
    for code in map(str, (400, 404, 405, 408, 413, 415, 429, 499, 500, 503, 504)):
        refused = Answer("rest", code, 0.1, error="reason").refused
        assert (re.fullmatch(ours, code) is not None) is refused, code
        assert (re.fullmatch(failed, code) is not None) is not refused, code


def test_answers_of_another_release_are_no_evidence_of_this_one() -> None:
    levels = [Level(1, 9, 0, 1.0, 1, 2, 3, releases=("r-1", "r-2"))]
    found = evidence_of("r-1", levels)
    assert (found.passed, found.figures["other_releases"]) == (False, 1)
    assert evidence_of("r-2", [Level(1, 9, 0, 1.0, 1, 2, 3, releases=("r-2",))]).passed
