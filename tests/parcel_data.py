"""The whole parcels project with a few simulated days, its history, and a store to write to."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from feature_runtime.core import keys, timeline
from feature_runtime.core.availability import Row
from proviso.contracts.contract import Contract, FeatureView, Scheduled
from proviso.contracts.loading import CONTRACT_FILE, load_contract, load_plan
from proviso.contracts.plan import Plan
from proviso.contracts.section import runtime_service
from proviso.contracts.starter import write_template
from proviso.history.duckdb.features import compute_history
from proviso.history.files import history_file
from proviso.local import valkey
from proviso.local.processes import Stack
from proviso.online.materialize import Clocks, Materializer
from proviso.online.store import OnlineStore
from proviso.release.directory import Release
from proviso.release.writing import Draft, write_release
from proviso.simulation.simulate import simulate
from proviso.training.fitting import fit_model, fit_reference
from proviso.training.spec import Boosting, TrainingSpec
from tests.parcel_project import project_text

Ids = tuple[keys.EntityId, ...]


@dataclass(frozen=True)
class Project:
    """Contract files with transactions and history on disk."""

    contracts: Path
    transactions: Path
    history: Path
    contract: Contract
    plan: Plan

    def writer(self, store: OnlineStore, as_of: int | None) -> Materializer:
        """Who materializes this project's history; None: by the store's clock."""
        clocks = Clocks(as_of, self.plan.clock_margin, self.plan.write_deadline)
        return Materializer(self.contract, self.history, store, clocks)


def make(
    directory: Path,
    end: int,
    couriers: int,
    days: int = 4,
    edits: Iterable[tuple[str, str]] = (),
) -> Project:
    """Simulates `days` until `end` and computes their history.

    edits: (old, new) in the contract's text.
    """
    contracts = directory / "contracts"
    write_template(contracts)
    (contracts / CONTRACT_FILE).write_text(project_text(CONTRACT_FILE))
    _edit(contracts / "simulation.yml", "count: 120", f"count: {couriers}")
    _edit(contracts / "serving_release_plan.yml", "write_deadline: PT30S", "write_deadline: PT1S")
    for old, new in edits:
        _edit(contracts / CONTRACT_FILE, old, new)
    contract, plan = load_contract(contracts), load_plan(contracts)
    transactions, history = directory / "deliveries.parquet", directory / "history"
    simulate(contracts, contract, transactions, days, 5, end)
    compute_history(contract, transactions, history)
    return Project(contracts, transactions, history, contract, plan)


def tiny_release(project: Project, directory: Path) -> Release:
    """A release of the project's plan; its model has learned from random vectors."""
    names = runtime_service(project.contract, project.plan).vector
    chance = np.random.default_rng(3)
    vectors = chance.normal(size=(300, len(names))).astype(np.float32)
    labels = (vectors[:, 0] > 0.5).astype(np.int8)
    spec = TrainingSpec(boosting=Boosting(trees=20, max_depth=3))
    model = fit_model(spec, names, vectors, labels, vectors)
    baseline = fit_reference(spec, vectors, labels, vectors)
    card = {"vector": list(names)}
    return write_release(
        Draft(project.contract, project.plan, model.onnx, baseline.onnx, card), directory
    )


def asked_at(project: Project, ids: Mapping[str, keys.EntityId], at: list[int], out: Path) -> Path:
    """Transactions of one courier and zone at some moments, otherwise like the first real ones."""
    source = project.contract.observations_of()
    table = pq.read_table(project.transactions).slice(0, len(at))
    moments = pa.array(at, pa.timestamp("us", tz="UTC"))
    columns = {source.event_timestamp: moments, str(source.arrival_timestamp): moments}
    columns |= {name: pa.array([value] * len(at)) for name, value in ids.items()}
    for name, column in columns.items():
        table = table.set_column(table.schema.get_field_index(name), name, column)
    pq.write_table(table, out)
    return out


def _edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert text.count(old) == 1
    path.write_text(text.replace(old, new))


def all_rows(project: Project, view: FeatureView) -> Mapping[Ids, list[Row]]:
    """Every row of a view's history by entity, read without the product's reader."""
    publication = view.publication
    assert isinstance(publication, Scheduled)
    table = pq.read_table(history_file(project.history, view))
    for name in ("event_ts", "created_ts"):
        at = table.schema.get_field_index(name)
        table = table.set_column(at, name, table[name].cast("int64"))
    names = [*project.contract.join_keys(view), "event_ts", "created_ts"]
    columns = [table[name].to_pylist() for name in (*names, *(f.name for f in view.features))]
    width = len(view.entities)
    found: dict[Ids, list[Row]] = defaultdict(list)
    for cells in zip(*columns, strict=True):
        event, created = cells[width : width + 2]
        row = Row(event, created, cells[width + 2 :], event // publication.schedule)
        found[cells[:width]].append(row)
    return found


@dataclass(frozen=True)
class Held:
    """A running store, as its writer and as a plain client see it."""

    store: OnlineStore
    client: redis.Redis
    url: str
    password_file: Path

    def key(self, project: Project, view: FeatureView, ids: Ids) -> bytes:
        """Where an entity's timeline is."""
        entity = keys.entity_key(view.entities, ids)
        return keys.timeline_key(entity, view.name, project.contract.schema_of(view))

    def rows(self, project: Project, view: FeatureView, ids: Ids) -> tuple[Row, ...]:
        """What an entity's key holds."""
        [blob] = self.store.read([self.key(project, view, ids)])
        schema = project.contract.schema_of(view)
        return () if blob is None else timeline.unpack(schema, blob)


@contextmanager
def running_store(directory: Path) -> Iterator[Held]:
    """A Valkey of one's own."""
    with Stack() as stack:
        made = valkey.configure(directory / "valkey")
        stack.start(made.process, made.ready)
        password = made.password_file.read_text().strip()
        store = OnlineStore(made.url, made.password_file)
        once = Retry(NoBackoff(), 0)
        with redis.Redis(port=made.port, password=password, retry=once) as client:
            yield Held(store, client, made.url, made.password_file)
        store.close()
