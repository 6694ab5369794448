"""The dataset of a training run's days, encoded as serving would have encoded it.

Features are joined by the availability rule at each transaction's own moment; a training label
counts only if it was known when the test starts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from feature_runtime.core.encode import Encoded, Encoder
from feature_runtime.core.moments import DAY
from feature_runtime.core.service import Service, element_dtypes
from proviso.contracts.base import InputError
from proviso.contracts.contract import Contract, FeatureView
from proviso.contracts.files import working_folder
from proviso.contracts.places import observed_place
from proviso.contracts.plan import Plan
from proviso.contracts.section import (
    Vocabularies,
    consumed_views,
    runtime_service,
    service_of,
)
from proviso.history.arrays import EncoderInputs, read_inputs
from proviso.history.clock import source_clock
from proviso.history.engines import history_engine
from proviso.history.ports import Transactions
from proviso.history.values import SourceClock
from proviso.training.metrics import Events
from proviso.training.spec import TrainingSpec, investigated_entity
from proviso.training.vocabulary import learn
from proviso.training.weeks import Days

Progress = Callable[[str], None]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Project:
    """Contract, plan and training settings; the vocabularies, once they are learnt."""

    contract: Contract
    plan: Plan
    spec: TrainingSpec
    vocabularies: Vocabularies = field(default_factory=dict)

    @cached_property
    def service(self) -> Service:
        return runtime_service(self.contract, self.plan, self.vocabularies)


@dataclass(frozen=True)
class Request:
    """The data to train on. `label_delay` (us) dates labels that have no moment of their own.

    transactions: None: the contract's location of the observed rows. history: a directory of
    `proviso features` that covers the days; None = computed here.
    """

    transactions: Path | None
    train: Days
    test: Days
    label_delay: int
    history: Path | None = None


@dataclass(frozen=True)
class TrainingData:
    """A request's transactions, loaded once, the history to join them with, and a folder to use."""

    project: Project
    request: Request
    transactions: Transactions
    history: Path
    work: Path


@dataclass(frozen=True)
class Rows:
    """The dataset of some days, encoded."""

    inputs: EncoderInputs
    encoded: Encoded


def plan_for(contract: Contract, plan: Plan, service: str) -> Plan:
    """The plan with another of the contract's feature services and its model.

    Raises InputError when the contract has no such service.
    """
    models = {s.name: s.model for s in contract.feature_services}
    if service not in models:
        found, wanted = f"no {service}", f"one of {sorted(models)}"
        raise InputError.of("feature_services", found, wanted, code="service_unknown")
    return plan.model_copy(update={"service": service, "model": models[service]})


def check_days(request: Request) -> None:
    """Raises InputError when days are out of order or overlap."""
    for name, days in (("train", request.train), ("test", request.test)):
        if days.last < days.first:
            first, last = days.text()
            path, wanted, why = f"--{name}-end", f"{first} or later", "days are inclusive"
            raise InputError.of(path, last, wanted, why, code="days_out_of_order")
    if request.test.first < request.train.end:
        wanted = f"a day after {request.train.text()[1]}"
        first, why = request.test.text()[0], "a model must not be tested on days it was trained on"
        raise InputError.of("--test-start", first, wanted, why, code="days_overlap")


@contextmanager
def training_data(
    project: Project, request: Request, out: Path, progress: Progress
) -> Iterator[TrainingData]:
    """Loads the request's transactions, and computes the history if the request names none.

    What is computed lies beside `out` and is removed at the end. Raises InputError.
    """
    opened = history_engine().open_transactions(
        project.contract, request.transactions, clock=clock_of(project, request)
    )
    with opened as transactions, working_folder(out.absolute().parent, "train") as work:
        progress(f"{transactions.summary.rows:,} observed rows")
        if transactions.summary.set_aside:
            progress(transactions.summary.set_aside_text)
        for found in transactions.quarantined:
            progress(found.text)
        history = request.history
        if history is None:
            history = work / "history"
            write_history(project, request, transactions, history, progress)
        yield TrainingData(project, request, transactions, history, work)


