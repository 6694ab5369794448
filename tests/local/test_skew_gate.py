"""Each way in which a store can come to differ is done to a real one: caught, named, blocking."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from feature_runtime.core import moments, timeline
from feature_runtime.core.availability import Row, Value, availability
from feature_runtime.core.identity import digest
from feature_runtime.core.moments import DAY, HOUR, MINUTE, SECOND, format_moment
from proviso.checks.evidence import Evidence, parse_evidence
from proviso.checks.skew.case_rules import skew_problems
from proviso.checks.skew.cases import parse_cases
from proviso.checks.skew.check import CHECK
from proviso.checks.skew.compare import SkewSample, SkewSources, skew_test
from proviso.checks.skew.window import Inconclusive
from proviso.contracts.base import InputError
from proviso.contracts.section import runtime_service
from proviso.gates.evidence import EvidenceFolder
from proviso.gates.register import Subject
from proviso.gates.skew import signed_rows_findings
from proviso.online.store import Merged, OnlineStore
from proviso.release.directory import Release
from tests.parcel_data import Held, Ids, Project, all_rows, make, tiny_release
from tests.program import Done, call
from tests.stamps import Stamp, record_stamps

LAST = 1_780_272_000 * SECOND
"""2026-06-01T00:00:00Z, where the simulated days end."""

T = LAST - DAY + 19 * MINUTE
"""One view's new rows are pending: written, and not readable for a minute."""

OWNER = "data@parcels.example"
FEATURES = ("deliveries_24h", "fees_24h", "big_share_7d", "late_share_7d")
OTHER_SCHEMA = "0123456789abcdef"


@dataclass(frozen=True)
class World:
    """A project, its history in a store as of T, and a release. victim: whose key is damaged."""

    project: Project
    held: Held
    release: Release
    victim: Ids
    out: Path

    @property
    def rows_file(self) -> Path:
        return self.out / "skew-test.csv"

    def skew(self, *more: str | Path, at: str = format_moment(T), sample: int = 60) -> Done:
        store = ("--store", self.held.url, "--store-password-file", self.held.password_file)
        where = ("--history", self.project.history, "--out", self.rows_file)
        asked = ("--sample", str(sample), "--as-of", at, "--json")
        return call(
            "--contracts", self.project.contracts, "check", "skew", *asked, *store, *where, *more
        )

    def sign(self, row: str, *more: str | Path, owner: str = OWNER) -> Done:
        stated = ("--owner", owner, "--reason", "Known; the job is mended on Monday.")
        where = ("--file", self.rows_file)
        return call(
            "--contracts", self.project.contracts, "check", "sign", row, *stated, *where, *more
        )

    def in_review(self) -> list[dict[str, str]]:
        with self.rows_file.open(newline="") as file:
            return [row for row in csv.DictReader(file) if row["verdict"] != "PASS"]

    @property
    def key(self) -> bytes:
        return self.held.key(self.project, self.project.contract.feature_views[0], self.victim)

    def stored(self) -> tuple[Row, ...]:
        return self.held.rows(self.project, self.project.contract.feature_views[0], self.victim)

    def served(self) -> Row:
        """What the pod reads at T."""
        row, _ = availability(self.project.contract.feature_views[0].times, self.stored(), T)
        assert row is not None
        return row

    def put(self, row: Row, schema: str | None = None) -> None:
        """Puts another row in the place of the served one; what is pending stays."""
        served = self.served()
        rows = [row if one == served else one for one in self.stored()]
        view = self.project.contract.feature_views[0]
        packed = timeline.pack(schema or self.project.contract.schema_of(view), rows)
        self.held.store.replace(self.key, packed)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return make(tmp_path_factory.mktemp("parcels"), LAST, couriers=25)


@pytest.fixture(scope="module")
def release(project: Project, tmp_path_factory: pytest.TempPathFactory) -> Release:
    return tiny_release(project, tmp_path_factory.mktemp("release"))


@pytest.fixture(scope="module")
def victim(project: Project) -> Ids:
    """A courier with a value for every feature, always."""
    rows = all_rows(project, project.contract.feature_views[0])
    return min(ids for ids, its in rows.items() if all(v for row in its for v in row.values))


@pytest.fixture
def world(project: Project, release: Release, victim: Ids, valkey: Held, tmp_path: Path) -> World:
    valkey.client.flushdb()
    project.writer(valkey.store, T).bring_up(project.contract.feature_views)
    return World(project, valkey, release, victim, tmp_path)


