"""A small contract with every kind of view, and transactions and histories for it on disk."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import strategies as st

from feature_runtime.core.availability import Row
from feature_runtime.core.moments import DAY, HOUR, MINUTE
from proviso.contracts.contract import Contract, FeatureView
from proviso.contracts.loading import parse_contract
from proviso.history.files import MOMENT, history_columns, history_file
from proviso.history.values import EntityRow, Event

ZERO = 1_600_000_000 * 1_000_000 // DAY * DAY
"""Midnight on some day: schedules of an hour and of a day meet here."""
LABEL, LABEL_DELAY = "was_returned", 4 * HOUR

_OWNER = "data@shop.example"
_REJECT = {"policy": "reject"}
_EXACT = {"absolute": 0.0, "relative": 0.0}


def contract(dtype: str = "string", on_event: bool = True) -> Contract:
    """Buyers and shops with ids of `dtype`; one view per entity, of both, and on event."""
    views = [_hourly(), _shop(), _pair()] + ([_stream()] if on_event else [])
    return parse_contract(
        "contract",
        {
            "version": 1,
            "name": "test-shop",
            "description": "For tests.",
            "source": _source(),
            "entities": [_entity("buyer", dtype), _entity("shop", dtype)],
            "feature_views": views,
            "feature_services": [_service()],
            "quality_gates": [
                {
                    "name": "no_skew",
                    "metric": "skew_failure_rate",
                    "max": 0.0,
                    "schedule": "PT1H",
                    "blocks": "shadow",
                    "owner": _OWNER,
                }
            ],
        },
    )[0]


def allowing(owner: Contract, share: float, source_name: str = "") -> Contract:
    """The contract, of which a source, by default the observed one, may set rows aside."""
    rows = source_name or owner.observations_of().rows.name
    sources = [
        source.model_copy(update={"quarantine": share}) if source.name == rows else source
        for source in owner.sources
    ]
    changed = owner.model_copy(update={"sources": sources})
    changed.__dict__.pop("source_by_name", None)  # a copy keeps what was computed of the former
    return changed


def _source() -> dict[str, Any]:
    return {
        "name": "sales",
        "description": "Sales.",
        "id": "sale_id",
        "event_timestamp": "sold_at",
        "arrival_timestamp": "heard_at",
        "label": {
            "column": "was_returned",
            "known_at": "returned_at",
            "delay": "PT4H",
            "description": "Sent back.",
        },
        "columns": {
            "price": {"dtype": "money", "scale": 2, "description": "Price."},
            "pieces": {"dtype": "int64", "description": "Pieces."},
            "weight": {"dtype": "float64", "description": "Weight."},
            "is_gift": {"dtype": "bool", "description": "A present."},
        },
    }


def _entity(name: str, dtype: str) -> dict[str, Any]:
    key = {"name": name, "join_key": f"{name}_id", "dtype": dtype}
    return {**key, "description": "Somebody.", "owner": _OWNER}


def _service() -> dict[str, Any]:
    return {
        "name": "returns_v1",
        "model": "returns:1.0.0",
        "description": "For tests.",
        "owner": _OWNER,
        "fields": ["price"],
        "request_features": [
            {"name": "price", "function": "field", "field": "price", "description": "Price."},
            {"name": "hour_of_day", "function": "hour_of_day", "description": "Hour."},
        ],
        "features": ["buyer_hourly:sales_1h", "buyer_hourly:spent_3h", "shop_daily:return_share"],
        "derived_features": [],
    }


def _view(name: str, entities: list[str], **more: Any) -> dict[str, Any]:
    return {
        "name": name,
        "description": "For tests.",
        "owner": _OWNER,
        "entities": entities,
        "event_timestamp": "event_ts",
        "created_timestamp": "created_ts",
        "source_delay": "PT10M",
        "freshness_slo": "PT1H30M",
        "online_store": {"type": "valkey", "key_pattern": "fs"},
        "lineage": {"sources": ["sales"], "job": "proviso features"},
        "deprecation": {"status": "active"},
        **more,
    }


def _features(*definitions: tuple[str, str, str | None]) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "dtype": dtype,
            "description": "For tests.",
            "default": _REJECT,
            "tolerance": _EXACT,
            **({} if sql is None else {"sql": sql}),
        }
        for name, dtype, sql in definitions
    ]


def _hourly() -> dict[str, Any]:
    return _view(
        "buyer_hourly",
        ["buyer"],
        temporal_join_lookback="PT5H",
        online_ttl="PT2H",
        publication={"schedule": "PT1H", "duration": "PT5M"},
        population="PT6H",
        aggregates=[
            {"name": "sales_1h", "function": "count", "window": "PT1H"},
            {"name": "gifts_3h", "function": "count", "where": "is_gift", "window": "PT3H"},
            {"name": "minor_3h", "function": "sum", "of": "price", "window": "PT3H"},
            {"name": "square_3h", "function": "sum_of_squares", "of": "price", "window": "PT3H"},
            {"name": "count_3h", "function": "count", "window": "PT3H"},
            {
                "name": "returned",
                "function": "sum",
                "of": "pieces",
                "dated": "label",
                "where": "was_returned and weight > 1.5",
                "window": "PT2H30M",
            },
        ],
        features=_features(
            ("sales_1h", "int64", None),
            ("gifts_3h", "int64", None),
            ("spent_3h", "float64", "minor_3h / 100"),
            (
                "deviation_3h",
                "float64",
                "sqrt((count_3h * square_3h - minor_3h * minor_3h) / (count_3h * count_3h))",
            ),
            ("returned", "int64", None),
            ("big_spender", "bool", "minor_3h > 5000"),
        ),
    )


def _shop() -> dict[str, Any]:
    return _view(
        "shop_daily",
        ["shop"],
        temporal_join_lookback="P3D",
        online_ttl="PT26H",
        publication={"schedule": "P1D", "duration": "PT0S"},
        population="P2D",
        aggregates=[
            {
                "name": "bad",
                "function": "count",
                "dated": "label",
                "where": "was_returned",
                "window": "P2D",
            },
            {"name": "judged", "function": "count", "dated": "label", "window": "P2D"},
        ],
        features=_features(("return_share", "float64", "bad / nullif(judged, 0)")),
    )


def _pair() -> dict[str, Any]:
    return _view(
        "buyer_at_shop",
        ["buyer", "shop"],
        temporal_join_lookback="PT12H",
        online_ttl="PT5H",
        publication={"schedule": "PT3H", "duration": "PT7M"},
        population="PT7H",
        aggregates=[{"name": "visits", "function": "count", "window": "PT4H"}],
        features=_features(("visits", "int64", None)),
    )


def _stream() -> dict[str, Any]:
    return _view(
        "buyer_stream",
        ["buyer"],
        temporal_join_lookback="PT6H",
        online_ttl="PT1H",
        publication={"on": "event", "delay": "PT12M"},
        population="P1D",
        aggregates=[
            {"name": "last_hour", "function": "count", "window": "PT1H"},
            {"name": "minor_2h", "function": "sum", "of": "price", "window": "PT2H"},
            {
                "name": "returns_3h",
                "function": "count",
                "dated": "label",
                "where": "was_returned",
                "window": "PT3H",
            },
        ],
        features=_features(
            ("last_hour", "int64", None),
            ("spent_2h", "float64", "minor_2h / 100"),
            ("returns_3h", "int64", None),
        ),
    )


def write_transactions(events: Sequence[Event], dtype: str, path: Path) -> Path:
    """The events as a source file; ids count up."""
    kind = pa.string() if dtype == "string" else pa.int64()
    columns: dict[str, pa.Array] = {
        "sale_id": pa.array(_ids(events), pa.int64()),
        "sold_at": pa.array([e.event_ts for e in events], MOMENT),
        "heard_at": pa.array([e.arrival_ts for e in events], MOMENT),
        "buyer_id": pa.array([e.ids["buyer_id"] for e in events], kind),
        "shop_id": pa.array([e.ids["shop_id"] for e in events], kind),
        "price": pa.array([e.columns["price"] / 100 for e in events], pa.float64()),
        "pieces": pa.array([e.columns["pieces"] for e in events], pa.int64()),
        "weight": pa.array([e.columns["weight"] for e in events], pa.float64()),
        "is_gift": pa.array([e.columns["is_gift"] for e in events], pa.bool_()),
        "was_returned": pa.array([e.columns[LABEL] for e in events], pa.bool_()),
        "returned_at": pa.array([e.known[LABEL] for e in events], MOMENT),
    }
    pq.write_table(pa.table(columns), path)
    return path


def _ids(events: Sequence[Event]) -> Sequence[int | str]:
    """The events' own ids, or their places where they state none."""
    stated = [e.id for e in events]
    return stated if len(set(stated)) == len(events) else range(len(events))


