"""The encoded dataset is what a pod logs: strings and categories included, by V1 and by gRPC.

The history of one view gets a string feature by hand, whose values are hard cases; a join key is a
field with a vocabulary. Store, Triton and pod are real.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from feature_runtime.core.moments import DAY, SECOND
from proviso.clients.endpoint import Answer, EndpointRequest, clients_of
from proviso.contracts.loading import load_contract, load_plan
from proviso.history.files import SCHEMA_KEY, history_file
from proviso.local.processes import Stack
from proviso.local.stack import Embedded, start
from proviso.online.store import OnlineStore
from proviso.records.reader import RecordReader
from proviso.release.directory import Release
from proviso.training.encoded import Observed, write_encoded
from proviso.training.project import load_project
from tests.parcel_data import Project, make, tiny_release

LAST = 1_780_272_000 * SECOND
START = LAST - DAY // 2
VIEW, FEATURE = "courier_load_6h", "last_note"
NOTES = ["north", "", None, "e\u0301", "\u00e9", 'a\0b\n"\\', "5", "x" * 1024, "never given"]
KNOWN = ["north", "", "\u00e9", 'a\0b\n"\\', "5"]
ASKED = 60


@dataclass(frozen=True)
class Running:
    """A project with a string feature, its release, and the stack that serves it."""

    project: Project
    release: Release
    embedded: Embedded


def with_strings(made: Project) -> Project:
    """The project with a string feature in one view, a key as a field, and their encodings."""
    path = made.contracts / "feature_store_contract.yml"
    stated = yaml.safe_load(path.read_text())
    [view] = [v for v in stated["feature_views"] if v["name"] == VIEW]
    view["features"].append(
        {
            "name": FEATURE,
            "dtype": "string",
            "description": "What the last note says.",
            "default": {
                "policy": "default",
                "value": "north",
                "approved_by": "data@parcels.example",
                "reason": "Most are.",
            },
            "tolerance": {"absolute": 0, "relative": 0},
        }
    )
    [service] = stated["feature_services"]
    service["features"].append(f"{VIEW}:{FEATURE}")
    service["fields"].append("zone_id")
    key = {"name": "zone", "function": "field", "field": "zone_id", "description": "Where."}
    service["request_features"].append(key)
    service["encodings"] = {
        f"{VIEW}:{FEATURE}": {"kind": "one_hot", "vocabulary": KNOWN},
        "zone": {"kind": "ordinal", "vocabulary": list(range(0, 100, 2))},
    }
    path.write_text(yaml.safe_dump(stated, sort_keys=False, allow_unicode=True))
    contract = load_contract(made.contracts)
    found = Project(
        made.contracts, made.transactions, made.history, contract, load_plan(made.contracts)
    )
    _write_notes(found)
    return found


def _write_notes(project: Project) -> None:
    """Adds the string feature to every row of the view's history."""
    view = project.contract.view_by_name[VIEW]
    path = history_file(project.history, view)
    table = pq.read_table(path)
    notes = [NOTES[i % len(NOTES)] for i in range(table.num_rows)]
    table = table.append_column(FEATURE, pa.array(notes, pa.string()))
    schema = {
        **(table.schema.metadata or {}),
        SCHEMA_KEY.encode(): project.contract.schema_of(view),
    }
    pq.write_table(table.replace_schema_metadata(schema), path)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    directory = tmp_path_factory.mktemp("encoded")
    project = with_strings(make(directory, LAST, couriers=12))
    release = tiny_release(project, directory / "release")
    with Stack() as stack:
        embedded = start(stack, release, directory / "stack", replay_clock=True, leashed=True)
        store = OnlineStore(embedded.store.url, embedded.store.password_file)
        project.writer(store, START).bring_up(project.contract.feature_views)
        store.close()
        yield Running(project, release, embedded)


def asked(running: Running) -> list[EndpointRequest]:
    """Requests like the transactions, all at one moment, and some of a courier nobody has seen."""
    table = pq.read_table(running.project.transactions).slice(0, ASKED).to_pylist()
    return [
        EndpointRequest(
            f"asked-{i}",
            START + i,
            {"courier_id": 2**40 if i % 10 == 9 else row["courier_id"], "zone_id": row["zone_id"]},
            {"parcels": row["parcels"], "distance_km": float(row["distance_km"])},
        )
        for i, row in enumerate(table)
    ]


def as_transactions(running: Running, requests: Sequence[EndpointRequest], out: Path) -> Path:
    """The same requests as rows of the source."""
    table = pq.read_table(running.project.transactions).slice(0, len(requests))
    moments = pa.array([request.t for request in requests], pa.timestamp("us", tz="UTC"))
    observations = running.project.contract.observations_of()
    columns: dict[str, Any] = {observations.event_timestamp: moments}
    if observations.arrival_timestamp:
        columns[observations.arrival_timestamp] = moments
    for key in ("courier_id", "zone_id"):
        columns[key] = pa.array([request.ids[key] for request in requests])
    for name, column in columns.items():
        table = table.set_column(table.schema.get_field_index(name), name, column)
    pq.write_table(table, out)
    return out


def answers(running: Running, requests: Sequence[EndpointRequest]) -> list[Answer]:
    """Over V2 REST and gRPC in turn."""
    endpoint = running.embedded.endpoint
    service, name = running.release.service, running.release.model_name

    async def ask() -> list[Answer]:
        async with clients_of(name, service, endpoint.url, endpoint.grpc_address) as clients:
            return [await clients.ask(i, request) for i, request in enumerate(requests)]

    return asyncio.run(ask())


def test_the_encoded_dataset_is_what_the_pod_logs(running: Running, tmp_path: Path) -> None:
    requests = asked(running)
    found = answers(running, requests)
    assert [answer.error for answer in found] == [None] * ASKED
    records = {
        record["request_id"]: record
        for record in RecordReader(running.embedded.endpoint.record, ("request_id",))
    }
    transactions = as_transactions(running, requests, tmp_path / "asked.parquet")
    project, out = load_project(running.project.contracts), tmp_path / "encoded.parquet"
    observed = Observed(running.project.history, transactions, START, START + ASKED)
    done = write_encoded(project, running.release, observed, out)
    assert done.columns == running.release.service.vector
    rows = pq.read_table(out).to_pylist()
    assert len(rows) == ASKED
    seen = set()
    for request, row in zip(requests, rows, strict=True):
        record = records[request.request_id]
        expected = np.array([row[name] for name in done.columns], dtype=np.float32)
        vector = np.array(record["vector"], dtype=np.float64).astype(np.float32)
        np.testing.assert_array_equal(vector, expected)
        assert (record["fallback_reason"] is not None) == row["rejected"]
        assert record["fallback_reason"] == row["rejected_reason"]
        seen.add(record["features"][f"{VIEW}:{FEATURE}"]["value"])
    assert len(seen & set(NOTES)) >= 4, "hard cases among what was asked"


def test_a_string_is_recorded_as_it_is_stored_and_its_default_by_name(running: Running) -> None:
    name = f"{VIEW}:{FEATURE}"
    reads = [
        record["features"][name]
        for record in RecordReader(running.embedded.endpoint.record, ("request_id",))
    ]
    assert {read["value"] for read in reads} <= {*NOTES, None}
    replaced = [read for read in reads if "default" in read]
    assert {read["default"] for read in replaced} == {"north"}
    assert {read["status"] for read in replaced} >= {"MISSING_KEY"}