def test_a_store_that_holds_the_history_passes(world: World) -> None:
    done = world.skew()
    assert done.code == 0, done.out
    found = done.json["figures"]
    assert (found["verdict"], found["review"], found["left_out"]) == (
        "PASS",
        0,
        dict.fromkeys(found["strata"], 0),
    )
    for view, strata in found["strata"].items():
        known = world.project.contract.view_by_name[view]
        assert strata["unseen"] == 6
        assert strata["fresh"] > 10, known.name
    assert found["strata"]["courier_load_6h"]["pending"] > 0


def test_known_missing_entities_are_missing_online_too(world: World) -> None:
    world.skew()
    with world.rows_file.open(newline="") as file:
        missing = [row for row in csv.DictReader(file) if row["offline_event_ts"] == ""]
    assert len(missing) >= 6 * len(FEATURES)
    assert {(row["verdict"], row["online_event_ts"]) for row in missing} == {("PASS", "")}


Damage = Callable[[World], None]


def altered(world: World, **values: Value) -> None:
    """The served row with other values."""
    row = world.served()
    named = dict(zip(FEATURES, row.values, strict=True)) | values
    world.put(row._replace(values=tuple(named[name] for name in FEATURES)))


def deleted(world: World) -> None:
    world.held.client.delete(world.key.decode())


def of_the_run_before(world: World) -> None:
    row = world.served()
    world.put(row._replace(event_ts=row.event_ts - DAY, created_ts=row.created_ts - DAY))


def off_by(tolerances: float) -> Damage:
    def damage(world: World) -> None:
        fees = world.served().values[1]
        assert isinstance(fees, float)
        altered(world, fees_24h=fees + tolerances * 0.005)

    return damage


def from_the_future(world: World) -> None:
    view, row = world.project.contract.feature_views[0], world.served()
    late = row._replace(event_ts=T + 2 * HOUR, created_ts=T + 2 * HOUR)
    schema = world.project.contract.schema_of(view)
    world.held.store.replace(world.key, timeline.pack(schema, [*world.stored(), late]))


def swapped(one: int, other: int) -> Damage:
    def damage(world: World) -> None:
        row = world.served()
        values = list(row.values)
        values[one], values[other] = values[other], values[one]
        assert values != list(row.values)
        world.put(row._replace(values=tuple(values)))

    return damage


def of_another_schema(world: World) -> None:
    world.put(world.served(), OTHER_SCHEMA)


def one_value_short(world: World) -> None:
    row = world.served()
    world.put(row._replace(values=row.values[:-1]))


def torn(world: World) -> None:
    blob = world.held.client.get(world.key.decode())
    assert isinstance(blob, bytes)
    world.held.store.replace(world.key, blob[:-3])


def yesterdays_null(world: World) -> None:
    altered(world, fees_24h=None)


def text(world: World) -> None:
    altered(world, deliveries_24h=str(world.served().values[0]))


@pytest.mark.parametrize(
    ("damage", "kind", "features", "said"),
    [
        pytest.param(deleted, "MISSING_KEY", FEATURES, "", id="deleted key"),
        pytest.param(text, "TYPE", FEATURES[:1], "", id="a string for an integer"),
        pytest.param(of_the_run_before, "STALE", FEATURES, "", id="yesterday's row"),
        pytest.param(off_by(2), "VALUE", FEATURES[1:2], "", id="off by two tolerances"),
        pytest.param(from_the_future, "FUTURE", FEATURES, "beyond", id="a row from the future"),
        pytest.param(swapped(0, 1), "TYPE", FEATURES[:2], "", id="order of other types"),
        pytest.param(swapped(2, 3), "VALUE", FEATURES[2:], "", id="order of one type"),
        pytest.param(of_another_schema, "TYPE", FEATURES, OTHER_SCHEMA, id="old schema hash"),
        pytest.param(one_value_short, "TYPE", FEATURES, "found 3 values", id="a feature short"),
        pytest.param(torn, "TYPE", FEATURES, "bytes for a row", id="torn bytes"),
        pytest.param(yesterdays_null, "NULL", FEATURES[1:2], "", id="a lost value"),
    ],
)
def test_damage_is_caught_named_and_blocks(
    world: World, damage: Damage, kind: str, features: Sequence[str], said: str
) -> None:
    victim = world.victim
    damage(world)
    done = world.skew()
    assert done.code == 1
    assert done.json["figures"]["verdict"] == "REVIEW"
    assert done.json["figures"]["kinds"] == {kind: len(features)}
    rows = world.in_review()
    assert [row["feature"] for row in rows] == list(features)
    assert {(r["kind"], r["entity_key"], r["owner"]) for r in rows} == {
        (kind, str(victim[0]), OWNER)
    }
    assert all(said in row["review_note"] for row in rows)
    first = done.json["reasons"][0]
    assert f"REVIEW {kind} courier_load_6h:{features[0]} of courier {victim[0]}" in first
    cases, problems = parse_cases(world.rows_file.read_text())
    assert [*problems, *skew_problems(world.project.contract, cases)] == []


