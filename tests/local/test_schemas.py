"""A candidate's schemas live beside the stable's, which never notices, and end with it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from feature_runtime.core.keys import entity_key, timeline_key, watermark_key
from feature_runtime.core.moments import HOUR, SECOND, format_moment, now
from feature_runtime.serving.lookup import winner
from proviso.checks.coverage import CHECK
from proviso.gates.evidence import EvidenceFolder, evidence_finding
from proviso.online.schemas import stored_schemas
from proviso.release.directory import Release
from tests.parcel_data import Held, Project, all_rows, make, tiny_release
from tests.program import Done, call

LAST = 1_780_272_000 * SECOND
"""2026-06-01T00:00:00Z, where the simulated days end."""

T = LAST - 5 * HOUR
_SHARE = """
        sql: late_7d / nullif(judged_7d, 0)
        default: {policy: nan, approved_by: dispatch@parcels.example, \
reason: Without deliveries there is no share.}
        tolerance: {absolute: 0.000001, relative: 0}
"""
_MORE = """      - name: big_7d
        dtype: int64
        description: Deliveries with five parcels or more in the seven days before the run.
        default: {policy: reject}
        tolerance: {absolute: 0, relative: 0}
"""
_LESS = """      - name: parcels_30d
        dtype: int64
        description: Parcels that the courier brought to the zone in the 30 days before the run.
        default: {policy: default, value: 0, approved_by: dispatch@parcels.example, \
reason: Many couriers meet a zone for the first time.}
        tolerance: {absolute: 0, relative: 0}
