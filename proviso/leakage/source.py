"""The data of a leakage run: simulated late arrivals, or the last weeks of a file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from feature_runtime.core.moments import DAY, format_moment
from proviso.contracts.base import InputError
from proviso.history.engines import history_engine
from proviso.simulation.spec import Simulation
from proviso.training.data import Project, Request
from proviso.training.examples import example_request

_PUNCTUAL = 4
"""Arrivals beyond this many typical lags are late: one in fifty of an exponential."""


def delayed_arrivals(spec: Simulation, lag: int) -> Simulation:
    """The simulation with another typical lag; late arrivals stay beyond nearly all others."""
    arrival = spec.arrival
    late = max(arrival.late_from, _PUNCTUAL * lag)
    changed = arrival.model_copy(update={"typical": lag, "late_from": late})
    return spec.model_copy(update={"arrival": changed})


def last_request(project: Project, transactions: Path, label_delay: int) -> Request:
    """The last week tests, the one before waits for labels, the one before trains.

    A last day that the data only touches does not count. Raises InputError.
    """
    with history_engine().open_transactions(project.contract, transactions) as loaded:
        summary = loaded.summary
    first, last = summary.first_event or 0, summary.last_event or 0
    request = example_request(project, transactions, last + DAY // 2)
    if request.train.first < first:
        found = f"events from {format_moment(first)} to {format_moment(last)}"
        wanted = f"some from {format_moment(request.train.first)} on, or four days"
        raise InputError.of(transactions, found, wanted, code="transactions_too_short")
    return replace(request, label_delay=label_delay)
