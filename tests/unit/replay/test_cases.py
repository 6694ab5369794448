"""Transactions that a drill makes up are real ones in everything but whose and when they are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from feature_runtime.core.availability import Status
from feature_runtime.core.moments import DAY, SECOND
from proviso.contracts.section import runtime_service
from proviso.history.arrays import EncoderInputs, read_inputs
from proviso.history.duckdb.join import build_dataset
from proviso.replay.cases import Synthetic, synthetic_transactions
from tests.parcel_data import Project, make

LAST = 1_780_272_000 * SECOND


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return make(tmp_path_factory.mktemp("parcels"), LAST, couriers=8)


def joined(project: Project, transactions: Path, out: Path) -> EncoderInputs:
    build_dataset(project.contract, project.history, transactions, LAST - DAY, LAST, out)
    service = runtime_service(project.contract, project.plan)
    return read_inputs(out, project.contract, service)


def test_made_up_transactions_are_read_like_real_ones(project: Project, tmp_path: Path) -> None:
    inputs = joined(project, project.transactions, tmp_path / "real-joined.parquet")
    moments = np.array([LAST - 3 * SECOND, LAST - 2 * SECOND], dtype=np.int64)
    path = synthetic_transactions(
        project.contract, inputs, Synthetic(5, moments), tmp_path / "made.parquet"
    )
    made = joined(project, path, tmp_path / "made-joined.parquet")
    assert len(made) == 7
    assert set(made.ids) & set(inputs.ids) == set()
    unseen = ~np.isin(made.keys["courier_id"], list(inputs.keys["courier_id"]))
    assert unseen.sum() == 5
    assert (made.status[unseen] == Status.MISSING_KEY).all()
    assert sorted(made.at[~unseen]) == list(moments)
    assert set(made.at[unseen]) <= set(inputs.at)
    assert np.isnan(made.labels).all()
    for name, column in inputs.fields.items():
        assert np.isin(made.fields[name], column).all()


def test_made_up_columns_have_the_types_of_the_source(project: Project, tmp_path: Path) -> None:
    inputs = joined(project, project.transactions, tmp_path / "real-joined.parquet")
    making = Synthetic(2, np.empty(0, np.int64))
    path = synthetic_transactions(project.contract, inputs, making, tmp_path / "made.parquet")
    made, real = pq.read_schema(path), pq.read_schema(project.transactions)
    for name in (project.contract.observations_of().id, "courier_id", "zone_id", "parcels"):
        assert made.field(name).type == real.field(name).type


def test_nothing_to_make_is_nothing() -> None:
    assert not Synthetic(0, np.empty(0, np.int64))
    assert Synthetic(1, np.empty(0, np.int64))
    assert Synthetic(0, np.array([1]))
