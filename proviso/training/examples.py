"""The committed example releases: one per feature service of the contract, on simulated data.

`build` trains them again from scratch; `rebind` keeps the committed model bytes and derives ids
and configuration from the present source, contract and plan.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from proviso.contracts.base import InputError
from proviso.release.directory import RELEASE_FILE, Release
from proviso.release.writing import rebind
from proviso.simulation.simulate import simulate_transactions
from proviso.simulation.spec import Simulation
from proviso.training.data import Progress, Project, Request, plan_for
from proviso.training.train import PREDICTIONS_FILE, train
from proviso.training.weeks import weeks_until


def build_examples(
    project: Project, simulation: Simulation, out: Path, progress: Progress
) -> Iterator[Release]:
    """Trains every service's example into out/<version>; scores are not kept."""
    with TemporaryDirectory(prefix="proviso-examples-") as work:
        transactions = Path(work) / "transactions.parquet"
        simulate_transactions(project.contract, simulation, transactions)
        delay = project.contract.observations_of().label.delay
        weeks = weeks_until(simulation.end, delay)
        request = Request(transactions, weeks.train, weeks.test, delay)
        for chosen in _projects(project):
            directory = out / chosen.plan.model_version
            progress(f"train {chosen.plan.model}")
            release = train(chosen, request, directory, progress).release
            (directory / PREDICTIONS_FILE).unlink()
            yield release


def rebind_examples(project: Project, out: Path) -> Iterator[Release]:
    """Rebinds each example to the present source. Raises InputError when one is missing."""
    for chosen in _projects(project):
        directory = out / chosen.plan.model_version
        if not (directory / RELEASE_FILE).exists():
            wanted = "one; `proviso releases build` makes it"
            raise InputError.of(directory, "no release", wanted, code="release_missing")
        yield rebind(directory, chosen.contract, chosen.plan)


def _projects(project: Project) -> Iterator[Project]:
    for service in project.contract.feature_services:
        yield replace(project, plan=plan_for(project.contract, project.plan, service.name))
