"""The data of a leakage run: simulated late arrivals, or the last weeks of a file."""

from __future__ import annotations

from pathlib import Path

from proviso.simulation.spec import Simulation
from proviso.training.data import Project, Request
from proviso.training.weeks import last_weeks

_PUNCTUAL = 4
"""Arrivals beyond this many typical lags are late: one in fifty of an exponential."""


def delayed_arrivals(spec: Simulation, lag: int) -> Simulation:
    """The simulation with another typical lag; late arrivals stay beyond nearly all others."""
    arrival = spec.arrival
    late = max(arrival.late_from, _PUNCTUAL * lag)
    changed = arrival.model_copy(update={"typical": lag, "late_from": late})
    return spec.model_copy(update={"arrival": changed})


def last_request(project: Project, transactions: Path | None, label_delay: int) -> Request:
    """The last weeks of a file: train, wait for the labels, test. Raises InputError."""
    weeks = last_weeks(project.contract, transactions, label_delay, project.plan.clock_margin)
    return Request(transactions, weeks.train, weeks.test, label_delay)
