"""Splits the days of a transactions file into training, waiting for labels, and test."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from feature_runtime.core.moments import DAY, format_moment
from proviso.contracts.base import InputError
from proviso.contracts.contract import Contract
from proviso.history.engines import history_engine
from proviso.training.data import Days

WEEK = 7


@dataclass(frozen=True)
class Weeks:
    """Train days, then days in which labels become known, then test days; all whole, UTC."""

    train: Days
    test: Days

    @property
    def lines(self) -> str:
        (a, b), (c, d) = self.train.text(), self.test.text()
        return f"train {a} to {b}, test {c} to {d}"


def last_weeks(contract: Contract, transactions: Path) -> Weeks:
    """The last seven days test, the label delay before them waits, the seven before that train.

    A last day that the data only touches (less than half of it) does not count.
    Raises InputError when the file cannot be used.
    """
    with history_engine().open_transactions(contract, transactions) as loaded:
        summary = loaded.summary
    first, last = summary.first_event or 0, summary.last_event or 0
    half = DAY // 2
    end = (last + half) // DAY * DAY
    wait = -(-contract.source.label.delay // DAY) * DAY
    test = end - WEEK * DAY
    train = test - wait - WEEK * DAY
    if train < first:
        found = f"events from {format_moment(first)} to {format_moment(last)}"
        wanted = f"some from {format_moment(train)} on"
        why = "seven days train, then labels become known, then seven days test"
        raise InputError.of(transactions, found, wanted, why, code="transactions_too_short")
    return Weeks(Days(train, train + (WEEK - 1) * DAY), Days(test, end - DAY))
