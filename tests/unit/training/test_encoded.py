"""A service with a category: what is learnt, what is frozen, and what a notebook gets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml

from feature_runtime.core.encode import Encoder
from feature_runtime.core.moments import DAY, SECOND
from feature_runtime.core.service import Service
from proviso.contracts.base import InputError
from proviso.contracts.section import frozen_vocabularies, runtime_service
from proviso.history.arrays import read_inputs
from proviso.history.duckdb.join import build_dataset
from proviso.training.data import Project, with_vocabularies
from proviso.training.encoded import Observed, write_encoded
from proviso.training.project import load_project
from tests.parcel_data import make

LAST = 1_780_272_000 * SECOND
FIRST = LAST - 3 * DAY
UNTIL = LAST - DAY


@dataclass(frozen=True)
class World:
    """A project whose service encodes a join key, and where its rows are."""

    project: Project
    observed: Observed


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    made = make(tmp_path_factory.mktemp("parcels"), LAST, couriers=12)
    path = made.contracts / "feature_store_contract.yml"
    stated = yaml.safe_load(path.read_text())
    [service] = stated["feature_services"]
    service["fields"].append("zone_id")
    key = {"name": "zone", "function": "field", "field": "zone_id", "description": "Where it goes."}
    service["request_features"].append(key)
    service["encodings"] = {"zone": {"kind": "one_hot", "max_size": 50}}
    path.write_text(yaml.safe_dump(stated, sort_keys=False))
    observed = Observed(made.history, made.transactions, FIRST, LAST)
    return World(load_project(made.contracts), observed)


def rows_of(path: Path) -> dict[str, list[Any]]:
    columns: dict[str, list[Any]] = pq.read_table(path).to_pydict()
    return columns


def expected(world: World, service: Service, work: Path) -> tuple[Any, Sequence[bool]]:
    """Vectors and rejections by the plain path: the dataset, then the encoder."""
    observed, out = world.observed, work / "plain.parquet"
    contract = world.project.contract
    span = (observed.start, observed.end)
    build_dataset(contract, observed.history, observed.transactions, *span, out)
    inputs = read_inputs(out, contract, service)
    encoded = inputs.encoded(Encoder(service))
    return encoded.vector, encoded.rejected.tolist()


def test_the_encoded_dataset_is_the_vector_by_name(world: World, tmp_path: Path) -> None:
    out = tmp_path / "encoded.parquet"
    done = write_encoded(world.project, None, replace(world.observed, learn_until=UNTIL), out)
    service = runtime_service(world.project.contract, world.project.plan, done.vocabularies)
    vector, rejected = expected(world, service, tmp_path)
    found = rows_of(out)
    assert done.columns == service.vector
    assert [n for n in found if n in service.vector] == list(service.vector)
    table = np.array([found[name] for name in service.vector], dtype=np.float32).T
    np.testing.assert_array_equal(table, vector)
    assert found["rejected"] == rejected
    assert [reason is not None for reason in found["rejected_reason"]] == rejected
    assert done.rows == len(rejected) > 100


def test_a_value_of_later_days_is_unknown(world: World, tmp_path: Path) -> None:
    """Learning from the first days alone: what only the last day has gets the code of unknown."""
    out = tmp_path / "encoded.parquet"
    done = write_encoded(world.project, None, replace(world.observed, learn_until=UNTIL), out)
    found = rows_of(out)
    moments = [at.timestamp() * SECOND for at in found["scoring_ts"]]
    zones = list(zip(found["zone_id"], moments, found["zone__unknown"], strict=True))
    before = {zone for zone, at, _ in zones if at < UNTIL}
    assert set(done.vocabularies["zone"]) <= before
    only_later = [unknown for zone, _, unknown in zones if zone not in before]
    assert only_later
    assert set(only_later) == {1.0}
    known = set(done.vocabularies["zone"])
    assert all(unknown == (zone not in known) for zone, _, unknown in zones)


def test_later_rows_change_no_vocabulary(world: World, tmp_path: Path) -> None:
    service, contract = world.project.service, world.project.contract
    observed, out = world.observed, tmp_path / "plain.parquet"
    span = (observed.start, observed.end)
    build_dataset(contract, observed.history, observed.transactions, *span, out)
    inputs = read_inputs(out, contract, service)
    whole = with_vocabularies(world.project, inputs, FIRST, UNTIL)
    cut = inputs.take(inputs.at < UNTIL)
    assert with_vocabularies(world.project, cut, FIRST, UNTIL).vocabularies == whole.vocabularies
    every = with_vocabularies(world.project, inputs, FIRST, LAST)
    assert every.vocabularies != whole.vocabularies, "or the test shows nothing"
    assert frozen_vocabularies(whole.service) == whole.vocabularies


def test_nothing_is_learnt_without_being_asked(world: World, tmp_path: Path) -> None:
    out = tmp_path / "encoded.parquet"
    with pytest.raises(InputError) as refused:
        write_encoded(world.project, None, world.observed, out)
    assert refused.value.problems[0].code == "vocabulary_not_learnt"
    assert not out.exists()