"""
_USED = "      - courier_load_6h:late_share_7d\n"
ADDS = ("courier_load_6h", ((_SHARE, _SHARE + _MORE), (_USED, f"{_USED}{_USED[:24]}big_7d\n")))
REMOVES = (
    "courier_zone_daily",
    ((_LESS, ""), ("      - courier_zone_daily:parcels_30d\n", "")),
)


class Side:
    """A project, its release, and the program called with both."""

    def __init__(self, project: Project, directory: Path) -> None:
        self.project, self.directory = project, directory
        self.release: Release = tiny_release(project, directory)

    def call(self, held: Held, command: str, *options: str | Path) -> Done:
        store = ("--store", held.url, "--store-password-file", held.password_file)
        program: list[str | Path] = ["--contracts", self.project.contracts, *command.split()]
        return call(*program, *store, *options, "--json")

    def materialize(self, held: Held, *options: str | Path) -> Done:
        where = ("--release", self.directory, "--history", self.project.history)
        return self.call(held, "materialize", *where, "--as-of", format_moment(T), *options)

    def cover(self, held: Held, evidence: Path) -> Done:
        where = ("--release", self.directory, "--history", self.project.history)
        asked = ("--as-of", format_moment(T), "--evidence", evidence)
        return self.call(held, "check coverage", *where, *asked)

    def schemas(self) -> set[str]:
        return {f"{view.name}:{view.schema}" for view in self.release.service.views}

    def keys(self) -> dict[str, list[bytes]]:
        """All that this release may ever ask the store for, by view."""
        return {
            view.name: [
                timeline_key(entity_key(view.entities, ids), view.name, view.schema)
                for ids in all_rows(self.project, self.project.contract.view_by_name[view.name])
            ]
            for view in self.release.service.views
        }


def make_side(directory: Path, edits: tuple[tuple[str, str], ...] = ()) -> Side:
    return Side(make(directory, LAST, couriers=25, edits=edits), directory / "release")


@pytest.fixture(scope="module")
def stable(tmp_path_factory: pytest.TempPathFactory) -> Side:
    return make_side(tmp_path_factory.mktemp("stable"))


@pytest.fixture(scope="module", params=[ADDS, REMOVES], ids=["adds a feature", "removes one"])
def changed(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, Side]:
    """Which view a candidate changes, and the candidate."""
    view, edits = request.param
    return view, make_side(tmp_path_factory.mktemp("candidate"), edits)


def read(side: Side, held: Held) -> Mapping[bytes, tuple[object, ...]]:
    """What a release reads: bytes, when they expire, and who wins at T and later."""
    found: dict[bytes, tuple[object, ...]] = {}
    for view in side.release.service.views:
        keys = side.keys()[view.name]
        for key, blob in zip(keys, held.store.read(keys), strict=True):
            wins = tuple(winner(view, blob, t) for t in (T, T + HOUR, T + 7 * HOUR))
            found[key] = (blob, held.client.pexpiretime(key.decode()), *wins)
    return found


def test_the_stable_never_notices_a_candidate_that_comes_and_goes(
    stable: Side, changed: tuple[str, Side], held: Held
) -> None:
    view, candidate = changed
    assert stable.materialize(held).code == 0
    before = read(stable, held)
    assert sum(found[0] is not None for found in before.values()) > 25
    during = []
    candidate.project.writer(held.store, T).bring_up(
        candidate.project.contract.feature_views,
        progress=lambda _: during.append(read(stable, held)),
    )
    assert len(during) >= 4
    assert all(found == before for found in during)
    assert {one.of.schema for one in stored_schemas(held.store, {}) if one.of.view == view} == {
        side.project.contract.schema_of(side.project.contract.view_by_name[view])
        for side in (stable, candidate)
    }
    assert stable.call(held, "schemas collect", "--release", stable.directory).code == 0
    assert read(stable, held) == before


def test_a_candidate_is_covered_once_it_is_backfilled_and_the_gate_says_so(
    stable: Side, changed: tuple[str, Side], held: Held, tmp_path: Path
) -> None:
    view, candidate = changed
    stable.materialize(held)

    def gate() -> tuple[bool, str]:
        folder = EvidenceFolder(tmp_path, candidate.release.id, candidate.project.plan, now())
        found = evidence_finding(folder, CHECK)
        return found.ok, found.detail

    assert gate()[0] is False
    refused = candidate.cover(held, tmp_path)
    figures = refused.json["figures"]
    assert refused.code == 1
    changed_view = figures["views"].pop(view)
    assert changed_view["watermark"] is None
    assert changed_view["missing"] == changed_view["live"] > 20
    [other] = figures["views"].values()
    assert (other["missing"], other["watermark"] is None) == (0, False)
    assert 0 < figures["feature_missing_rate"] < 1
    assert json.loads((tmp_path / "coverage.json").read_text()) | {"figures": None} == (
        refused.json | {"figures": None}
    )
    ok, why = gate()
    assert not ok
    assert "live entities have no key" in why
    assert candidate.materialize(held).code == 0
    done = candidate.cover(held, tmp_path)
    assert (done.code, done.json["reasons"]) == (0, [])
    assert done.json["figures"]["feature_missing_rate"] == 0
    assert gate() == (True, f"every live entity has its key, as of {format_moment(T)}")


def test_a_single_missing_key_is_found_and_named(stable: Side, held: Held, tmp_path: Path) -> None:
    stable.materialize(held)
    key = next(key for key in stable.keys()["courier_load_6h"] if held.client.exists(key.decode()))
    held.client.delete(key.decode())
    done = stable.cover(held, tmp_path)
    [reason] = done.json["reasons"]
    assert done.code == 1
    assert "1 of 25 live entities have no key: courier:" in reason
    assert reason.rpartition(" ")[2].encode() in key


def test_a_contract_that_is_not_the_releases_is_refused(
    stable: Side, changed: tuple[str, Side], held: Held, tmp_path: Path
) -> None:
    view, candidate = changed
    wrong = Side.__new__(Side)
    wrong.project, wrong.directory = stable.project, candidate.directory
    for done in (wrong.materialize(held), wrong.cover(held, tmp_path)):
        assert done.code == 2
        assert view in done.err
    assert stored_schemas(held.store, {}) == []


def test_what_a_release_references_stays_and_the_rest_is_collected(
    stable: Side, changed: tuple[str, Side], held: Held
) -> None:
    view, candidate = changed
    stable.materialize(held)
    candidate.materialize(held)
    both = ("--release", stable.directory, "--release", candidate.directory)
    kept = stable.call(held, "schemas collect", *both).json
    assert (kept["retired"], kept["removed"]) == ([], 0)
    assert len(kept["schemas"]) == 3
    before = read(candidate, held)
    promoted = ("--release", candidate.directory)
    would = stable.call(held, "schemas collect", *promoted, "--dry-run").json
    assert len(stored_schemas(held.store, {})) == 3
    done = stable.call(held, "schemas collect", *promoted).json
    retired = stable.schemas() - candidate.schemas()
    assert would["retired"] == done["retired"] == sorted(retired)
    assert would["removed"] == 0 < done["removed"]
    [old] = [one for one in done["schemas"] if not one["releases"]]
    assert (old["view"], old["keys"]) == (view, done["removed"])
    assert read(candidate, held) == before
    assert {f"{one.of.view}:{one.of.schema}" for one in stored_schemas(held.store, {})} == (
        candidate.schemas()
    )
    again = stable.call(held, "schemas collect", *promoted).json
    assert (again["retired"], again["removed"]) == ([], 0)


def test_keys_of_a_collection_that_was_stopped_go_with_the_next(stable: Side, held: Held) -> None:
    held.client.set(b"fs:{courier:1}:courier_load_6h:0123456789abcdef", b"left")
    held.client.hset(watermark_key("forgotten", "f" * 16).decode(), "watermark", "5")
    foreign = [b"fs:{courier:1}:Other:0123456789abcdef", b"fs:else", b"of somebody else"]
    for key in foreign:
        held.client.set(key, b"foreign")
    done = stable.call(held, "schemas collect", "--release", stable.directory).json
    assert done["retired"] == ["courier_load_6h:0123456789abcdef", f"forgotten:{'f' * 16}"]
    assert sorted(held.client.keys()) == sorted(foreign)


def test_collecting_needs_the_releases_in_force(stable: Side, held: Held) -> None:
    stable.materialize(held)
    before = read(stable, held)
    done = stable.call(held, "schemas collect")
    assert done.code == 2
    [error] = json.loads(done.err)["errors"]
    assert (error["path"], error["code"]) == ("--release", "no_release")
    assert stable.call(held, "schemas list").json["retired"] == []
    assert read(stable, held) == before
