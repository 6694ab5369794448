"""What `features` writes: rows by the rules of docs/time.md, and nothing from later on."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from feature_runtime.core.availability import Row
from feature_runtime.core.moments import DAY, HOUR, MINUTE
from proviso.contracts.base import ContractError
from proviso.contracts.contract import Contract, FeatureView, Scheduled
from proviso.history.duckdb.features import compute_history
from proviso.history.files import MOMENT, SCHEMA_KEY, history_file
from proviso.history.values import EntityRow, Event
from tests.history_data import (
    LABEL,
    ZERO,
    contract,
    event,
    labelled,
    random_events,
    read_history,
    read_rows,
    write_transactions,
)
from tests.problems import refused

READABLE = 15 * MINUTE


def _history(
    work: Path, events: list[Event], start: int | None = None, end: int | None = None
) -> dict[str, list[EntityRow]]:
    owner = contract()
    source = write_transactions(events, "string", work / "sales.parquet")
    compute_history(owner, source, work, start, end)
    return {view.name: read_history(owner, view, work) for view in owner.feature_views}


def _counts(rows: list[EntityRow]) -> dict[int, object]:
    """The first feature by hours since ZERO."""
    return {(r.row.event_ts - ZERO) // HOUR: r.row.values[0] for r in rows}


def test_a_window_is_open_at_its_start_and_closed_at_its_end(tmp_path: Path) -> None:
    sales = [event(at=ZERO), event(at=ZERO + 1)]
    rows = _history(tmp_path, sales, ZERO, ZERO + 3 * HOUR)["buyer_hourly"]
    assert _counts(rows) == {0: 1, 1: 1, 2: 0}


def test_a_late_sale_counts_from_the_first_run_that_can_know_it(tmp_path: Path) -> None:
    delay = 10 * MINUTE
    in_time = event(buyer="b1", at=ZERO - 1, late=delay + 1)
    too_late = event(buyer="b2", at=ZERO - 1, late=delay + 2)
    rows = _history(tmp_path, [in_time, too_late], ZERO, ZERO + 2 * HOUR)["buyer_hourly"]
    found = [(r.ids, (r.row.event_ts - ZERO) // HOUR, r.row.values[0]) for r in rows]
    assert found == [(("b1",), 0, 1), (("b1",), 1, 0), (("b2",), 1, 0)]


def test_a_row_is_readable_after_delay_and_duration(tmp_path: Path) -> None:
    rows = _history(tmp_path, [event(at=ZERO)], ZERO, ZERO + HOUR)["buyer_hourly"]
    assert [(r.row.event_ts, r.row.created_ts) for r in rows] == [(ZERO, ZERO + READABLE)]


def test_an_idle_entity_keeps_rows_of_zeros_until_its_population_ends(tmp_path: Path) -> None:
    rows = _history(tmp_path, [event(at=ZERO)], ZERO, ZERO + 9 * HOUR)["buyer_hourly"]
    assert _counts(rows) == {0: 1, 1: 0, 2: 0, 3: 0, 4: 0, 5: 0}


def test_a_return_counts_when_it_becomes_known_whenever_the_sale_was(tmp_path: Path) -> None:
    sale = event(at=ZERO, label=True, known=ZERO + 4 * HOUR, pieces=3)
    rows = _history(tmp_path, [sale], ZERO, ZERO + DAY)["buyer_hourly"]
    assert [r.row.values[4] for r in rows] == [0, 0, 0, 0, 3, 3]


def test_money_is_divided_once_at_the_end(tmp_path: Path) -> None:
    sales = [event(at=ZERO, price=10), event(at=ZERO, price=20)]
    rows = _history(tmp_path, sales, ZERO, ZERO + HOUR)["buyer_hourly"]
    assert rows[0].row.values[2] == 0.3  # 0.1 + 0.2 in doubles is another number


def test_a_ratio_without_a_whole_is_null(tmp_path: Path) -> None:
    rows = _history(tmp_path, [event(at=ZERO)], ZERO, ZERO + 2 * DAY)["shop_daily"]
    assert [r.row.values for r in rows] == [(None,), (0.0,)]


def test_one_row_per_arrival_moment_on_event(tmp_path: Path) -> None:
    sales = [
        event(at=ZERO, late=5),
        event(at=ZERO + 5),
        event(at=ZERO + 3, late=HOUR),
    ]
    rows = _history(tmp_path, sales)["buyer_stream"]
    readable = 12 * MINUTE
    assert [r.row for r in rows] == [
        Row(ZERO + 5, ZERO + 5 + readable, (2, 20.0, 0)),
        Row(ZERO + 5, ZERO + 3 + HOUR + readable, (3, 30.0, 0)),
    ]


def test_by_default_runs_go_from_the_first_event_to_the_last_arrival(tmp_path: Path) -> None:
    sales = [event(at=ZERO + 1), event(at=ZERO + 2 * HOUR, late=2 * HOUR)]
    rows = _history(tmp_path, sales)["buyer_hourly"]
    assert list(_counts(rows)) == [1, 2, 3, 4]


def test_rows_are_sorted_by_event_time_and_keys(tmp_path: Path) -> None:
    sales = [event(f"b{n}", f"s{n % 7}", ZERO + n * MINUTE) for n in range(0, 600, 7)]
    for name, rows in _history(tmp_path, sales).items():
        order = [(r.row.event_ts, r.ids, r.row.created_ts) for r in rows]
        assert order == sorted(order), name


def test_the_file_states_its_types_and_the_schema_of_its_view(tmp_path: Path) -> None:
    _history(tmp_path, [event()])
    owner = contract()
    view = owner.view_by_name["buyer_hourly"]
    schema = pq.read_schema(history_file(tmp_path, view))
    assert schema.field("event_ts").type == schema.field("created_ts").type == MOMENT
    assert schema.names[:3] == ["buyer_id", "event_ts", "created_ts"]
    assert schema.metadata[SCHEMA_KEY.encode()].decode() == owner.schema_of(view)


def test_cutting_later_sales_and_blanking_unknown_labels_changes_no_earlier_row(
    tmp_path: Path,
) -> None:
    sales = [
        event(
            f"b{n % 3}",
            f"s{n % 2}",
            ZERO + n * 17 * MINUTE,
            late=n % 5 * 9 * MINUTE,
            label=n % 2 == 0,
        )
        for n in range(120)
    ]
    cut = ZERO + 20 * HOUR
    known = [_as_known(sale, cut) for sale in sales if sale.arrival_ts <= cut]
    (tmp_path / "cut").mkdir()
    whole = _history(tmp_path, sales, ZERO, cut + HOUR)
    short = _history(tmp_path / "cut", known, ZERO, cut + HOUR)
    for view in contract().feature_views:
        rows, others = (
            [r for r in history[view.name] if _read_at(view, r.row) <= cut]
            for history in (whole, short)
        )
        assert rows == others != []


def _read_at(view: FeatureView, row: Row) -> int:
    """The moment at which a row's inputs were read: its run's start, or the arrival."""
    if isinstance(view.publication, Scheduled):
        return row.event_ts + view.source_delay
    return row.created_ts - view.delay_to_readable


def _as_known(sale: Event, now: int) -> Event:
    known = sale.known[LABEL]
    return sale if known is not None and known <= now else labelled(sale, None)


def test_a_span_computes_the_same_rows_as_the_whole(tmp_path: Path) -> None:
    sales = [event(f"b{n % 3}", at=ZERO + n * 29 * MINUTE) for n in range(60)]
    (tmp_path / "part").mkdir()
    start, end = ZERO + 5 * HOUR + 1, ZERO + 9 * HOUR
    whole = _history(tmp_path, sales)["buyer_hourly"]
    part = _history(tmp_path / "part", sales, start, end)["buyer_hourly"]
    assert part == [r for r in whole if start <= r.row.event_ts < end]


def test_little_memory_gives_the_same_history(tmp_path: Path) -> None:
    sales = [event(f"b{n % 97}", at=ZERO + n * 3 * MINUTE, price=n) for n in range(3_000)]
    source = write_transactions(sales, "string", tmp_path / "sales.parquet")
    view = contract().view_by_name["buyer_hourly"]
    for memory in ("4GB", "64MB"):
        compute_history(contract(), source, tmp_path / memory, views=[view.name], memory=memory)
    much, little = (read_rows(history_file(tmp_path / m, view)) for m in ("4GB", "64MB"))
    assert much == little


def test_entities_computed_in_many_parts_give_the_same_history(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sales = random_events(3, "string", 80)
    (tmp_path / "parts").mkdir()
    whole = _history(tmp_path, sales)
    monkeypatch.setattr("proviso.history.duckdb.features._CELLS", 1)
    assert _history(tmp_path / "parts", sales) == whole


def test_only_asked_views_are_computed(tmp_path: Path) -> None:
    source = write_transactions([event()], "string", tmp_path / "sales.parquet")
    done = compute_history(contract(), source, tmp_path / "out", views=["shop_daily"])
    assert [v.view for v in done.views] == ["shop_daily"]
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["shop_daily.parquet"]
    with refused("view_unknown") as problems:
        compute_history(contract(), source, tmp_path / "out", views=["nothing_such"])
    assert problems[0].found == "nothing_such"


def test_no_sale_at_all_is_refused(tmp_path: Path) -> None:
    source = write_transactions([], "string", tmp_path / "sales.parquet")
    with refused("no_transactions"):
        compute_history(contract(), source, tmp_path)


def test_a_failure_leaves_the_earlier_file_as_it_was(tmp_path: Path) -> None:
    view = contract().view_by_name["shop_daily"]
    path = history_file(tmp_path, view)
    path.write_text("before")
    source = write_transactions([event()], "string", tmp_path / "sales.parquet")
    with pytest.raises(ContractError):
        compute_history(_with_sql("bad / judged / 2"), source, tmp_path, views=["shop_daily"])
    assert path.read_text() == "before"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["sales.parquet", "shop_daily.parquet"]


def test_sql_that_may_not_be_stated_is_refused_with_its_place(tmp_path: Path) -> None:
    source = write_transactions([event()], "string", tmp_path / "sales.parquet")
    with refused("scalar_sql_invalid", by=ContractError) as problems:
        compute_history(_with_sql("random()"), source, tmp_path)
    assert problems[0].path == "feature_views[shop_daily].features[return_share].sql"


def test_amounts_near_the_limit_are_summed_exactly(tmp_path: Path) -> None:
    """1,400 of them are beyond 64 bits, within one run and within one arrival."""
    sales = [event(at=ZERO - n % 2, late=n % 2, price=7 * 10**15) for n in range(1_400)]
    found = _history(tmp_path, sales, ZERO, ZERO + HOUR)
    assert [row.row.values[2] for row in found["buyer_hourly"]] == [1_400 * 7e13]
    assert [row.row.values[1] for row in found["buyer_stream"]] == [1_400 * 7e13]


@pytest.mark.parametrize("factors", [3, 19, 20])
def test_a_value_beyond_the_models_type_is_null(tmp_path: Path, factors: int) -> None:
    """2^159 is no float32, 2^1060 no double."""
    source = write_transactions([event(at=ZERO)], "string", tmp_path / "sales.parquet")
    owner = _with_sql(" * ".join(["judged"] + ["cast(9007199254740992 as double)"] * factors))
    compute_history(owner, source, tmp_path, ZERO, ZERO + 2 * DAY, ["shop_daily"])
    rows = read_history(owner, owner.view_by_name["shop_daily"], tmp_path)
    assert [row.row.values for row in rows] == [(0.0,), (None,)]


def _with_sql(sql: str) -> Contract:
    """The contract with another definition of the shops' one feature."""
    data = contract().model_copy(deep=True)
    view = data.view_by_name["shop_daily"]
    feature = view.features[0].model_copy(update={"sql": sql})
    changed = view.model_copy(update={"features": [feature]})
    views = [changed if v.name == view.name else v for v in data.feature_views]
    return contract().model_copy(update={"feature_views": views})
