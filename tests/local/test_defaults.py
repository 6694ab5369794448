"""An approved default holds until its approval ends: in training, in batch and in the pod alike.

The same transaction is asked about just before and at the end of an approval, of a courier whom
the store knows in a zone that it does not know.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import httpx
import numpy as np
import pyarrow.parquet as pq
import pytest

from feature_runtime.core.encode import Encoded
from feature_runtime.core.keys import EntityId
from feature_runtime.core.moments import DAY, SECOND, format_moment
from proviso.contracts.loading import CONTRACT_FILE, load_contract
from proviso.local.processes import Stack
from proviso.local.stack import Embedded, start
from proviso.online.store import OnlineStore
from proviso.records.reader import RecordReader
from proviso.release.directory import Release
from proviso.training import data
from proviso.training.score import score_file
from proviso.training.spec import TrainingSpec
from proviso.training.weeks import Days
from tests.parcel_data import Project, all_rows, asked_at, make, tiny_release

LAST = 1_780_272_000 * SECOND
"""2026-06-01T00:00:00Z, where the simulated days end."""

END = LAST - DAY
"""When the approval of the default of visits_30d ends."""

MOMENTS = [END - 1, END]
EXPIRING = "courier_zone_daily:visits_30d"
UNENDING = "courier_zone_daily:parcels_30d"
NOWHERE = 424_242
"""A zone that no courier has ever been to."""

_USED = re.compile(r"^proviso_default_used_total\{(.*)\} (\S+)$", re.MULTILINE)


@dataclass(frozen=True)
class Running:
    """A project with an approval that ends at END, its release, and the stack that serves it."""

    project: Project
    release: Release
    embedded: Embedded
    transactions: Path

    @property
    def fallback(self) -> str:
        return self.release.service.decision.fallback

    def instance(self, at: int, **ids: EntityId) -> dict[str, Any]:
        """The transaction of `transactions` that was made at a moment, as a request."""
        row = pq.read_table(self.transactions).to_pylist()[MOMENTS.index(at)]
        names = ("courier_id", "zone_id", *self.release.service.fields)
        return {name: row[name] for name in names} | {"event_ts": format_moment(at)} | ids

    def ask(self, name: str, *instances: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The pod's predictions; `name` is the request's id."""
        url = f"{self.embedded.endpoint.url}/v1/models/{self.release.model_name}:predict"
        body = {"instances": instances}
        answer = httpx.post(url, json=body, headers={"x-request-id": name}, timeout=10)
        found: list[dict[str, Any]] = answer.raise_for_status().json()["predictions"]
        return found

    def records(self, *names: str) -> list[dict[str, Any]]:
        """The prediction records of some requests; of all without a name."""
        found = RecordReader(self.embedded.endpoint.record, ("request_id",))
        kept = [one for one in found if not names or one["request_id"] in names]
        return cast("list[dict[str, Any]]", kept)

    def used(self) -> Counter[tuple[str, str]]:
        """proviso_default_used_total by feature and status."""
        text = httpx.get(f"{self.embedded.endpoint.url}/metrics", timeout=10).text
        found = Counter[tuple[str, str]]()
        for labels, value in _USED.findall(text):
            named = dict(re.findall(r'(\w+)="([^"]*)"', labels))
            assert (named["release"], named["traffic"]) == (self.release.id, "live")
            assert named["reason"] == named["status"], "the former label stays for one release"
            found[named["feature"], named["status"]] += int(float(value))
        return found


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    directory = tmp_path_factory.mktemp("defaults")
    project = with_an_end(make(directory, LAST, couriers=8))
    release = tiny_release(project, directory / "release")
    ids = {"courier_id": a_courier(project), "zone_id": NOWHERE}
    transactions = asked_at(project, ids, MOMENTS, directory / "asked.parquet")
    with Stack() as stack:
        embedded = start(stack, release, directory / "stack", replay_clock=True, leashed=True)
        store = OnlineStore(embedded.store.url, embedded.store.password_file)
        project.writer(store, END).bring_up(project.contract.feature_views)
        store.close()
        yield Running(project, release, embedded, transactions)


def with_an_end(project: Project) -> Project:
    """The project whose default for visits_30d is approved until END."""
    path = project.contracts / CONTRACT_FILE
    before, name, after = path.read_text().partition("      - name: visits_30d\n")
    until = f"policy: default, value: 0, expires: {format_moment(END)[:10]},"
    path.write_text(before + name + after.replace("policy: default, value: 0,", until, 1))
    contract = load_contract(project.contracts)
    return Project(project.contracts, project.transactions, project.history, contract, project.plan)


def a_courier(project: Project) -> EntityId:
    """One with a row of the last run that can be read before END."""
    rows = all_rows(project, project.contract.view_by_name["courier_load_6h"])
    run = END - DAY // 4
    return next(ids[0] for ids, its in rows.items() if run in {row.event_ts for row in its})


