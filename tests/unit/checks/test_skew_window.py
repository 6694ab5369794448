"""A skew test speaks only about moments at which a key must decide like the history."""

from __future__ import annotations

from pathlib import Path

import pytest

from feature_runtime.core.moments import HOUR, MINUTE
from proviso.checks.skew.window import (
    Inconclusive,
    Window,
    common,
    known_offline,
    lag_warnings,
    moment_in,
)
from proviso.history.duckdb.features import compute_history
from proviso.online.store import Watermark
from tests.history_data import ZERO, contract, event, write_transactions

MARGIN = 60
WINDOW = Window(940, 1_100, 1_000)


def test_the_latest_writer_opens_and_the_slowest_view_closes() -> None:
    marks = {"fast": Watermark(2_000, 990), "slow": Watermark(1_100, 1_000)}
    assert common(marks, MARGIN) == WINDOW


def test_views_that_share_no_moment_allow_none() -> None:
    marks = {"fast": Watermark(5_000, 4_000), "slow": Watermark(3_939, 1_000)}
    with pytest.raises(Inconclusive, match=r"is empty: fast was written .* slow is complete only"):
        common(marks, MARGIN)
    assert common(marks | {"slow": Watermark(3_940, 1_000)}, MARGIN).high == 3_940


@pytest.mark.parametrize("at", [940, 1_000, 1_100])
def test_a_moment_inside_is_taken(at: int) -> None:
    assert moment_in(WINDOW, at, 5_000) == at


@pytest.mark.parametrize("at", [0, 939, 1_101])
def test_a_moment_outside_is_not(at: int) -> None:
    with pytest.raises(Inconclusive, match="outside of the interval"):
        moment_in(WINDOW, at, 1_000)


@pytest.mark.parametrize(("clock", "at"), [(1_050, 1_050), (9_000, 1_100)])
def test_now_is_the_latest_moment_up_to_the_clock(clock: int, at: int) -> None:
    assert moment_in(WINDOW, None, clock) == at


def test_a_clock_before_the_interval_is_no_now() -> None:
    with pytest.raises(Inconclusive):
        moment_in(WINDOW, None, 900)


def test_a_now_of_long_ago_is_said() -> None:
    assert lag_warnings(1_100, 1_160, MARGIN, None) == ()
    assert "the watermark ends at" in lag_warnings(1_100, 1_161, MARGIN, None)[0]
    assert lag_warnings(1_100, 9_000, MARGIN, asked=1_100) == ()


def test_a_followed_view_is_judged_as_far_as_its_history_knows(tmp_path: Path) -> None:
    """buyer_stream is readable twelve minutes after an arrival; the last one is at ZERO."""
    owner = contract()
    views = [owner.view_by_name[name] for name in ("buyer_hourly", "buyer_stream")]
    source = write_transactions([event(at=ZERO - HOUR), event(at=ZERO)], "string", tmp_path / "t")
    compute_history(owner, source, tmp_path)
    wide = Window(ZERO, ZERO + HOUR, ZERO)
    found = known_offline(wide, owner, tmp_path, views)
    assert found.low == ZERO
    assert ZERO + 12 * MINUTE <= found.high + 1 <= ZERO + 12 * MINUTE + 1
    late = Window(ZERO + HOUR, ZERO + 2 * HOUR, ZERO)
    with pytest.raises(Inconclusive, match="bring the history up to date"):
        known_offline(late, owner, tmp_path, views)
    assert known_offline(late, owner, tmp_path, views[:1]) == late
