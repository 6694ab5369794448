"""The sample of a skew test holds every hard case that the history has, and says how many."""

from __future__ import annotations

from pathlib import Path

import pytest

from feature_runtime.core.availability import Row, Value, availability
from feature_runtime.core.moments import HOUR, MINUTE
from proviso.contracts.contract import FeatureView
from proviso.history.duckdb.entities import sample_entities
from proviso.history.values import EntityRow, Population, SampleRequest
from tests.history_data import ZERO, contract, write_history
from tests.stamps import Stamp, record_stamps

CONTRACT = contract()
HOURLY, _, PAIR, STREAM = CONTRACT.feature_views
T = ZERO + 12 * HOUR + 5 * MINUTE
"""Runs of noon have begun and are not readable; those of eleven have been for fifty minutes."""

WHOLE: tuple[Value, ...] = (1, 0, 2.5, 0.0, 0, False)


def at(hour: int, *values: Value, created: int | None = None) -> Row:
    run = ZERO + hour * HOUR
    planned = run + HOURLY.delay_to_readable if created is None else created
    return Row(run, planned, tuple(values) or WHOLE)


PEOPLE: dict[str, tuple[frozenset[str], tuple[Row, ...]]] = {
    "fresh": (frozenset({"fresh"}), (at(10), at(11))),
    "stale": (frozenset({"stale"}), (at(9),)),
    "expired": (frozenset({"expired"}), (at(3),)),
    "pending": (frozenset({"pending", "fresh"}), (at(11), at(12))),
    "first": (frozenset({"pending"}), (at(12),)),
    "lost": (frozenset({"fresh", "null"}), (at(11, 1, 0, None, 0.0, 0, False),)),
    "corrected": (frozenset({"fresh", "new"}), (at(11), at(11, created=T))),
    "other null": (frozenset({"fresh"}), (at(11, 1, None, 2.5, 0.0, 0, False),)),
}


def asked(size: int, seed: int = 1) -> SampleRequest:
    return SampleRequest(T, size, seed, ("sales_1h", "spent_3h"))


def sampled(history: Path, ask: SampleRequest, view: FeatureView = HOURLY) -> Population:
    return sample_entities(CONTRACT, history, view, ask)


@pytest.fixture
def history(tmp_path: Path) -> Path:
    rows = [EntityRow((who,), row) for who, (_, its) in PEOPLE.items() for row in its]
    rows += [EntityRow((f"crowd {i:03d}",), at(11)) for i in range(300)]
    write_history(CONTRACT, HOURLY, rows, tmp_path)
    return tmp_path


def test_every_hard_case_is_in_the_sample_with_the_rows_that_decide(history: Path) -> None:
    found = {one.ids[0]: one for one in sampled(history, asked(100)).sampled}
    assert len(found) == 100
    for who, (strata, rows) in PEOPLE.items():
        if strata != {"fresh"}:
            assert found[who].strata == strata, who
            usable = [row for row in rows if T - HOURLY.temporal_join_lookback <= row.event_ts]
            assert list(found[who].rows) == usable, who


def test_some_of_the_sample_have_never_been_seen(history: Path) -> None:
    unseen = [one for one in sampled(history, asked(100)).sampled if "unseen" in one.strata]
    assert len(unseen) == 10
    assert {one.rows for one in unseen} == {()}


def test_the_whole_view_is_counted(history: Path) -> None:
    sizes = sampled(history, asked(20)).sizes
    wanted = {"stale": 1, "expired": 1, "pending": 2, "new": 1, "null": 1, "fresh": 305}
    assert sizes == wanted


def test_the_seed_decides_who_is_asked(history: Path) -> None:
    first = sampled(history, asked(50))
    assert sampled(history, asked(50)) == first
    assert {o.ids for o in sampled(history, asked(50, 2)).sampled} != {o.ids for o in first.sampled}


def test_who_should_be_unseen_and_is_known_after_all_is_judged_by_its_rows(tmp_path: Path) -> None:
    write_history(CONTRACT, HOURLY, [EntityRow(("unseen-1-0000",), at(11))], tmp_path)
    [one] = [o for o in sampled(tmp_path, asked(10)).sampled if o.ids == ("unseen-1-0000",)]
    assert one.rows == (at(11),)


def test_a_stamp_decides_when_a_row_was_readable(history: Path) -> None:
    row = at(11)
    stamp = Stamp(("fresh",), row.event_ts, row.created_ts, T + MINUTE, T + MINUTE)
    record_stamps(CONTRACT, history, HOURLY, [stamp])
    found = {one.ids[0]: one for one in sampled(history, asked(350)).sampled}["fresh"]
    assert found.strata == {"stale", "pending"}
    assert availability(HOURLY.times, found.rows, T)[0] == at(10)


def test_of_conflicting_rows_the_first_in_the_file_is_first(tmp_path: Path) -> None:
    first, second = at(11, 9, 0, 2.5, 0.0, 0, False), at(11)
    rows = [EntityRow(("twice",), first), EntityRow(("twice",), second)]
    write_history(CONTRACT, HOURLY, rows, tmp_path)
    [one] = [o for o in sampled(tmp_path, asked(10)).sampled if o.ids == ("twice",)]
    assert availability(HOURLY.times, one.rows, T)[0] == first


def test_views_of_two_entities_and_on_event_are_sampled_too(tmp_path: Path) -> None:
    pair = EntityRow(("b1", "s1"), Row(T - 2 * HOUR, T - HOUR, (3,)))
    write_history(CONTRACT, PAIR, [pair], tmp_path)
    known, unseen = sampled(tmp_path, SampleRequest(T, 10, 1, ("visits",)), PAIR).sampled
    assert (known.ids, known.rows) == (("b1", "s1"), (pair.row,))
    assert known.strata == {"fresh"}
    assert unseen.ids == ("unseen-1-0000", "unseen-1-0000")
    live = EntityRow(("b1",), Row(T - 13 * MINUTE, T - MINUTE, (1, 2.0, 0)))
    write_history(CONTRACT, STREAM, [live], tmp_path)
    streamed = sampled(tmp_path, SampleRequest(T, 10, 1, ("last_hour",)), STREAM).sampled[0]
    assert streamed.strata == {"new", "fresh"}
    assert streamed.rows == (live.row,)
