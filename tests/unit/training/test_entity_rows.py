"""The rows that the certificate gives to the availability rule: enough, and few."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feature_runtime.core.availability import Row, Status, ViewTimes, availability
from proviso.training import entity_rows
from proviso.training.entity_rows import EntityRows

TIMES = ViewTimes(source_delay=2, lookback=400, ttl=50)


def _whole(rows: EntityRows, t: int) -> tuple[Row | None, Status]:
    pairs = zip(rows.events, rows.created, strict=True)
    return availability(TIMES, [Row(e, c, (), i) for i, (e, c) in enumerate(pairs)], t)


@given(
    pairs=st.lists(st.tuples(st.integers(0, 600), st.integers(0, 300)), max_size=80),
    t=st.integers(0, 900),
)
def test_the_winner_is_that_of_all_rows(pairs: list[tuple[int, int]], t: int) -> None:
    ordered = sorted((event, event + late) for event, late in pairs)
    rows = EntityRows(0, [e for e, _ in ordered], [c for _, c in ordered])
    assert rows.winner_at(TIMES, t) == _whole(rows, t)


@pytest.mark.parametrize("pending", [0, 9, 60, 500])
def test_a_busy_entity_costs_what_is_on_its_way_not_its_history(
    pending: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A row each microsecond, the last `pending` of which are not readable yet."""
    given_rows = 0

    def counting(times: ViewTimes, rows: Iterable[Row], t: int) -> tuple[Row | None, Status]:
        nonlocal given_rows
        known = list(rows)
        given_rows += len(known)
        return availability(times, known, t)

    monkeypatch.setattr(entity_rows, "availability", counting)
    events = list(range(100_000))
    rows = EntityRows(0, events, [event + pending for event in events])
    times = ViewTimes(source_delay=0, lookback=100_000, ttl=50_000)
    winner, _ = rows.winner_at(times, events[-1])
    assert winner is not None
    assert winner.event_ts == events[-1] - pending
    assert given_rows <= 8 + 6 * pending
