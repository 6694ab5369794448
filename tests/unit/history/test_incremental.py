"""What an update and a backfill compute, keep, append and refuse."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from feature_runtime.core.availability import Row
from feature_runtime.core.moments import DAY, HOUR, MINUTE
from proviso.contracts.contract import Contract
from proviso.history.duckdb.features import compute_history
from proviso.history.duckdb.incremental import backfill_history, update_history
from proviso.history.extent import EXTENT_KEY
from proviso.history.files import history_file
from proviso.history.values import Event, HistorySummary
from proviso.simulation.simulate import simulate
from tests.history_data import (
    LABEL_DELAY,
    ZERO,
    contract,
    event,
    labelled,
    read_history,
    write_transactions,
)
from tests.parcel_data import make
from tests.problems import refused
from tests.program import call

FIRST, SECOND = ZERO + DAY, ZERO + 2 * DAY
"""Ends of two days of sales."""


SPENT = {0: (1.0, 0.01), HOUR: (1.0, 0.01), 2 * HOUR: (2.03, 1.04)}
"""What b0 has spent in three hours, before and after the price of the first sale is 1."""


def sales_until(end: int) -> list[Event]:
    """One every 25 minutes from ZERO on, in order of arrival."""
    return [
        event(f"b{n % 3}", f"s{n % 2}", ZERO + n * 25 * MINUTE, price=100 + n)
        for n in range(-(-(end - ZERO) // (25 * MINUTE)))
    ]


@dataclass(frozen=True)
class Shop:
    """A directory with a history of the test contract."""

    out: Path
    owner: Contract

    def source(self, sales: Sequence[Event]) -> Path:
        return write_transactions(sales, "string", self.out / "sales.parquet")

    def update(
        self, sales: Sequence[Event], as_of: int | None = None, dry_run: bool = False
    ) -> HistorySummary:
        source = self.source(sales)
        return update_history(self.owner, source, self.out, as_of, dry_run=dry_run)

    def backfill(
        self, sales: Sequence[Event], as_of: int | None, dry_run: bool = False
    ) -> HistorySummary:
        source = self.source(sales)
        return backfill_history(self.owner, source, self.out, ZERO, FIRST, as_of, dry_run=dry_run)

    def path(self, name: str) -> Path:
        return history_file(self.out, self.owner.view_by_name[name])

    def rows(self, name: str) -> dict[tuple[object, ...], list[Row]]:
        found: dict[tuple[object, ...], list[Row]] = {}
        for ids, row in read_history(self.owner, self.owner.view_by_name[name], self.out):
            found.setdefault(ids, []).append(row)
        return found

    def digest(self) -> dict[str, str]:
        return {
            path.name: hashlib.sha256(path.read_bytes()).hexdigest()
            for path in self.out.iterdir()
            if path.name != "sales.parquet"
        }


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path, contract())


def _runs(done: HistorySummary) -> dict[str, int]:
    return {view.view: view.runs for view in done.views}


def test_a_day_more_computes_the_runs_of_one_day(shop: Shop) -> None:
    shop.update(sales_until(FIRST), FIRST)
    kept = {v.name: len(read_history(shop.owner, v, shop.out)) for v in shop.owner.feature_views}
    arrivals = [s for s in sales_until(SECOND) if s.arrival_ts >= FIRST]
    done = shop.update(sales_until(SECOND), SECOND)
    assert _runs(done) == {
        "buyer_hourly": 24,
        "shop_daily": 1,
        "buyer_at_shop": 8,
        "buyer_stream": len(arrivals),
    }
    assert {view.view: view.kept for view in done.views} == kept
    assert all(view.start >= FIRST - 10 * MINUTE for view in done.views)


def test_a_second_update_computes_and_writes_nothing(shop: Shop) -> None:
    shop.update(sales_until(FIRST), FIRST)
    before = shop.digest()
    assert set(_runs(shop.update(sales_until(FIRST), FIRST)).values()) == {0}
    assert shop.digest() == before


def test_by_default_a_file_is_whole_up_to_its_last_arrival(shop: Shop) -> None:
    start = [event(at=ZERO), event("b2", at=ZERO + 3 * HOUR + 10 * MINUTE)]
    shop.update(start)
    assert {row.event_ts for row in shop.rows("buyer_hourly")["b1",]} == {
        ZERO + hour * HOUR for hour in range(4)
    }
    late = event("b3", at=ZERO + 3 * HOUR - 5, late=10 * MINUTE + 6)
    done = shop.update([*start, late])
    assert _runs(done)["buyer_hourly"] == 0


def test_runs_that_had_not_started_at_the_last_arrival_are_computed_again(shop: Shop) -> None:
    begun = [event(at=ZERO), event(at=ZERO + 2 * HOUR + MINUTE)]
    compute_history(shop.owner, shop.source(begun), shop.out)
    run = ZERO + 2 * HOUR
    assert shop.rows("buyer_hourly")["b1",][-1].event_ts == run
    more = event(at=run, late=9 * MINUTE)
    done = shop.update([*begun, more], run + HOUR)
    assert _runs(done)["buyer_hourly"] == 1
    assert [row.values[0] for row in shop.rows("buyer_hourly")["b1",]] == [1, 0, 1]


def _one_more_early(sales: list[Event]) -> list[Event]:
    return [*sales, event(at=ZERO + HOUR)]


def _one_less(sales: list[Event]) -> list[Event]:
    return sales[1:]


def _another_price(sales: list[Event]) -> list[Event]:
    return [replace(sales[0], columns={**sales[0].columns, "price": 1}), *sales[1:]]


def _another_label(sales: list[Event]) -> list[Event]:
    return [labelled(sales[0], True, ZERO + LABEL_DELAY), *sales[1:]]


@pytest.mark.parametrize("change", [_one_more_early, _one_less, _another_price, _another_label])
def test_transactions_that_were_used_may_not_change(
    shop: Shop, change: Callable[[list[Event]], list[Event]]
) -> None:
    shop.update(sales_until(FIRST), FIRST)
    before = shop.digest()
    with refused("transactions_changed") as problems:
        shop.update(change(sales_until(SECOND)), SECOND)
    assert "proviso features --backfill" in problems[0].why
    assert shop.digest() == before


def test_a_label_that_was_not_known_yet_may_still_come(shop: Shop) -> None:
    sales = sales_until(FIRST)
    unknown = [*sales[:-1], labelled(sales[-1], None)]
    shop.update(unknown, FIRST)
    shop.update([*sales[:-1], labelled(sales[-1], True, FIRST + HOUR)], SECOND)


def test_a_history_of_another_definition_is_refused(shop: Shop) -> None:
    shop.update(sales_until(FIRST), FIRST)
    view = shop.owner.feature_views[0]
    wider = view.model_copy(update={"population": view.population + HOUR})
    views = [wider, *shop.owner.feature_views[1:]]
    other = Shop(shop.out, shop.owner.model_copy(update={"feature_views": views}))
    with refused("history_schema_mismatch"):
        other.update(sales_until(SECOND), SECOND)


def test_a_history_that_was_cut_or_says_nothing_is_refused(shop: Shop) -> None:
    shop.update(sales_until(FIRST), FIRST)
    path = shop.path("buyer_hourly")
    table = pq.read_table(path)
    pq.write_table(table.slice(0, table.num_rows - 1), path)
    with refused("history_rows_mismatch"):
        shop.update(sales_until(SECOND), SECOND)
    for metadata, code in (
        ({}, "history_extent_missing"),
        ({EXTENT_KEY: "{}"}, "history_extent_invalid"),
    ):
        pq.write_table(table.replace_schema_metadata(metadata), path)
        with refused(code):
            shop.update(sales_until(SECOND), SECOND)


def test_all_files_are_judged_before_one_is_written(shop: Shop) -> None:
    shop.update(sales_until(FIRST), FIRST)
    last = shop.path("buyer_stream")
    pq.write_table(pq.read_table(last).replace_schema_metadata({}), last)
    before = shop.digest()
    with refused("history_extent_missing"):
        shop.update(sales_until(SECOND), SECOND)
    assert shop.digest() == before


def test_a_dry_run_counts_and_writes_nothing(shop: Shop) -> None:
    assert _runs(shop.update(sales_until(FIRST), FIRST, dry_run=True))["shop_daily"] == 1
    assert shop.digest() == {}
    shop.update(sales_until(FIRST), FIRST)
    before = shop.digest()
    would = shop.update(sales_until(SECOND), SECOND, dry_run=True)
    corrected = shop.backfill(_another_price(sales_until(FIRST)), FIRST, dry_run=True)
    assert shop.digest() == before
    assert _runs(would) == _runs(shop.update(sales_until(SECOND), SECOND))
    assert sum(view.rows for view in corrected.views) > 0


def test_a_correction_adds_rows_where_values_differ_and_edits_none(shop: Shop) -> None:
    sales = sales_until(FIRST)
    shop.update(sales, FIRST)
    before = {name: shop.rows(name) for name in shop.owner.view_by_name}
    shop.backfill(_another_price(sales), FIRST + 7)
    name, takes = "buyer_hourly", 5 * MINUTE
    for ids, rows in shop.rows(name).items():
        added = [row for row in rows if row not in before[name][ids]]
        assert [row for row in rows if row not in added] == before[name][ids]
        old = {row.event_ts: row for row in before[name][ids]}
        assert [(row.event_ts - ZERO) // HOUR for row in added] == (
            [0, 1, 2] if ids == ("b0",) else []
        )
        for row in added:
            assert row.created_ts == FIRST + 7 + takes
            assert (old[row.event_ts].values[2], row.values[2]) == SPENT[row.event_ts - ZERO]
    shop.update(_another_price(sales_until(SECOND)), SECOND)


def test_whoever_the_correction_finds_or_loses_is_corrected_too(shop: Shop) -> None:
    sales = [event("b1", at=ZERO), event("b2", at=ZERO + 30 * MINUTE)]
    shop.update(sales, FIRST)
    moved = replace(sales[0], ids={"buyer_id": "b9", "shop_id": "s1"})
    shop.backfill([moved, sales[1]], FIRST)
    found, lost = (shop.rows("buyer_hourly")[ids,] for ids in ("b9", "b1"))
    assert [(row.event_ts, row.values[0]) for row in found[:2]] == [(ZERO, 1), (ZERO + HOUR, 0)]
    assert [row.values[0] for row in lost if row.event_ts == ZERO] == [1, 0]
    assert [row.values[2] for row in lost if row.event_ts == ZERO] == [10.0, 0.0]


def test_an_event_time_that_was_wrong_keeps_its_row_with_what_is_true(shop: Shop) -> None:
    sales = [event(at=ZERO, price=300), event(at=ZERO + HOUR, price=500)]
    shop.update(sales, FIRST)
    earlier = replace(sales[1], event_ts=ZERO - HOUR, arrival_ts=sales[1].arrival_ts)
    shop.backfill([sales[0], earlier], FIRST)
    rows = {row.event_ts: row.values[1] for row in shop.rows("buyer_stream")["b1",]}
    assert rows == {ZERO: 8.0, ZERO + HOUR: 3.0}


def test_a_correction_comes_after_the_one_before_it(shop: Shop) -> None:
    sales = sales_until(FIRST)
    shop.update(sales, FIRST)
    shop.backfill(_another_price(sales), FIRST + HOUR)
    with refused("backfill_out_of_order"):
        shop.backfill(sales, FIRST + HOUR)
    shop.backfill(sales, FIRST + 2 * HOUR)
    rows = [row for row in shop.rows("buyer_hourly")["b0",] if row.event_ts == ZERO]
    assert [row.values[2] for row in rows] == [1.0, 0.01, 1.0]


def test_by_default_a_correction_is_readable_from_now_on(shop: Shop) -> None:
    sales = sales_until(FIRST)
    shop.update(sales)
    done = shop.backfill(_another_price(sales), None)
    assert _runs(done)["buyer_hourly"] == 24
    rows = [row for row in shop.rows("buyer_hourly")["b0",] if row.event_ts == ZERO]
    assert rows[1].created_ts > SECOND
    assert max(row.event_ts for row in shop.rows("buyer_hourly")["b0",]) < FIRST


def test_the_command_adds_a_day_and_corrects_one(tmp_path: Path) -> None:
    end = ZERO + DAY
    project = make(tmp_path, end, couriers=5, days=2)
    base = ("--contracts", project.contracts, "features", "--transactions")
    todo = (*base, project.transactions, "--out", project.history)
    again = call(*todo, "--update", "--as-of", "2020-09-14", "--json")
    assert again.code == 0, again.err
    simulate(project.contracts, project.contract, tmp_path / "other.parquet", 2, 6, end)
    other = (*base, tmp_path / "other.parquet", "--out", project.history)
    assert "features --backfill" in call(*other, "--update").err
    done = call(*other, "--backfill", "--start", "2020-09-13", "--json")
    assert sum(view["rows"] for view in done.json["views"]) > 0
    assert call(*other, "--update").code == 0


@pytest.mark.parametrize(
    "options",
    [
        ("--update", "--backfill", "--start", "2020-01-01"),
        ("--update", "--start", "2020-01-01"),
        ("--backfill",),
        ("--as-of", "now"),
    ],
)
def test_options_that_say_nothing_together_are_refused(
    tmp_path: Path, options: tuple[str, ...]
) -> None:
    root = Path(__file__).parents[3] / "contracts"
    done = call(
        "--contracts", root, "features", "--transactions", tmp_path, "--out", tmp_path, *options
    )
    assert done.code == 2
    assert "wanted" in done.err