def test_half_a_tolerance_passes(world: World) -> None:
    off_by(0.5)(world)
    assert world.skew().code == 0


def test_a_key_of_an_entity_that_the_history_has_never_seen_is_caught(world: World) -> None:
    view, row = world.project.contract.feature_views[0], world.served()
    key = world.held.key(world.project, view, (2**52 + 7_000,))
    schema = world.project.contract.schema_of(view)
    world.held.client.set(key, timeline.pack(schema, [row]))
    assert world.skew().code == 1
    assert {row["kind"] for row in world.in_review()} == {"FUTURE"}


def test_a_candidate_is_not_helped_by_keys_of_another_schema(world: World) -> None:
    """The same entities under a schema of before: nothing but MISSING_KEY, and it is said why."""
    contract = world.project.contract
    view, schema = contract.feature_views[0], contract.schema_of(contract.feature_views[0])
    for key in list(world.held.client.scan_iter(match=f"fs:*:{view.name}:{schema}")):
        assert isinstance(key, bytes)
        if key.startswith(b"fs:watermark"):
            continue
        world.held.client.rename(key, key.replace(schema.encode(), OTHER_SCHEMA.encode()))
    world.held.store.advance(view.name, OTHER_SCHEMA, T, T)
    done = world.skew()
    assert done.code == 1
    assert set(done.json["figures"]["kinds"]) == {"MISSING_KEY"}
    said = f"found a key of schema {OTHER_SCHEMA}, wanted {schema}"
    assert all(said in row["review_note"] for row in world.in_review())


@pytest.mark.parametrize("at", [T - DAY, T + HOUR], ids=["before", "after"])
def test_a_moment_outside_of_the_interval_is_inconclusive(world: World, at: int) -> None:
    deleted(world)
    done = world.skew(at=format_moment(at))
    assert done.code == 1
    assert done.json["figures"]["verdict"] == "INCONCLUSIVE"
    low, high = format_moment(T - MINUTE), format_moment(T + 5 * MINUTE)
    assert f"outside of the interval [{low}, {high}]" in done.json["reasons"][0]
    assert not world.rows_file.exists()


def test_views_without_a_common_moment_are_inconclusive(world: World) -> None:
    first = world.project.contract.feature_views[:1]
    world.project.writer(world.held.store, T + 2 * DAY).bring_up(first)
    done = world.skew()
    assert (done.code, done.json["figures"]["verdict"]) == (1, "INCONCLUSIVE")
    assert "is empty" in done.json["reasons"][0]
    assert "courier_zone_daily is complete only up to" in done.json["reasons"][0]


def test_a_store_that_was_never_written_is_inconclusive(world: World) -> None:
    world.held.client.flushdb()
    done = world.skew()
    assert (done.code, done.json["figures"]["verdict"]) == (1, "INCONCLUSIVE")
    assert "was never written" in done.json["reasons"][0]


def test_now_is_the_latest_moment_that_the_watermarks_vouch_for(world: World) -> None:
    done = world.skew(at="now")
    assert done.code == 0
    assert (
        done.json["as_of"] == done.json["figures"]["interval"][1] == format_moment(T + 5 * MINUTE)
    )
    assert "but the watermark ends at" in done.json["warnings"][0]


class Overtaken(OnlineStore):
    """A real store to which a writer comes just after each read."""

    world: World
    writings: int

    def read(self, keys: Sequence[bytes]) -> list[bytes | None]:
        found = super().read(keys)
        if self.writings > 0:
            self.writings -= 1
            world = self.world
            world.project.writer(world.held.store, T + 8 * HOUR).bring_up(
                world.project.contract.feature_views
            )
        return found


def overtaken(world: World, at: int | None) -> Any:
    store = Overtaken(world.held.url, world.held.password_file)
    store.world, store.writings = world, 1
    service = runtime_service(world.project.contract, world.project.plan)
    sides = SkewSources(world.project.contract, service, world.project.history, store)
    try:
        return skew_test(sides, SkewSample(at, 60, 7), lambda _: None)
    finally:
        store.close()


