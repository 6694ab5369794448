"""Several sources: each view reads its own, by the names and types that the contract states."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from feature_runtime.core.moments import HOUR, MINUTE
from proviso.contracts.contract import Contract
from proviso.contracts.places import placed, within_project
from proviso.history.duckdb.engine import connect
from proviso.history.duckdb.features import compute_history
from proviso.history.duckdb.incremental import backfill_history, update_history
from proviso.history.duckdb.loaded import open_transactions
from proviso.history.duckdb.transactions import events_of, load_source
from proviso.history.files import MOMENT
from proviso.history.oracle import naive_history
from proviso.history.values import EntityRow, Event
from tests.history_data import (
    ZERO,
    contract,
    ids_for,
    random_events,
    read_history,
    read_rows,
    write_transactions,
)
from tests.problems import refused

NOW = ZERO + 40 * HOUR
VISITS = {
    "name": "visits",
    "kind": "events",
    "description": "People who come in.",
    "id": "visit_id",
    "id_column": "VISIT NO",
    "event_timestamp": "CAME AT",
    "arrival_timestamp": "HEARD AT",
    "entities": ["shop"],
    "keys": {"shop": "STORE"},
    "columns": {
        "people": {"dtype": "int64", "nullable": True, "column": "PEOPLE"},
        "weather": {"dtype": "string", "nullable": True},
        "left_at": {"dtype": "timestamp", "nullable": True},
    },
}


def _contract(folder: Path, dtype: str) -> Contract:
    """The test shop with a second source, read by a view of each publication."""
    owner = contract(dtype)
    stated = owner.model_dump(mode="json")
    place = {"location": {"path": "visits.parquet"}}
    stated["sources"].append({**VISITS, **place})
    for number, like in enumerate(("shop_daily", "buyer_stream")):
        (view,) = (v for v in stated["feature_views"] if v["name"] == like)
        aggregates = [
            {"name": "visits_3h", "function": "count", "window": "PT3H"},
            {"name": "people_5h", "function": "sum", "of": "people", "window": "PT5H"},
            {"name": "last_people_5h", "function": "last", "of": "people", "window": "PT5H"},
        ]
        features = [
            {**view["features"][0], "name": name, "sql": None, "dtype": "int64"}
            for name in ("visits_3h", "people_5h", "last_people_5h")
        ]
        more = {"name": f"visits_{number}", "source": "visits", "entities": ["shop"]}
        stated["feature_views"].append(
            {**view, **more, "aggregates": aggregates, "features": features}
        )
    for view in stated["feature_views"]:
        view["source"] = view["source"] or "sales"
    return within_project(Contract.model_validate(stated), folder)


def _visits(seed: int, dtype: str, count: int) -> list[Event]:
    made = random_events(seed, dtype, count)
    return [
        Event(
            {"shop_id": one.ids["shop_id"]},
            one.event_ts + number % 3 * MINUTE,
            one.arrival_ts,
            {
                "people": None if number % 5 == 0 else one.columns["pieces"],
                "weather": None if number % 4 == 0 else "rain",
                "left_at": None if number % 6 == 0 else one.event_ts + HOUR,
            },
            {},
            f"v{number}",
        )
        for number, one in enumerate(made)
    ]


def _write_visits(visits: list[Event], dtype: str, path: Path) -> None:
    kind = pa.string() if dtype == "string" else pa.int64()
    columns = {
        "VISIT NO": pa.array([v.id for v in visits], pa.string()),
        "CAME AT": pa.array([v.event_ts for v in visits], MOMENT),
        "HEARD AT": pa.array([v.arrival_ts for v in visits], MOMENT),
        "STORE": pa.array([v.ids["shop_id"] for v in visits], kind),
        "PEOPLE": pa.array([v.columns["people"] for v in visits], pa.int64()),
        "weather": pa.array([v.columns["weather"] for v in visits], pa.string()),
        "left_at": pa.array([v.columns["left_at"] for v in visits], MOMENT),
    }
    pq.write_table(pa.table(columns), path)


@pytest.mark.parametrize("seed", range(6))
def test_a_view_is_computed_from_its_own_source(seed: int, tmp_path: Path) -> None:
    dtype = ("string", "int64")[seed % 2]
    owner = _contract(tmp_path, dtype)
    events, visits = random_events(seed, dtype, 25), _visits(seed + 100, dtype, 30)
    sales = write_transactions(events, dtype, tmp_path / "sales.parquet")
    _write_visits(visits, dtype, tmp_path / "visits.parquet")
    start, end = ZERO - 12 * HOUR, ZERO + 20 * HOUR
    compute_history(owner, sales, tmp_path / "h", start, end)
    with open_transactions(owner, sales) as loaded:
        for name in ("shop_daily", "visits_0", "visits_1"):
            view = owner.view_by_name[name]
            rows = visits if name.startswith("visits") else events
            expected = naive_history(loaded.scalars, owner, view, rows, start, end)
            assert read_history(owner, view, tmp_path / "h") == expected, name
            kept = loaded.events(view, {(one,) for one in ids_for(dtype, "s", 2)})
            found = sorted((e.event_ts, e.arrival_ts) for mine in kept.values() for e in mine)
            assert found == sorted((e.event_ts, e.arrival_ts) for e in rows)
        loaded.compute_history(tmp_path / "again", start, end)
    for view in owner.feature_views:
        assert read_rows(tmp_path / f"again/{view.name}.parquet") == read_rows(
            tmp_path / f"h/{view.name}.parquet"
        )


def test_each_view_grows_and_is_corrected_by_its_own_source(tmp_path: Path) -> None:
    owner = _contract(tmp_path, "string")
    events, visits = random_events(3, "string", 40), _visits(4, "string", 40)
    place, half = tmp_path / "visits.parquet", ZERO
    sales = write_transactions(
        [e for e in events if e.arrival_ts < half], "string", tmp_path / "sales.parquet"
    )
    _write_visits([v for v in visits if v.arrival_ts < half], "string", place)
    update_history(owner, sales, tmp_path / "h", half)
    write_transactions(events, "string", sales)
    _write_visits(visits, "string", place)
    update_history(owner, sales, tmp_path / "h", NOW)
    whole = tmp_path / "whole"
    update_history(owner, sales, whole, NOW)
    for view in owner.feature_views:
        if view.source == "visits":
            grown = read_rows(tmp_path / f"h/{view.name}.parquet")
            assert grown == read_rows(whole / f"{view.name}.parquet")
    # A changed visit is noticed by its views, and by no other.
    _write_visits(_visits(9, "string", 40), "string", place)
    with refused("transactions_changed") as problems:
        update_history(owner, sales, tmp_path / "h", NOW + HOUR, views=["visits_0"])
    assert problems[0].path == str(place)
    update_history(owner, sales, tmp_path / "h", NOW + HOUR, views=["shop_daily"])
    backfill_history(
        owner, sales, tmp_path / "h", ZERO - 12 * HOUR, as_of=NOW + HOUR, views=["visits_0"]
    )
    assert _last(owner, "visits_0", tmp_path / "h") != _last(owner, "visits_0", whole)


def _last(owner: Contract, name: str, history: Path) -> dict[tuple[Any, int], EntityRow]:
    """The row of each entity and event time that was created last."""
    rows = read_history(owner, owner.view_by_name[name], history)
    return {(r.ids, r.row.event_ts): r for r in sorted(rows, key=lambda r: r.row.created_ts)}


def test_names_and_types_are_the_contracts(tmp_path: Path) -> None:
    owner = _contract(tmp_path, "string")
    visits = _visits(1, "string", 12)
    _write_visits(visits, "string", tmp_path / "visits.parquet")
    source = owner.source_of(owner.view_by_name["visits_0"])
    assert source.kind == "events"
    with connect() as engine:
        summary = load_source(engine, owner, source)
        rows = engine.execute(
            f"select visit_id, shop_id, people, weather, left_at, _event"
            f" from {events_of(source)} order by visit_id"
        ).fetchall()
    assert summary.labelled == 0
    assert rows == [
        (v.id, v.ids["shop_id"], *v.columns.values(), v.event_ts)
        for v in sorted(visits, key=lambda one: str(one.id))
    ]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"weather": ["x" * 1025]}, "source_text_too_long"),
        ({"weather": [1]}, "source_type_mismatch"),
        ({"left_at": [dt.datetime(1969, 1, 1, tzinfo=dt.UTC)]}, "source_moment_out_of_range"),
        ({"left_at": ["2020-01-01"]}, "source_type_mismatch"),
        ({"PEOPLE": [2**53]}, "source_value_out_of_range"),
        ({"STORE": pa.array([None], pa.string())}, "source_key_null"),
        ({"STORE": None}, "source_column_missing"),
        ({"PEOPLE": None}, "source_column_missing"),
    ],
)
def test_what_is_wrong_has_the_files_name(
    change: dict[str, Any], code: str, tmp_path: Path
) -> None:
    owner, path = _contract(tmp_path, "string"), tmp_path / "visits.parquet"
    _write_visits(_visits(1, "string", 1), "string", path)
    table = pq.read_table(path)
    columns = {name: table[name] for name in table.column_names} | change
    pq.write_table(pa.table({n: c for n, c in columns.items() if c is not None}), path)
    source = owner.source_of(owner.view_by_name["visits_0"])
    assert source.kind == "events"
    with connect() as engine, refused(code) as problems:
        load_source(engine, owner, source)
    place = "columns" if code == "source_column_missing" else next(iter(change))
    assert problems[0].path == f"{path}: {place}"


def test_a_source_without_a_place_is_named(tmp_path: Path) -> None:
    owner = contract()
    stated = owner.model_dump(mode="json")
    stated["sources"].append(VISITS)
    for view in stated["feature_views"]:
        view["source"] = "visits" if view["name"] == "shop_daily" else "sales"
    (shop,) = (v for v in stated["feature_views"] if v["name"] == "shop_daily")
    shop["aggregates"] = [{"name": "n", "function": "count", "window": "PT3H"}]
    shop["features"] = [{**shop["features"][0], "name": "n", "sql": None, "dtype": "int64"}]
    changed = Contract.model_validate(stated)
    sales = write_transactions(random_events(1, "string", 3), "string", tmp_path / "s.parquet")
    with refused("source_location_missing"):
        compute_history(changed, sales, tmp_path / "h", views=["shop_daily"])
    place = tmp_path / "other.parquet"
    _write_visits(_visits(1, "string", 5), "string", place)
    moved = placed(changed, [f"visits={place}"])
    assert compute_history(moved, sales, tmp_path / "h", views=["shop_daily"]).transactions == 5


@pytest.mark.parametrize("stated", ["visits", "visits=", "nothing=a.parquet"])
def test_a_wrong_source_option_is_refused(stated: str, tmp_path: Path) -> None:
    with refused("source_option_invalid"):
        placed(_contract(tmp_path, "string"), [stated])
    with refused("source_option_invalid"):
        placed(_contract(tmp_path, "string"), ["visits=a", "visits=b"])
