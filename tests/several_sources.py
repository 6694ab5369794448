"""A shop of several sources: sales, visits, scores of a table, and questions in rows of their own.

Each has columns, entities, names in its file and arrivals of its own. `Shop` is the contract with
rows for all of them; what a property test varies is drawn by `shops`.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import strategies as st

from feature_runtime.core.moments import HOUR, MINUTE
from proviso.contracts.contract import Contract, FeatureView
from proviso.contracts.loading import CONTRACT_FILE, parse_contract
from proviso.contracts.places import within_project
from proviso.contracts.publication import of_table
from proviso.history.files import MOMENT
from proviso.history.oracle import naive_history
from proviso.history.ports import Scalars
from proviso.history.table_oracle import naive_table
from proviso.history.values import EntityRow, Event
from tests.history_data import ZERO, event, ids_for, near
from tests.table_data import DTYPES, SCORES, TableRow, table_rows, write_table

START, END = ZERO - 12 * HOUR, ZERO + 30 * HOUR
"""From when to when rows happen, arrive and are asked about."""

_SALES = {
    "name": "sales",
    "kind": "events",
    "location": {"path": "sales.parquet"},
    "id": "sale_id",
    "event_timestamp": "sold_at",
    "arrival_timestamp": "heard_at",
    "entities": ["buyer", "shop"],
    "columns": {
        "price": {"dtype": "money", "scale": 2},
        "pieces": {"dtype": "int64"},
        "weight": {"dtype": "float64"},
        "is_gift": {"dtype": "bool"},
    },
}
_VISITS = {
    "name": "visits",
    "kind": "events",
    "location": {"path": "visits.parquet"},
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
        "bill": {"dtype": "int64", "nullable": True, "known_at": {"column": "PAID AT"}},
    },
}
_ASKS = {
    "name": "asks",
    "kind": "observations",
    "location": {"path": "asks.parquet"},
    "id": "ask_id",
    "id_column": "ASK NO",
    "event_timestamp": "ASKED AT",
    "entities": ["buyer", "shop"],
    "keys": {"buyer": "WHO"},
    "columns": {
        "budget": {"dtype": "money", "scale": 2, "nullable": True},
        "mood": {"dtype": "string", "nullable": True, "column": "MOOD"},
        "bought": {
            "dtype": "bool",
            "nullable": True,
            "known_at": {"column": "known_at", "delay": "PT4H"},
        },
    },
    "label": "bought",
}
_AGGREGATES = {
    "sales": (
        {"function": "count"},
        {"function": "sum", "of": "price"},
        {"function": "max", "of": "pieces"},
        {"function": "last", "of": "weight"},
        {"function": "count_distinct", "of": "pieces", "where": "not is_gift"},
        {"function": "share", "where": "is_gift"},
    ),
    "visits": (
        {"function": "count", "where": "weather = 'rain'"},
        {"function": "sum", "of": "people"},
        {"function": "min", "of": "people"},
        {"function": "first", "of": "weather"},
        {"function": "most_frequent", "of": "weather"},
        {"function": "time_since", "of": "left_at"},
        {"function": "sum", "of": "bill", "dated": "known"},
    ),
}
WINDOWS = ("PT1H", "PT3H", "PT5H30M", "all")
PUBLISHED = (
    {"schedule": "PT1H", "duration": "PT5M"},
    {"schedule": "PT6H", "duration": "PT0S"},
    {"on": "event", "delay": "PT12M"},
    {"on": "event", "delay": "PT1H"},
)
_DELAYS = ("PT0S", "PT10M")


@dataclass(frozen=True)
class Ask:
    """A question: its keys, its moment, what the request carries, and the label."""

    id: int
    buyer: int | str
    shop: int | str
    at: int
    budget: int | None
    mood: str | None
    bought: bool | None
    known: int | None

    @property
    def label_known(self) -> int | None:
        """When the label is known: at its own moment, else four hours later."""
        if self.bought is None:
            return None
        return self.at + 4 * HOUR if self.known is None else self.known


@dataclass(frozen=True)
class Shop:
    """What the files hold. views: as the contract states them."""

    dtype: str
    views: Sequence[dict[str, Any]]
    sales: Sequence[Event]
    visits: Sequence[Event]
    scores: Sequence[TableRow]
    asks: Sequence[Ask]

    @cached_property
    def contract(self) -> Contract:
        stated = {**_frame(self.dtype), "feature_views": list(self.views)}
        consumed = self.views[0]["name"]
        stated["feature_services"][0]["features"] = [f"{consumed}:{_first(self.views[0])}"]
        return parse_contract(CONTRACT_FILE, stated)[0]

    def placed(self, folder: Path) -> Contract:
        """The contract with its locations in a folder."""
        return within_project(self.contract, folder)

    def write(self, folder: Path, until: int | None = None, order: int = 0) -> None:
        """The rows that had arrived before a moment, in an order that a seed decides."""
        rng = random.Random(order)

        def arrived(rows: Sequence[Any], moment: str) -> list[Any]:
            kept = [r for r in rows if until is None or getattr(r, moment) < until]
            return rng.sample(kept, len(kept))

        _write_sales(arrived(self.sales, "arrival_ts"), self.dtype, folder / "sales.parquet")
        _write_visits(arrived(self.visits, "arrival_ts"), self.dtype, folder / "visits.parquet")
        scores = arrived(self.scores, "created_ts")
        again = rng.sample(scores, len(scores) // 3)
        write_table([*scores, *again], self.dtype, folder / "scores.parquet")
        write_asks(self.asks, self.dtype, folder / "asks.parquet")

    def naive(self, scalars: Scalars, view: FeatureView, start: int, end: int) -> list[EntityRow]:
        """The rows of a view, by the references; runs and arrivals of [start, end)."""
        if of_table(view):
            given = [row.of_view(view) for row in self.scores if row.created_ts < end]
            return [r._replace(row=r.row._replace(run_id=0)) for r in naive_table(view, given)]
        rows = self.sales if view.source == "sales" else self.visits
        return naive_history(scalars, self.contract, view, rows, start, end)


def _first(view: dict[str, Any]) -> str:
    return str(view["aggregates"][0]["name"]) if "aggregates" in view else "rating"


def _frame(dtype: str) -> dict[str, Any]:
    keys = {"buyer": "buyer_id", "shop": "shop_id"}
    missing = {"policy": "nan", "approved_by": "a@shop.example", "reason": "For tests."}
    gate = {"name": "no_skew", "metric": "skew_failure_rate", "max": 0, "schedule": "P1D"}
    scores = {**SCORES, "location": {"path": "scores.parquet"}}
    return {
        "version": 2,
        "name": "several",
        "description": "For tests.",
        "defaults": {
            "owner": "data@shop.example",
            "tolerance": {"absolute": 0, "relative": 0},
            "default": missing,
        },
        "sources": [_SALES, _VISITS, scores, _ASKS],
        "entities": [
            {"name": name, "join_key": key, "dtype": dtype, "description": "Somebody."}
            for name, key in keys.items()
        ],
        "feature_services": [
            {
                "name": "buys_v1",
                "model": "buys:1.0.0",
                "description": "For tests.",
                "request_features": ["budget", "hour_of_day"],
            }
        ],
        "quality_gates": [{**gate, "blocks": "shadow"}],
    }


@st.composite
def views(draw: st.DrawFn, source: str, number: int) -> dict[str, Any]:
    """A view of a source, as a contract states it."""
    entities = {"sales": [["buyer"], ["shop"], ["buyer", "shop"]], "visits": [["shop"]]}
    lookback = draw(st.sampled_from(["PT6H", "PT14H"]))
    view = {
        "name": f"{source}_{number}",
        "description": "For tests.",
        "source": source,
        "entities": draw(st.sampled_from(entities.get(source, [["buyer"]]))),
        "source_delay": draw(st.sampled_from(_DELAYS)),
        "temporal_join_lookback": lookback,
        "online_ttl": "PT4H",
        "freshness_slo": "PT4H",
        "publication": draw(st.sampled_from(PUBLISHED)),
        "population": draw(st.sampled_from(["PT14H", "P1D"])),
    }
    if source == "scores":
        return {**view, "features": draw(_some(list(DTYPES)))}
    chosen = draw(_some(_AGGREGATES[source]))
    windows = draw(st.lists(st.sampled_from(WINDOWS), min_size=len(chosen), max_size=len(chosen)))
    aggregates = [
        {"name": f"a{place}", **one, "window": window}
        for place, (one, window) in enumerate(zip(chosen, windows, strict=True))
    ]
    return {**view, "aggregates": aggregates}


def _some(items: Sequence[Any]) -> st.SearchStrategy[list[Any]]:
    return st.lists(st.sampled_from(items), min_size=1, max_size=3, unique_by=str)


WAITS = (0, 0, 1, -MINUTE, 10 * MINUTE, 90 * MINUTE, 5 * HOUR)


@st.composite
def _sales(draw: st.DrawFn, dtype: str) -> list[Event]:
    sale = st.builds(
        event,
        buyer=st.sampled_from(ids_for(dtype, "b", 3)),
        shop=st.sampled_from(ids_for(dtype, "s", 2)),
        at=near(12),
        late=st.sampled_from(WAITS),
        label=st.none(),
        price=st.integers(0, 10_000_000_00),
        pieces=st.integers(-3, 5),
        weight=st.sampled_from([0.5, 1.5, 2.5]),
        is_gift=st.booleans(),
    )
    made = draw(st.lists(sale, min_size=1, max_size=10))
    return [_numbered(one, 7 * place % 11) for place, one in enumerate(made)]


@st.composite
def _visits(draw: st.DrawFn, dtype: str) -> list[Event]:
    visit = st.builds(
        lambda shop, at, late, people, weather, stay, bill, paid: Event(
            {"shop_id": shop},
            at,
            at + late,
            {
                "people": people,
                "weather": weather,
                "left_at": None if stay is None else at + stay,
                "bill": bill,
            },
            {"bill": None if bill is None else paid},
        ),
        st.sampled_from(ids_for(dtype, "s", 2)),
        near(12),
        st.sampled_from(WAITS),
        st.none() | st.integers(-2, 4),
        st.none() | st.sampled_from(["rain", "sun", ""]),
        st.none() | st.sampled_from([0, HOUR]),
        st.none() | st.integers(0, 99),
        st.none() | near(14),
    )
    made = draw(st.lists(visit, min_size=1, max_size=10))
    return [_numbered(one, f"v{7 * place % 11}") for place, one in enumerate(made)]


def _numbered(one: Event, number: int | str) -> Event:
    return replace(one, id=number)


@st.composite
def _asks(draw: st.DrawFn, dtype: str) -> list[Ask]:
    ask = st.builds(
        lambda **stated: stated,
        buyer=st.sampled_from(ids_for(dtype, "b", 4)),
        shop=st.sampled_from(ids_for(dtype, "s", 3)),
        at=near(24),
        budget=st.none() | st.integers(0, 10**9),
        mood=st.none() | st.sampled_from(["", "grün"]),
        bought=st.none() | st.booleans(),
        known=st.none() | near(30),
    )
    made = draw(st.lists(ask, min_size=1, max_size=12))
    return [Ask(id=13 * place % 17, **stated) for place, stated in enumerate(made)]


@st.composite
def shops(draw: st.DrawFn) -> Shop:
    """Two or three sources with rows, a view of each or two, and questions."""
    dtype = draw(st.sampled_from(["string", "int64"]))
    sources = draw(st.sampled_from([("sales", "scores"), ("visits", "scores"), tuple("x")]))
    sources = ("sales", "visits", "scores") if sources == ("x",) else sources
    stated = [draw(views(source, 0)) for source in sources]
    stated.append(draw(views(draw(st.sampled_from(sources)), 1)))
    return Shop(
        dtype,
        stated,
        draw(_sales(dtype)),
        draw(_visits(dtype)),
        draw(table_rows(dtype)),
        draw(_asks(dtype)),
    )


def _kind(dtype: str) -> pa.DataType:
    return pa.string() if dtype == "string" else pa.int64()


def _write_sales(rows: Sequence[Event], dtype: str, path: Path) -> None:
    columns = {
        "sale_id": pa.array([r.id for r in rows], pa.int64()),
        "sold_at": pa.array([r.event_ts for r in rows], MOMENT),
        "heard_at": pa.array([r.arrival_ts for r in rows], MOMENT),
        "buyer_id": pa.array([r.ids["buyer_id"] for r in rows], _kind(dtype)),
        "shop_id": pa.array([r.ids["shop_id"] for r in rows], _kind(dtype)),
        "price": pa.array([r.columns["price"] / 100 for r in rows], pa.float64()),
        "pieces": pa.array([r.columns["pieces"] for r in rows], pa.int64()),
        "weight": pa.array([r.columns["weight"] for r in rows], pa.float64()),
        "is_gift": pa.array([r.columns["is_gift"] for r in rows], pa.bool_()),
    }
    pq.write_table(pa.table(columns), path)


def _write_visits(rows: Sequence[Event], dtype: str, path: Path) -> None:
    columns = {
        "VISIT NO": pa.array([r.id for r in rows], pa.string()),
        "CAME AT": pa.array([r.event_ts for r in rows], MOMENT),
        "HEARD AT": pa.array([r.arrival_ts for r in rows], MOMENT),
        "STORE": pa.array([r.ids["shop_id"] for r in rows], _kind(dtype)),
        "PEOPLE": pa.array([r.columns["people"] for r in rows], pa.int64()),
        "weather": pa.array([r.columns["weather"] for r in rows], pa.string()),
        "left_at": pa.array([r.columns["left_at"] for r in rows], MOMENT),
        "bill": pa.array([r.columns["bill"] for r in rows], pa.int64()),
        "PAID AT": pa.array([r.known["bill"] for r in rows], MOMENT),
    }
    pq.write_table(pa.table(columns), path)


def write_asks(rows: Sequence[Ask], dtype: str, path: Path) -> Path:
    """The questions as a file."""
    budgets = [None if r.budget is None else r.budget / 100 for r in rows]
    columns = {
        "ASK NO": pa.array([r.id for r in rows], pa.int64()),
        "ASKED AT": pa.array([r.at for r in rows], MOMENT),
        "WHO": pa.array([r.buyer for r in rows], _kind(dtype)),
        "shop_id": pa.array([r.shop for r in rows], _kind(dtype)),
        "budget": pa.array(budgets, pa.float64()),
        "MOOD": pa.array([r.mood for r in rows], pa.string()),
        "bought": pa.array([r.bought for r in rows], pa.bool_()),
        "known_at": pa.array([r.known for r in rows], MOMENT),
    }
    pq.write_table(pa.table(columns), path)
    return path