def test_a_writer_that_comes_meanwhile_makes_a_stated_moment_inconclusive(world: World) -> None:
    with pytest.raises(Inconclusive, match="a writer moved the interval"):
        overtaken(world, T)


def test_a_test_of_now_begins_again_when_a_writer_comes_meanwhile(world: World) -> None:
    found = overtaken(world, None)
    assert found.at > T + 8 * HOUR
    assert {row.verdict for row in found.rows} == {"PASS"}


@pytest.mark.parametrize(
    ("since", "until", "left_out"),
    [(-30, 30, 1), (-150, -61, 0), (61, 150, 0), (-150, -60, 1), (60, 150, 1)],
    ids=["at T", "before", "after", "a margin before", "a margin after"],
)
def test_who_was_just_being_written_is_left_out_by_count(
    world: World, since: int, until: int, left_out: int
) -> None:
    """A batch was readable, seconds from T, until the store said that it had it."""
    history = world.out / "history"
    shutil.copytree(world.project.history, history)
    here = replace(world, project=replace(world.project, history=history))
    view, row = world.project.contract.feature_views[0], world.served()
    stamp = Stamp(
        world.victim, row.event_ts, row.created_ts, T + since * SECOND, T + until * SECOND
    )
    record_stamps(world.project.contract, history, view, [stamp])
    deleted(world)
    found = here.skew()
    assert found.json["figures"]["left_out"] == {view.name: left_out, "courier_zone_daily": 0}
    lost = [cells for cells in here.in_review() if cells["entity_key"] == str(world.victim[0])]
    assert bool(lost) is not bool(left_out)
    assert found.code == bool(lost)


class Failing(OnlineStore):
    """A real store whose connection breaks after its first merge."""

    def merge(self, *arguments: Any) -> Merged:
        super().merge(*arguments)
        raise InputError.of("online store", "a broken connection", "one that holds")


def test_a_writer_that_died_leaves_nothing_to_conclude(world: World) -> None:
    """Keys have moved on to its clock, whatever it could not say."""
    store = Failing(world.held.url, world.held.password_file)
    with pytest.raises(InputError, match="a broken connection"):
        world.project.writer(store, T + 8 * HOUR).bring_up(world.project.contract.feature_views)
    store.close()
    done = world.skew()
    assert (done.code, done.json["figures"]["verdict"]) == (1, "INCONCLUSIVE")
    assert "is empty" in done.json["reasons"][0]


def test_the_same_seed_asks_for_the_same_entities(world: World) -> None:
    world.skew(sample=15)
    first = world.rows_file.read_text()
    world.skew(sample=15)
    assert world.rows_file.read_text() == first
    world.skew("--seed", "8", sample=15)
    assert world.rows_file.read_text() != first


def evidence_of(path: Path) -> Evidence:
    return parse_evidence(path, path.read_bytes())


def test_the_verdict_is_evidence_of_the_release(world: World) -> None:
    where = world.out / "evidence"
    off_by(2)(world)
    done = world.skew("--release", world.release.directory, "--evidence", where)
    assert done.code == 1
    found = evidence_of(where / "skew.json")
    assert (found.kind, found.release, found.as_of) == ("skew", world.release.id, T)
    assert not found.passed
    assert found.reasons == tuple(done.json["reasons"])
    assert found.files == {"skew-test.csv": digest((where / "skew-test.csv").read_bytes())}
    assert (where / "skew-test.csv").read_text() == world.rows_file.read_text()
    assert found.figures["skew_failure_rate"] == 1 / found.figures["values"]
    assert found.figures["strata"]["courier_load_6h"]["unseen"] == 6


def test_a_test_without_a_conclusion_replaces_evidence_that_passed(world: World) -> None:
    where = world.out / "evidence"
    options = ("--release", world.release.directory, "--evidence", where)
    assert world.skew(*options).code == 0
    assert evidence_of(where / "skew.json").passed
    assert world.skew(*options, at=format_moment(T - DAY)).code == 1
    assert evidence_of(where / "skew.json").reasons[0].startswith("INCONCLUSIVE")


def test_evidence_needs_a_release(world: World) -> None:
    done = world.skew("--evidence", world.out)
    assert done.code == 2
    [error] = json.loads(done.err)["errors"]
    assert (error["path"], error["code"]) == ("--release", "no_release")


