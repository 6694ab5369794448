"""The dataset of a training run's days, encoded as serving would have encoded it.

Features are joined by the availability rule at each transaction's own moment; a training label
counts only if it was known when the test starts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from feature_runtime.core.encode import Encoded, Encoder
from feature_runtime.core.moments import DAY, format_moment
from feature_runtime.core.service import Service
from proviso.contracts.base import InputError
from proviso.contracts.contract import Contract, FeatureView
from proviso.contracts.plan import Plan
from proviso.contracts.section import consumed_views, runtime_service, service_of
from proviso.history.arrays import EncoderInputs, read_inputs
from proviso.history.engines import history_engine
from proviso.training.metrics import Events
from proviso.training.spec import TrainingSpec, card_join_key

Progress = Callable[[str], None]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Days:
    """Whole days, UTC: the midnights of the first and of the last, both included."""

    first: int
    last: int

    @property
    def end(self) -> int:
        """The midnight after the last day."""
        return self.last + DAY

    def text(self) -> list[str]:
        return [format_moment(self.first)[:10], format_moment(self.last)[:10]]


@dataclass(frozen=True)
class Project:
    """Contract, plan and training settings."""

    contract: Contract
    plan: Plan
    spec: TrainingSpec

    @cached_property
    def service(self) -> Service:
        return runtime_service(self.contract, self.plan)


@dataclass(frozen=True)
class Request:
    """The data to train on. `label_delay` (us) dates labels that have no moment of their own.

    history: a directory of `proviso features` that covers the days; None = computed here.
    """

    transactions: Path
    train: Days
    test: Days
    label_delay: int
    history: Path | None = None


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


def joined_inputs(
    project: Project, request: Request, out: Path, progress: Progress
) -> EncoderInputs:
    """All transactions from the first train day to the last test day, joined point in time.

    The days between are needed for evaluation: their frauds are known by the test days.
    """
    start, end = request.train.first, request.test.end
    with _working_folder(out) as work:
        history = request.history or _history(project, request, work / "history", progress)
        progress("join point in time")
        dataset = work / "dataset.parquet"
        views = [view.name for view in _consumed(project)]
        history_engine().build_dataset(
            project.contract, history, request.transactions, start, end, dataset, views
        )
        return read_inputs(dataset, project.contract, project.service)


@contextmanager
def with_history(
    project: Project, request: Request, out: Path, progress: Progress
) -> Iterator[Request]:
    """The request with a history: its own, or one computed here that lives as long as this."""
    if request.history is not None:
        yield request
        return
    with _working_folder(out) as work:
        history = _history(project, request, work / "history", progress)
        yield replace(request, history=history)


def rows_of(project: Project, inputs: EncoderInputs, days: Days) -> Rows:
    """The rows of some days, encoded."""
    within = (inputs.at >= days.first) & (inputs.at < days.end)
    chosen = inputs.take(np.flatnonzero(within))
    encoder = Encoder(project.service)
    return Rows(chosen, encoder.encode(chosen.fields, chosen.at, chosen.values, chosen.status))


def labels_known(project: Project, request: Request) -> Bools:
    """Which labels of the train days [n] are known when the test starts, in the dataset's order.

    Read from the source itself: only there a label's own moment can be told from the contract's
    delay, in whose place the request's counts here.
    """
    start, end = request.train.first, request.train.end
    opened = history_engine().open_transactions(project.contract, request.transactions, start, end)
    with opened as transactions:
        return transactions.labels_known(start, end, request.label_delay, request.test.first)


def usable_rows(request: Request, rows: Rows, known: Bools) -> Bools:
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
        raise InputError.of(request.transactions, found, "rows of both classes", why, code=code)
    return np.asarray(usable)


def events_of(project: Project, inputs: EncoderInputs) -> Events:
    """The labelled events of a dataset, for the metrics."""
    key = card_join_key(project.spec, project.contract, project.plan)
    _, codes = np.unique(inputs.keys[key], return_inverse=True)
    return Events(inputs.labels, inputs.at // DAY, codes.astype(np.int64))


@contextmanager
def _working_folder(out: Path) -> Iterator[Path]:
    """A temporary folder beside the release; /tmp may be in memory and too small."""
    parent = out.absolute().parent
    parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=".proviso-train-", dir=parent) as work:
        yield Path(work)


def _consumed(project: Project) -> list[FeatureView]:
    return consumed_views(project.contract, service_of(project.contract, project.plan))


def _history(project: Project, request: Request, out: Path, progress: Progress) -> Path:
    """Each consumed view's history from its lookback before the train days to the test's end."""
    contract = project.contract
    for view in _consumed(project):
        start = request.train.first - view.temporal_join_lookback
        history_engine().compute_history(
            contract, request.transactions, out, start, request.test.end, [view.name], progress
        )
    return out