def trained_on(running: Running, directory: Path) -> list[Encoded]:
    """The two transactions as training encodes them."""
    project = running.project
    studied = data.Project(project.contract, project.plan, TrainingSpec())
    days = Days(END - DAY, END - DAY), Days(END, END)
    request = data.Request(running.transactions, days[0], days[1], 0, project.history)
    with data.training_data(studied, request, directory / "release", lambda _: None) as opened:
        inputs = data.joined_inputs(opened, lambda _: None)
    return [data.rows_of(studied, inputs, day).encoded for day in days]


def scored(running: Running, directory: Path) -> list[dict[str, Any]]:
    """The two transactions as batch scoring answers them."""
    project, out = running.project, directory / "scores.parquet"
    span = (END - DAY, END + DAY)
    asked = running.transactions
    score_file(running.release, project.contract, project.history, asked, span, out)
    found: list[dict[str, Any]] = pq.read_table(out).sort_by("scored_at").to_pylist()
    return found


def place(running: Running, feature: str) -> int:
    """Where a consumed feature stands among those that the service consumes."""
    return [":".join(name) for name in running.release.service.consumed].index(feature)


def test_training_defaults_before_the_end_and_rejects_from_it_on(
    running: Running, tmp_path: Path
) -> None:
    before, after = trained_on(running, tmp_path)
    assert [encoded.rejected.tolist() for encoded in (before, after)] == [[False], [True]]
    expiring, unending = place(running, EXPIRING), place(running, UNENDING)
    assert before.applied.replaced[0, [expiring, unending]].tolist() == [True, True]
    assert after.applied.replaced[0, [expiring, unending]].tolist() == [False, True]
    assert after.applied.rejecting[0].nonzero()[0].tolist() == [expiring]


def test_batch_scoring_says_the_same(running: Running, tmp_path: Path) -> None:
    before, after = scored(running, tmp_path)
    assert (before["rejected"], after["rejected"]) == (False, True)
    assert before["probability"] is not None
    assert (after["probability"], after["decision"]) == (None, running.fallback)
    assert before["courier_zone_daily__visits_30d__status"] == "MISSING_KEY"


def test_the_pod_says_the_same_to_the_bit(running: Running, tmp_path: Path) -> None:
    before, after = running.ask("both", *(running.instance(at) for at in MOMENTS))
    offline, trained = scored(running, tmp_path), trained_on(running, tmp_path)
    assert before["probability"] == pytest.approx(offline[0]["probability"], abs=1e-6)
    assert before["decision"] == offline[0]["decision"]
    assert before["status"]["defaults"][EXPIRING] == 0
    assert (after["probability"], after["decision"]) == (None, running.fallback)
    assert f"{EXPIRING} is MISSING_KEY" in after["status"]["reason"]
    assert f"expired at {format_moment(END)}" in after["status"]["reason"]
    for record, encoded in zip(running.records("both"), trained, strict=True):
        [wanted] = encoded.vector
        found = np.array(record["vector"], dtype=np.float64).astype(np.float32)
        np.testing.assert_array_equal(found, wanted)


def test_every_use_is_counted_by_feature_and_reason_and_on_record(running: Running) -> None:
    before, after = (running.instance(at) for at in MOMENTS)
    used_so_far, records_so_far = running.used(), len(running.records())
    running.ask("one", before)
    running.ask("two", before, before)
    running.ask("late", after, after, after)
    counted = running.used() - used_so_far
    recorded = Counter(
        (name, feature["status"])
        for record in running.records()[records_so_far:]
        for name, feature in record["features"].items()
        if "default" in feature
    )
    assert counted == recorded
    assert counted[EXPIRING, "MISSING_KEY"] == 3
    assert counted[UNENDING, "MISSING_KEY"] == 6
    approved = [record["features"][EXPIRING] for record in running.records("one")]
    assert approved == [
        {
            "value": None,
            "status": "MISSING_KEY",
            "default": 0.0,
            "reason": "Many couriers meet a zone for the first time.",
        }
    ]
    assert all("default" not in r["features"][EXPIRING] for r in running.records("late"))


def test_a_feature_without_an_approval_rejects_and_is_no_use_of_a_default(running: Running) -> None:
    """Nobody has seen the courier: deliveries_24h has no approval to fall back on."""
    counted = running.used()
    [answer] = running.ask("stranger", running.instance(END - 1, courier_id=NOWHERE))
    assert (answer["probability"], answer["decision"]) == (None, running.fallback)
    assert (
        "deliveries_24h is MISSING_KEY and the contract allows no default"
        in (answer["status"]["reason"])
    )
    used = running.used() - counted
    assert used["courier_load_6h:fees_24h", "MISSING_KEY"] == 1
    assert used["courier_load_6h:deliveries_24h", "MISSING_KEY"] == 0
