"""The whole demonstration: what joins that ignore time claim, and what their models get served."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from proviso.contracts.files import working_folder
from proviso.leakage.delays import raised_delays
from proviso.leakage.incident import incident
from proviso.leakage.report import Findings, as_data, write_report
from proviso.leakage.source import delayed_arrivals, last_request
from proviso.simulation.simulate import simulate_transactions
from proviso.simulation.spec import load_simulation
from proviso.training.data import Progress, Project, Request
from proviso.training.weeks import Days


@dataclass(frozen=True)
class Study:
    """What is compared. Durations in microseconds.

    simulated: on made-up transactions that typically take `arrival_lag` to arrive. transactions:
    else where they lie, None: at the contract's location. days None: the
    last weeks of the data. source_delays: with which training is repeated; empty for none.
    """

    contracts: Path
    simulated: bool
    transactions: Path | None
    arrival_lag: int
    days: tuple[Days, Days] | None
    label_delay: int
    source_delays: Sequence[int]


def run_study(project: Project, study: Study, out: Path, progress: Progress) -> dict[str, Any]:
    """Trains after each join, writes leakage.html and leakage.json into `out`, returns the data."""
    out.mkdir(parents=True, exist_ok=True)
    with _transactions(project, study, out, progress) as source:
        request = _request(project, source, study)
        progress("comparing four joins")
        outcomes = incident(project, request, out / "work", progress)
        raised = []
        if study.source_delays:
            progress("raising source_delay")
            delays = raised_delays(project, request, study.source_delays, out / "work", progress)
            raised = list(delays)
        lag = study.arrival_lag if study.simulated else None
        data = as_data(Findings(project, request, lag, outcomes, raised))
    write_report(data, out)
    return data


def _request(project: Project, source: Path | None, study: Study) -> Request:
    if study.days is None:
        return last_request(project, source, study.label_delay)
    return Request(source, *study.days, study.label_delay)


@contextmanager
def _transactions(
    project: Project, study: Study, out: Path, progress: Progress
) -> Iterator[Path | None]:
    """What is given, or a simulated file that is removed at the end of the block."""
    if not study.simulated:
        yield study.transactions
        return
    with working_folder(out, "simulated") as work:
        made = work / "transactions.parquet"
        simulation = load_simulation(study.contracts, project.contract)
        progress("making up rows")
        simulate_transactions(
            project.contract, delayed_arrivals(simulation, study.arrival_lag), made
        )
        yield made