def clock_of(project: Project, request: Request) -> SourceClock:
    """The clock of a request's transactions; its days are as they are stated."""
    return source_clock(request.transactions, project.plan.clock_margin, request.test.end)


def write_history(
    project: Project, request: Request, transactions: Transactions, out: Path, progress: Progress
) -> None:
    """Each consumed view's history from its lookback before the train days to the test's end."""
    for view in _consumed(project):
        start = request.train.first - view.temporal_join_lookback
        transactions.compute_history(out, start, request.test.end, [view.name], progress)


def joined_inputs(data: TrainingData, progress: Progress) -> EncoderInputs:
    """All transactions from the first train day to the last test day, joined point in time.

    The days between are needed for evaluation: their positives are known by the test days.
    """
    progress("join point in time")
    project, request = data.project, data.request
    dataset = data.work / "dataset.parquet"
    views = [view.name for view in _consumed(project)]
    data.transactions.build_dataset(
        data.history,
        request.train.first,
        request.test.end,
        dataset,
        views,
        request_features=False,
    )
    return read_inputs(dataset, project.contract, project.service)


def with_vocabularies(project: Project, inputs: EncoderInputs, start: int, end: int) -> Project:
    """The project with what its encodings learn from the rows of [start, end), and of no others."""
    stated = service_of(project.contract, project.plan).encodings
    sizes = {name: one.max_size for name, one in stated.items() if one.max_size is not None}
    if not sizes:
        return project
    within = (inputs.at >= start) & (inputs.at < end)
    encoder = Encoder(project.service, project.contract.library)
    elements = inputs.take(np.flatnonzero(within)).elements(encoder)
    columns, dtypes = elements.columns, element_dtypes(project.service)
    learnt = {name: learn(columns[name], dtypes[name], size) for name, size in sizes.items()}
    return replace(project, vocabularies=learnt)


def rows_of(project: Project, inputs: EncoderInputs, days: Days) -> Rows:
    """The rows of some days, encoded."""
    within = (inputs.at >= days.first) & (inputs.at < days.end)
    chosen = inputs.take(np.flatnonzero(within))
    encoder = Encoder(project.service, project.contract.library)
    return Rows(chosen, chosen.encoded(encoder))


def labels_known(data: TrainingData) -> Bools:
    """Which labels of the train days [n] are known when the test starts, in the dataset's order.

    A label without a moment of its own is dated by the request's delay, not by the contract's.
    """
    request = data.request
    train, test = request.train, request.test
    return data.transactions.labels_known(train.first, train.end, request.label_delay, test.first)


def usable_rows(contract: Contract, request: Request, rows: Rows, known: Bools) -> Bools:
    """Training rows [n] with a label known in time that serving accepts. Raises InputError."""
    usable = known & ~rows.encoded.rejected
    positives = int(rows.inputs.labels[usable].sum())
    if not 0 < positives < int(usable.sum()):
        found = f"{int(usable.sum())} usable training rows, {positives} of them positive"
        why = (
            f"of {len(usable)} rows {int((~known).sum())} labels are not known when the test "
            f"starts, {int(rows.encoded.rejected.sum())} rows are rejected"
        )
        code = "training_rows_of_one_class"
        shown = observed_place(contract, request.transactions)
        raise InputError.of(shown, found, "rows of both classes", why, code=code)
    return np.asarray(usable)


def events_of(project: Project, inputs: EncoderInputs) -> Events:
    """The labelled events of a dataset, for the metrics."""
    key = investigated_entity(project.spec, project.contract, project.plan).join_key
    _, codes = np.unique(inputs.keys[key], return_inverse=True)
    return Events(inputs.labels, inputs.at // DAY, codes.astype(np.int64))


def _consumed(project: Project) -> list[FeatureView]:
    return consumed_views(project.contract, service_of(project.contract, project.plan))