def numbered(events: Sequence[Event]) -> list[Event]:
    """The events with ids whose order is not theirs."""
    return [replace(one, id=(7 * place + 3) % 101) for place, one in enumerate(events)]


def write_history(
    owner: Contract, view: FeatureView, rows: Sequence[EntityRow], history: Path
) -> None:
    """Rows as a view's history, in the order given."""
    columns = [
        *([r.ids[i] for r in rows] for i in range(len(view.entities))),
        [r.row.event_ts for r in rows],
        [r.row.created_ts for r in rows],
        *([r.row.values[i] for r in rows] for i in range(len(view.features))),
    ]
    schema = history_columns(owner, view)
    arrays = [pa.array(c, f.type) for c, f in zip(columns, schema, strict=True)]
    history.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(arrays, schema=schema), history_file(history, view))


def read_history(owner: Contract, view: FeatureView, history: Path) -> list[EntityRow]:
    """A view's history in the order of its file."""
    width = len(owner.join_keys(view))
    table = pq.read_table(history_file(history, view))
    moments = [table[name].cast(pa.int64()).to_pylist() for name in ("event_ts", "created_ts")]
    keys = [table[name].to_pylist() for name in table.column_names[:width]]
    values = [table[name].to_pylist() for name in table.column_names[width + 2 :]]
    return [
        EntityRow(
            tuple(column[i] for column in keys),
            Row(moments[0][i], moments[1][i], tuple(column[i] for column in values)),
        )
        for i in range(table.num_rows)
    ]


