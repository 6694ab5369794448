"""The days of a training run: a train span, days in which labels become known, a test span."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from feature_runtime.core.moments import DAY, format_moment, parse_day
from proviso.contracts.base import InputError
from proviso.contracts.contract import Contract
from proviso.contracts.places import observed_place
from proviso.history.clock import source_clock
from proviso.history.engines import history_engine

WEEK = 7 * DAY


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
        """First and last day, as `2026-01-31`."""
        return [format_moment(self.first)[:10], format_moment(self.last)[:10]]


@dataclass(frozen=True)
class Weeks:
    """Seven train days, whole days until their labels are known, then seven test days."""

    train: Days
    test: Days

    @property
    def text(self) -> str:
        (a, b), (c, d) = self.train.text(), self.test.text()
        return f"train {a} to {b}, test {c} to {d}"


def parse_days(text: Sequence[str]) -> Days:
    """The days of `Days.text()`. Raises ValueError."""
    first, last = map(parse_day, text)
    return Days(first, last)


def weeks_from(first: int, label_delay: int) -> Weeks:
    """The weeks whose first train day is `first`, a midnight."""
    test = first + WEEK + _whole_days(label_delay)
    return Weeks(Days(first, first + WEEK - DAY), Days(test, test + WEEK - DAY))


def weeks_until(end: int, label_delay: int) -> Weeks:
    """The weeks whose last test day is the last whole day before `end`."""
    return weeks_from(end - end % DAY - 2 * WEEK - _whole_days(label_delay), label_delay)


def last_weeks(
    contract: Contract, transactions: Path | None, label_delay: int, margin: int
) -> Weeks:
    """The last weeks of a file; a last day with less than half of its hours does not count.

    margin: how far a transaction may be ahead of the clock; later ones do not count. Raises
    InputError when the file cannot be used or is too short.
    """
    clock = source_clock(transactions, margin)
    with history_engine().open_transactions(contract, transactions, clock=clock) as loaded:
        summary = loaded.summary
    first, last = summary.first_event or 0, summary.last_event or 0
    weeks = weeks_until(last + DAY // 2, label_delay)
    if weeks.train.first < first:
        found = f"events from {format_moment(first)} to {format_moment(last)}"
        wanted = f"events from {format_moment(weeks.train.first)} on"
        why = "seven days train, then labels become known, then seven days test"
        code = "transactions_too_short"
        shown = observed_place(contract, transactions)
        raise InputError.of(shown, found, wanted, why, code=code)
    return weeks


def _whole_days(duration: int) -> int:
    """A duration rounded up to whole days."""
    return -(-duration // DAY) * DAY
