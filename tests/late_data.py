"""The shop of `history_data` with values that are known later than their sale, and such sales.

Each late column says in another way when its value is known; so does the label.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from feature_runtime.core.moments import HOUR, MINUTE, format_duration
from proviso.contracts.aggregates import AGGREGATES
from proviso.contracts.contract import Contract
from proviso.history.files import MOMENT
from proviso.history.values import Event
from tests.aggregate_cases import only
from tests.history_data import contract, random_events, write_transactions

DELAYS: Mapping[str, tuple[str | None, int | None]] = {
    "minutes": ("landed_at", None),
    "landed_at": ("landed_at", None),
    "refund": (None, 90 * MINUTE),
    "rating": ("rated_at", 3 * HOUR),
    "is_damaged": ("seen_at", 0),
}
"""By late column: the file's column of its moment, and else its delay in microseconds."""
_DTYPES: Mapping[str, Mapping[str, str | int]] = {
    "minutes": {"dtype": "int64"},
    "landed_at": {"dtype": "timestamp"},
    "refund": {"dtype": "money", "scale": 2},
    "rating": {"dtype": "string"},
    "is_damaged": {"dtype": "bool"},
}
_FILE: Mapping[str, pa.DataType] = {
    "minutes": pa.int64(),
    "refund": pa.decimal128(12, 2),
    "rating": pa.string(),
    "is_damaged": pa.bool_(),
    "landed_at": MOMENT,
    "rated_at": MOMENT,
    "seen_at": MOMENT,
}
CONDITIONS = (
    None,
    "minutes > 3",
    "rating = 'bad' or is_gift",
    "was_returned and not is_damaged",
    "price > 3000 and refund is not null",
)


def late_contract(dtype: str = "string", observed: bool = True) -> Contract:
    """The shop with late columns; observed: in the rows that are predicted, else in a source of
    their own, `parcels`, that the same views read."""
    stated = contract(dtype).model_dump(mode="json")
    (sales,) = (one for one in stated["sources"] if one["name"] == "sales")
    late = {
        name: {**_DTYPES[name], "nullable": True, "known_at": _known_at(column, delay)}
        for name, (column, delay) in DELAYS.items()
    }
    if observed:
        sales["columns"] |= late
    else:
        columns = {**sales["columns"], **late}
        place = {"path": "parcels.parquet"}
        stated["sources"].append(
            {**sales, "name": "parcels", "columns": columns, "location": place}
        )
        for view in stated["feature_views"]:
            view["source"] = "parcels"
    return Contract.model_validate(stated)


def _known_at(column: str | None, delay: int | None) -> dict[str, str]:
    stated = {"column": column, "delay": None if delay is None else format_duration(delay)}
    return {key: value for key, value in stated.items() if value is not None}


def with_late_aggregates(owner: Contract, window: str, where: str | None, turn: int) -> Contract:
    """The contract with an aggregate of every function, dated by what is known later.

    turn: which of the late columns that it takes each function is of.
    """
    stated: list[dict[str, Any]] = [
        {"function": name, "of": columns[turn % len(columns)], "where": where}
        for name, function in AGGREGATES.items()
        if (columns := [of for of in DELAYS if str(_DTYPES[of]["dtype"]) in function.dtypes])
        if function.column != "none"
    ]
    stated += [
        {"function": name, "where": CONDITIONS[1 + (turn + place) % (len(CONDITIONS) - 1)]}
        for place, name in enumerate(("count", "share", "time_since"))
    ]
    stated.append({"function": "last", "of": "price", "where": CONDITIONS[1]})
    dated = {"window": window, "dated": "known"}
    late = [{**one, **dated, "name": f"late_{place}"} for place, one in enumerate(stated)]
    at_once = {"name": "spent", "function": "sum", "of": "price", "window": window}
    return only(*late, at_once, of=owner)


def known(name: str, value: object, event: int, stated: int | None) -> int | None:
    """When a late value is known: at the moment that its file states, else after its delay."""
    delay = DELAYS[name][1]
    if value is None or (stated is None and delay is None):
        return None
    return event + (delay or 0) if stated is None else stated


def late_sale(rng: random.Random, sale: Event) -> Event:
    """A sale with late values, some of them null, some known at any moment, also before it."""

    def some() -> int | None:
        after = rng.choice((-2 * HOUR, -1, 0, 1, MINUTE, HOUR, 5 * HOUR, rng.randrange(9 * HOUR)))
        return rng.choice((None, sale.event_ts + after, sale.event_ts + after))

    moments = {"landed_at": some(), "rated_at": some(), "seen_at": some()}
    values = {
        "minutes": rng.choice((None, -4, 0, 2, 7, 7)),
        "landed_at": moments["landed_at"],
        "refund": rng.choice((None, 0, 250, 990)),
        "rating": rng.choice((None, "bad", "fine", "")),
        "is_damaged": rng.choice((None, True, False)),
    }
    late = {
        name: known(name, value, sale.event_ts, moments.get(DELAYS[name][0] or ""))
        for name, value in values.items()
    }
    columns = {**sale.columns, **values, **{f"_{n}": m for n, m in moments.items()}}
    return replace(sale, columns=columns, known={**sale.known, **late})


def late_sales(seed: int, dtype: str, count: int) -> list[Event]:
    rng = random.Random(seed)
    return [late_sale(rng, sale) for sale in random_events(seed, dtype, count)]


def write_late(sales: Sequence[Event], dtype: str, path: Path) -> Path:
    """The sales as a source file. Moments are as the file states them, not as they follow."""
    table = pq.read_table(write_transactions(sales, dtype, path))
    for name, kind in _FILE.items():
        place = name if name in DELAYS else f"_{name}"
        cells = [sale.columns[place] for sale in sales]
        if name == "refund":
            made = pa.array([None if c is None else c / 100 for c in cells], pa.float64())
            table = table.append_column(name, made.cast(kind))
        else:
            table = table.append_column(name, pa.array(cells, kind))
    pq.write_table(table, path)
    return path


def as_known(sale: Event, moment: int) -> Event:
    """The sale as its source has it before a moment: values that are not known yet are null."""
    hidden = [n for n, at in sale.known.items() if at is None or max(at, sale.arrival_ts) >= moment]
    columns = {**sale.columns, **dict.fromkeys(hidden)}
    return replace(sale, columns=columns, known={**sale.known, **dict.fromkeys(hidden)})
