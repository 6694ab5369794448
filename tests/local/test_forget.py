"""An entity leaves a real store and the files beside it, by one command."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from feature_runtime.core.keys import EntityId
from feature_runtime.core.moments import now
from tests.parcel_data import Held, Project, all_rows, make
from tests.program import Done, call


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return make(tmp_path_factory.mktemp("parcels"), now(), couriers=5)


def an_entity(project: Project) -> EntityId:
    """A courier with rows in the view of couriers alone."""
    return next(iter(all_rows(project, project.contract.view_by_name["courier_load_6h"])))[0]


def forget(project: Project, held: Held, who: EntityId, *options: str | Path) -> Done:
    return call(
        *("--contracts", project.contracts, "forget", "--entity", f"courier:{who}", *options),
        *("--transactions", project.transactions, "--history", project.history),
        *("--store", held.url, "--store-password-file", held.password_file, "--json"),
    )


def materialize(project: Project, held: Held) -> Done:
    return call(
        *("--contracts", project.contracts, "materialize", "--history", project.history),
        *("--store", held.url, "--store-password-file", held.password_file, "--as-of", "now"),
    )


def keys_of(held: Held, who: EntityId) -> set[bytes]:
    return {key for key in held.client.scan_iter("fs:{*") if f"courier:{who}" in key.decode()}


def test_the_store_loses_its_keys_and_no_writer_brings_them_back(
    project: Project, held: Held
) -> None:
    who = an_entity(project)
    assert materialize(project, held).code == 0
    own, before = keys_of(held, who), held.client.dbsize()
    assert own
    planned = forget(project, held, who, "--dry-run")
    assert held.client.dbsize() == before
    done = forget(project, held, who)
    assert done.code == 0, done.err
    assert done.json["removed"] == planned.json["removed"]
    assert held.client.dbsize() == before - len(own)
    assert {one["what"]: one["count"] for one in done.json["removed"]}["keys"] == len(own)
    assert materialize(project, held).code == 0
    assert keys_of(held, who) == set()
    for path in (project.transactions, *project.history.rglob("*.parquet")):
        assert who not in pq.read_table(path)["courier_id"].to_pylist(), path
    assert forget(project, held, who).json["removed"] == []
