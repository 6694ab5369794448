"""One model trained after each of four joins: its offline metrics and those when served."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from proviso.contracts.files import working_folder
from proviso.history.arrays import EncoderInputs
from proviso.leakage.joins import Bools, Join, believed, leaked, views_of
from proviso.training.boosting import boosting_probabilities, fit_boosting
from proviso.training.data import Progress, Project, Request, check_days, training_data
from proviso.training.metrics import Metrics
from proviso.training.train import Run, figures, prepare


@dataclass(frozen=True)
class Leak:
    """Of the training rows: how many used a view's value too early, and how many such values.

    wrong: those of the values that are not what the exact join gives.
    """

    rows: int
    values: int
    wrong: int


@dataclass(frozen=True)
class Outcome:
    """One join: what leaked by view and altogether, what the model claims and what it gets.

    claimed: on the test days joined in the same way. served: on the test days joined exactly.
    """

    join: Join
    training_rows: int
    views: Mapping[str, Leak]
    total: Leak
    claimed: Metrics
    served: Metrics


def incident(
    project: Project, request: Request, out: Path, progress: Progress
) -> tuple[Outcome, ...]:
    """Trains after each join on the same days. Raises InputError as training does."""
    check_days(request)
    with (
        training_data(project, request, out, progress) as data,
        working_folder(out.absolute().parent, "leakage") as work,
    ):
        outcomes, exact = [], None
        for join in (Join.EXACT, *(join for join in Join if join is not Join.EXACT)):
            progress(f"{join.value}: {join.condition}")
            seen = believed(project, data.history, join, work / join.name)
            run = prepare(seen.project, replace(request, history=seen.history), out, _quiet)
            exact = exact or run
            found = leaked(project.contract, seen, run.train.inputs)
            outcomes.append(_outcome(join, run, exact, found))
    first, *others = outcomes
    return (*others, first)


def _quiet(_: str) -> None:
    """Drops the progress lines, which are the same for each join."""


def _outcome(join: Join, run: Run, exact: Run, found: Mapping[str, Bools]) -> Outcome:
    scored = scores_of(run, run, exact)
    consumed = run.project.service.consumed
    wrong = changed_values(run.train.inputs, exact.train.inputs)
    early = np.column_stack([found[view] for view, _ in consumed]) & run.used[:, None]
    views = {
        view.name: _leak(early, wrong, np.array([name == view.name for name, _ in consumed]))
        for view in views_of(run.project)
    }
    total = _leak(early, wrong, np.ones(len(consumed), dtype=np.bool_))
    return Outcome(join, int(run.used.sum()), views, total, *scored)


def _leak(early: Bools, wrong: Bools, columns: Bools) -> Leak:
    """early, wrong: [n, K]; of some columns."""
    chosen = early[:, columns]
    return Leak(
        rows=int(chosen.any(axis=1).sum()),
        values=int(chosen.sum()),
        wrong=int((chosen & wrong[:, columns]).sum()),
    )


def scores_of(run: Run, *tests: Run) -> tuple[Metrics, ...]:
    """Metrics of a run's model on the test days, joined as each of `tests` joins them."""
    spec, labels = run.project.spec, run.train.inputs.labels[run.used].astype(np.int8)
    vectors = run.train.encoded.vector[run.used]
    model = fit_boosting(spec.boosting, spec.seed, run.project.service.vector, vectors, labels)
    return tuple(
        figures(test, boosting_probabilities(model, test.test.encoded.vector)) for test in tests
    )


def changed_values(inputs: EncoderInputs, others: EncoderInputs) -> Bools:
    """Which values [n, K] are not the same to the model: another status or another number."""
    same = (inputs.values == others.values) | (np.isnan(inputs.values) & np.isnan(others.values))
    return np.asarray(~same | (inputs.status != others.status))
