"""Days and clocks of a draft, from the moments of the rows."""

from __future__ import annotations

from feature_runtime.core.moments import DAY
from proviso.contracts.base import InputError
from proviso.survey.drafted import Clocks, DraftSource, Span
from proviso.survey.facts import ColumnFacts
from proviso.survey.roles import Roles

MINUTE = 60 * 1_000_000
HOUR = 60 * MINUTE
_MOST_ROWS = 5_000_000
"""Rows of history of an entity above which a view is computed once a day."""


def span_of(roles: Roles) -> Span:
    """The last tenth of the days with labels to test on, four of five before it to train on."""
    moment = _moment(roles)
    first, end = (int(value or 0) // DAY * DAY for value in (moment.low, moment.high))
    last = min(end, _last_label(roles) // DAY * DAY)
    days = (last - first) // DAY + 1
    if days < 4:
        found, wanted = (
            f"labelled rows of {days} days",
            "at least four: some to train on, one to test on",
        )
        why = "docs/bring-your-own-data.md says what for"
        raise InputError.of(roles.table.place, found, wanted, why, code="data_too_short")
    test_start = last - max(1, days // 10) * DAY
    return Span(first, last, end, first + days // 5 * DAY, test_start - DAY, test_start)


def label_delay(roles: Roles) -> int:
    """How long after a row its label is known where no column says it: a guess in whole days."""
    assert roles.label is not None
    if roles.known_at(roles.label.column):
        return 0
    missing = int(_moment(roles).high or 0) - _last_label(roles)
    return max(1, -(-missing // DAY)) * DAY


def _moment(roles: Roles) -> ColumnFacts:
    assert roles.moment is not None
    return roles.table.column(roles.moment.column)


def _last_label(roles: Roles) -> int:
    """The moment of the last sampled row whose label is known; of the last row if all are."""
    assert roles.label is not None
    moment, label = _moment(roles), roles.table.column(roles.label.column)
    high = int(moment.high or 0)
    if not label.nulls:
        return high
    pairs = zip(moment.sample, label.sample, strict=True)
    return max((int(at) for at, fact in pairs if at is not None and fact is not None), default=high)


def clocks_of_events(source: DraftSource, distinct: int, days: int, longest: int) -> Clocks:
    """Runs every six hours, or every day where that would make very many rows.

    days: of the data. longest: how long before a run an event may lie that is counted.
    """
    rows = distinct * (days * DAY // (6 * HOUR) + 1)
    schedule, duration = (6 * HOUR, 5 * MINUTE) if rows <= _MOST_ROWS else (DAY, 15 * MINUTE)
    delay = source_delay(source.roles)
    slo, ttl = _lives(schedule + duration + delay)
    lookback = max(7 * DAY, -(-2 * ttl // DAY) * DAY)
    return Clocks(schedule, duration, delay, slo, ttl, lookback, max(longest, lookback))


def clocks_of_table(source: DraftSource) -> Clocks:
    """A row serves for three times as long as keys usually wait for the next, at least two days."""
    table = source.roles.table
    moment = _moment(source.roles)
    span = int(moment.high or 0) - int(moment.low or 0)
    keys = max((table.column(key.physical).distinct for key in source.keys), default=1)
    usual = span * keys // table.rows
    schedule, duration = (HOUR, 5 * MINUTE) if usual < 12 * HOUR else (DAY, 15 * MINUTE)
    delay = source_delay(source.roles)
    slo, ttl = _lives(schedule + duration + delay)
    slo = max(slo, -(-usual // DAY) * DAY)
    # One row of each key, as in a register: it counts for as long as there is none later.
    ttl = max(ttl, 3 * slo) if keys < table.rows else -(-(span + 365 * DAY) // DAY) * DAY
    slo = min(slo, ttl) if keys < table.rows else ttl
    lookback = -(-2 * ttl // DAY) * DAY
    return Clocks(schedule, duration, delay, slo, ttl, lookback, lookback)


def _lives(cycle: int) -> tuple[int, int]:
    """The promised age and the greatest, of rows that a cycle takes."""
    slo = -(-cycle // HOUR) * HOUR
    return slo, -(-105 * slo // (100 * HOUR)) * HOUR


def source_delay(roles: Roles) -> int:
    """How long after an event nearly all sampled rows have arrived, in whole ten minutes."""
    if roles.arrival is None or roles.moment is None:
        return 10 * MINUTE
    events = roles.table.column(roles.moment.column).sample
    arrivals = roles.table.column(roles.arrival.column).sample
    delays = sorted(
        arrival - event
        for event, arrival in zip(events, arrivals, strict=True)
        if isinstance(event, int) and isinstance(arrival, int)
    )
    usual = delays[int(0.95 * (len(delays) - 1))] if delays else 0
    return min(max(10 * MINUTE, -(-usual // (10 * MINUTE)) * 10 * MINUTE), DAY)