def read_rows(path: Path) -> list[tuple[Any, ...]]:
    """The rows of any Parquet file."""
    with duckdb.connect() as connection:
        connection.execute("set timezone='UTC'")
        return connection.execute(f"select * from read_parquet('{path}')").fetchall()


def event(
    buyer: int | str = "b1",
    shop: int | str = "s1",
    at: int = ZERO,
    late: int = 0,
    label: bool | None = False,
    known: int | None = None,
    **columns: int | float | bool,
) -> Event:
    """One sale; `late` and `known` in microseconds, `known` by default the label's delay."""
    ids: Mapping[str, int | str] = {"buyer_id": buyer, "shop_id": shop}
    values = {"price": 1000, "pieces": 1, "weight": 2.0, "is_gift": False, **columns}
    sale = Event(ids, at, at + late, values, {})
    return labelled(sale, label, at + LABEL_DELAY if known is None else known)


def labelled(sale: Event, label: bool | None, known: int = 0) -> Event:
    """A sale with another label; without one it is known at no moment."""
    moments = {LABEL: None if label is None else known}
    return replace(sale, columns={**sale.columns, LABEL: label}, known=moments)


def near(span: int) -> st.SearchStrategy[int]:
    """Moments around ZERO: often on an edge of something, or a microsecond beside it."""
    edges = st.builds(
        lambda hour, minute, beside: ZERO + hour * HOUR + minute * MINUTE + beside,
        st.integers(-span, span),
        st.sampled_from([0, 0, 5, 10, 15, 17, 30, 50]),
        st.sampled_from([-1, 0, 0, 1]),
    )
    return edges | st.integers(ZERO - span * HOUR, ZERO + span * HOUR)


def ids_for(dtype: str, prefix: str, count: int) -> list[int | str]:
    """Ids whose order as text is not their order as numbers."""
    numbers = [2, 10, 7, 300][:count]
    return [f"{prefix}{n}" if dtype == "string" else n for n in numbers]


LATENESS = (0, 0, 1, -MINUTE, 10 * MINUTE, 10 * MINUTE + 1, 90 * MINUTE, 3 * HOUR, 5 * HOUR)
LABELS = (True, True, False, None)


@st.composite
def events(draw: st.DrawFn, dtype: str) -> list[Event]:
    """Sales with late, early and missing arrivals, equal seconds, labels known at any moment."""
    moments = near(12)
    sale = st.builds(
        event,
        buyer=st.sampled_from(ids_for(dtype, "b", 3)),
        shop=st.sampled_from(ids_for(dtype, "s", 2)),
        at=moments,
        late=st.sampled_from(LATENESS) | st.integers(0, 5 * HOUR),
        label=st.sampled_from(LABELS),
        known=st.none() | moments,
        price=st.integers(0, 10_000_000_00),
        pieces=st.integers(-3, 9),
        weight=st.sampled_from([0.5, 1.5, 2.5]),
        is_gift=st.booleans(),
    )
    return numbered(draw(st.lists(sale, min_size=1, max_size=14)))


def random_events(seed: int, dtype: str, count: int) -> list[Event]:
    """The like, drawn evenly: more of everything at once than hypothesis tends to try."""
    rng = random.Random(seed)
    made = []
    for _ in range(count):
        at, known = (
            ZERO + rng.randrange(-12, 12) * HOUR + rng.choice((0, 0, 5, 30)) * MINUTE + beside
            for beside in rng.choices((-1, 0, 0, 1), k=2)
        )
        made.append(
            event(
                buyer=rng.choice(ids_for(dtype, "b", 3)),
                shop=rng.choice(ids_for(dtype, "s", 2)),
                at=at,
                late=rng.choice(LATENESS),
                label=rng.choice(LABELS),
                known=rng.choice((None, known)),
                price=rng.randrange(10_000_000_00),
                pieces=rng.randrange(-3, 9),
                weight=rng.choice((0.5, 1.5, 2.5)),
                is_gift=rng.random() < 0.5,
            )
        )
    return numbered(made)