def test_a_signed_row_lets_its_content_pass_and_no_other(world: World) -> None:
    off_by(2)(world)
    assert world.skew().code == 1
    [row] = world.in_review()
    assert world.sign(row["case_id"]).code == 0
    done = world.skew()
    assert done.code == 0
    assert (done.json["figures"]["verdict"], done.json["figures"]["signed"]) == ("PASS", 1)
    off_by(2)(world)
    assert world.skew().code == 1, "off by four tolerances now: nobody has signed that"


def test_signing_makes_the_evidence_beside_the_rows_pass(world: World) -> None:
    off_by(2)(world)
    here = replace(world, out=world.out / "evidence")
    here.skew("--release", world.release.directory, "--evidence", here.out)
    before = evidence_of(here.out / "skew.json")
    [row] = here.in_review()
    unknown = here.sign("absent")
    assert unknown.code == 2
    assert "[case_id_unknown]" in unknown.err
    assert here.sign(row["case_id"], "--dry-run").code == 0
    assert evidence_of(here.out / "skew.json") == before
    assert here.sign(row["case_id"]).code == 0
    after = evidence_of(here.out / "skew.json")
    assert after.passed
    assert (after.made_at, after.files) == (before.made_at, before.files)
    assert (after.figures["skew_failure_rate"], after.figures["signed"]) == (0, 1)


def test_the_gate_says_no_until_the_owner_has_signed(world: World) -> None:
    off_by(2)(world)
    here = replace(world, out=world.out / "evidence")
    here.skew("--release", world.release.directory, "--evidence", here.out)
    project = world.project
    subject = Subject(project.contracts, project.contract, project.plan, world.release)

    def said(now: int) -> list[tuple[bool, str]]:
        folder = EvidenceFolder(here.out, world.release.id, project.plan, now)
        found = signed_rows_findings(subject, folder, CHECK)
        return [(finding.ok, finding.detail) for finding in found]

    [(ok, detail)] = said(moments.now())
    assert not ok
    assert detail.startswith("REVIEW VALUE courier_load_6h:fees_24h of courier")
    [row] = here.in_review()
    soon = format_moment(moments.now() + HOUR)
    assert here.sign(row["case_id"], "--expires", soon).code == 0
    [(ok, detail)] = said(moments.now())
    assert ok, detail
    [(ok, _)] = said(moments.now() + 2 * HOUR)
    assert not ok, "the signature has ended"


def test_evidence_of_other_rows_is_not_signed_into_passing(world: World) -> None:
    off_by(2)(world)
    here = replace(world, out=world.out / "evidence")
    here.skew("--release", world.release.directory, "--evidence", here.out)
    lines = here.rows_file.read_text().splitlines(keepends=True)
    rows = [line for line in lines if "REVIEW" in line or line.startswith("case_id")]
    here.rows_file.write_text("".join(rows))
    [row] = here.in_review()
    done = here.sign(row["case_id"])
    assert done.code == 2
    assert "found other rows beside it" in done.err
    assert not evidence_of(here.out / "skew.json").passed


def test_a_critical_feature_is_not_signed(world: World) -> None:
    text(world)
    world.skew()
    [row] = world.in_review()
    done = world.sign(row["case_id"])
    assert done.code == 1
    assert "found critical feature courier_load_6h:deliveries_24h" in done.err
    assert world.skew().code == 1


def test_a_stranger_does_not_sign(world: World) -> None:
    off_by(2)(world)
    world.skew()
    [row] = world.in_review()
    done = world.sign(row["case_id"], owner="science@parcels.example")
    assert done.code == 1
    assert f"wanted {OWNER} (only the row's owner can sign it)" in done.err
    assert world.skew().code == 1


@pytest.mark.parametrize("option", ["--history", "--store", "--out"])
def test_what_the_command_needs_is_named(world: World, option: str) -> None:
    given: dict[str, str | Path] = {
        "--history": world.project.history,
        "--store": world.held.url,
        "--out": world.out,
    }
    rest = [part for name, value in given.items() if name != option for part in (name, value)]
    password = ("--store-password-file", world.held.password_file)
    done = call("--contracts", world.project.contracts, "check", "skew", *rest, *password)
    assert done.code == 2
    assert option in done.err


def test_signatures_are_lines_that_say_who_why_and_until_when(world: World) -> None:
    off_by(2)(world)
    world.skew()
    [row] = world.in_review()
    world.sign(row["case_id"])
    [line] = (world.out / "skew-test.signed.jsonl").read_text().splitlines()
    found = json.loads(line)
    assert (found["case_id"], found["owner"]) == (row["case_id"], OWNER)
    assert found["reason"] == "Known; the job is mended on Monday."
    assert found["signed_at"] < found["expires"]
