"""The live path: no replay clock, fresh rows that were stamped, the pod's own t, offline agrees."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from feature_runtime.core.availability import Status
from feature_runtime.core.keys import EntityId
from feature_runtime.core.moments import now, parse_moment
from proviso.clients.endpoint import Answer, Client, EndpointRequest, GrpcClient, RestClient
from proviso.history.segments import stamps_file
from proviso.local.processes import Stack
from proviso.local.stack import Embedded, start
from proviso.online.store import OnlineStore
from proviso.replay.cases import Case, Offline
from tests.parcel_data import Project, all_rows, asked_at, make, tiny_release

FIELDS = ("parcels", "distance_km")


@dataclass(frozen=True)
class Live:
    """A running stack, a history that ends now, and what the pod said until it was fresh."""

    project: Project
    embedded: Embedded
    ids: dict[str, EntityId]
    answers: tuple[Answer, ...]
    stamp: int
    span: tuple[int, int]


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    directory = tmp_path_factory.mktemp("live")
    project = make(directory, now(), couriers=8)
    release = tiny_release(project, directory / "release")
    with Stack() as stack:
        embedded = start(stack, release, directory / "stack", replay_clock=False, leashed=True)
        store = OnlineStore(embedded.store.url, embedded.store.password_file)
        views = project.contract.feature_views
        project.writer(store, None).bring_up(views)
        store.close()
        ids, began = known(project), now()
        answers = asyncio.run(asked_until_fresh(embedded, project, ids))
        span = (began, now())
        stamps = [
            moment
            for view in views
            for moment in pq.read_table(stamps_file(project.history, view))["created_ts"]
            .cast("int64")
            .to_pylist()
        ]
        yield Live(project, embedded, ids, answers, max(stamps), span)


def known(project: Project) -> dict[str, EntityId]:
    """A courier and a zone with a row of the newest run."""
    view = project.contract.view_by_name["courier_zone_daily"]
    rows = all_rows(project, view)
    newest = max(row.event_ts for its in rows.values() for row in its)
    courier, zone = next(ids for ids, its in rows.items() if its[-1].event_ts == newest)
    return {"courier_id": courier, "zone_id": zone}


def request(project: Project, ids: dict[str, EntityId], number: int) -> EndpointRequest:
    """Now, about these entities, with the fields of the first real transaction."""
    first = pq.read_table(project.transactions, columns=list(FIELDS)).slice(0, 1).to_pylist()[0]
    fields = {name: float(first[name]) for name in FIELDS}
    return EndpointRequest(f"live-{number}", now(), ids, fields)


def clients(embedded: Embedded) -> tuple[Client, Client]:
    release, endpoint = embedded.release, embedded.endpoint
    return (
        RestClient(endpoint.url, release.model_name, release.service),
        GrpcClient(endpoint.grpc_address, release.model_name, release.service),
    )


async def asked_until_fresh(
    embedded: Embedded, project: Project, ids: dict[str, EntityId]
) -> tuple[Answer, ...]:
    """Asks over both protocols until both find every feature OK; at most for a minute."""
    both, answers = clients(embedded), list[Answer]()
    ends = time.monotonic() + 60
    while time.monotonic() < ends:
        for one in both:
            answers.append(await one.ask(request(project, ids, len(answers))))
        if all(fresh(answer) for answer in answers[-2:]):
            break
        await asyncio.sleep(0.1)
    for one in both:
        await one.close()
    return tuple(answers)


def fresh(answer: Answer) -> bool:
    return set(answer.feature_status.values()) == {Status.OK.name}


def scored(answer: Answer) -> int:
    assert answer.scored_at is not None, answer
    return parse_moment(answer.scored_at)


def test_both_protocols_answer_from_fresh_rows(live: Live) -> None:
    last = live.answers[-2:]
    assert [answer.protocol for answer in last] == ["rest", "grpc"]
    for answer in last:
        assert answer.answered, answer
        assert fresh(answer), answer
        assert answer.release == live.embedded.release.id
        assert answer.probability is not None


def test_a_row_counts_from_its_stamp_on_and_not_before(live: Live) -> None:
    assert all(answer.answered for answer in live.answers)
    for answer in live.answers:
        assert fresh(answer) == (scored(answer) >= live.stamp), answer


def test_t_is_the_pods_own_clock(live: Live) -> None:
    began, ended = live.span
    moments = [began, *(scored(answer) for answer in live.answers), ended]
    assert moments == sorted(moments)


def test_offline_says_the_same_of_that_moment(live: Live, tmp_path: Path) -> None:
    last = live.answers[-2:]
    for answer, case in zip(last, offline(live, last, tmp_path), strict=True):
        assert case.request.t == scored(answer)
        said = [answer.feature_status[f"{view}:{name}"] for view, name in case.consumed]
        assert said == [status.name for status in case.expected.status]
        assert answer.probability == pytest.approx(case.expected.probability, abs=1e-6)
        assert answer.decision == case.expected.decision


def offline(live: Live, answers: Sequence[Answer], work: Path) -> list[Case]:
    """The offline rows of the answers' own moments, read through the stamps."""
    moments = [scored(answer) for answer in answers]
    path = asked_at(live.project, live.ids, moments, work / "asked.parquet")
    table = pq.read_table(path)
    for name in FIELDS:
        same = table[name].take([0] * len(moments))
        table = table.set_column(table.schema.get_field_index(name), name, same)
    pq.write_table(table, path)
    source = Offline(live.project.contract, live.embedded.release, live.project.history, work, ())
    inputs = source.inputs(path, moments[0], moments[-1] + 1, "joined.parquet")
    return source.cases(inputs, range(len(moments)))
