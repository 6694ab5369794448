"""Views over events and over a table, beside questions of their own: store and checks."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from feature_runtime.core.moments import DAY, HOUR, format_moment
from proviso.contracts.loading import load_contract, load_plan
from tests.parcel_data import Held, Project, tiny_release
from tests.program import Done, call
from tests.promise_project import END, VIEW, PromiseProject, make

T = END - DAY + 3 * HOUR
"""The table's row of the day has been published for two hours."""


@dataclass(frozen=True)
class World:
    """A project, its history, and a release of it."""

    project: PromiseProject
    history: Path
    release: Path

    def check(self, name: str, held: Held, *options: str | Path) -> Done:
        store = ("--store", held.url, "--store-password-file", held.password_file)
        program = ("--contracts", self.project.folder / "contracts", "check", name, *store)
        known = ("--release", self.release, "--history", self.history)
        return call(*program, *known, "--as-of", format_moment(T), "--json", *options)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    project = make(tmp_path_factory.mktemp("promises"))
    history = project.folder / "h"
    project.call("features", "--out", history)
    contracts = project.folder / "contracts"
    contract, plan = load_contract(contracts), load_plan(contracts)
    rows = project.folder / "promises.parquet"
    release = project.folder / "release"
    tiny_release(Project(contracts, rows, history, contract, plan), release)
    return World(project, history, release)


def _materialize(world: World, held: Held) -> None:
    store = ("--store", held.url, "--store-password-file", held.password_file)
    as_of = ("--as-of", format_moment(T))
    world.project.call("materialize", "--history", world.history, *store, *as_of)


def test_the_checks_of_a_store_hold_for_a_view_of_a_table(
    world: World, held: Held, tmp_path: Path
) -> None:
    _materialize(world, held)
    fresh = world.check("freshness", held)
    assert fresh.code == 0, fresh.out + fresh.err
    views = json.loads(fresh.out)["figures"]["views"]
    assert views[VIEW]["publication"] == "table"
    assert views[VIEW]["entities"] > 0
    skew = world.check("skew", held, "--out", tmp_path / "skew.csv")
    assert skew.code == 0, skew.out + skew.err
    assert VIEW in (tmp_path / "skew.csv").read_text()


def test_a_value_of_the_table_that_the_store_has_otherwise_is_skew(
    world: World, held: Held, tmp_path: Path
) -> None:
    _materialize(world, held)
    contract = load_contract(world.project.folder / "contracts")
    view = contract.view_by_name[VIEW]
    pattern = f"fs:{{courier:*}}:{VIEW}:{contract.schema_of(view)}"
    for key in held.client.scan_iter(pattern):
        held.client.delete(key)
    skew = world.check("skew", held, "--out", tmp_path / "skew.csv")
    assert skew.code == 1
    assert "MISSING_KEY" in (tmp_path / "skew.csv").read_text()


def test_the_catalogue_shows_the_table_as_the_source_of_the_view(
    world: World, tmp_path: Path
) -> None:
    page = tmp_path / "catalog.html"
    world.project.call("catalog", "--history", world.history, "--out", page)
    assert "those of the table" in page.read_text()
