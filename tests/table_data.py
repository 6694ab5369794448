"""The test shop with a source of kind `table`, two views of it, and rows for it on disk."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import strategies as st

from feature_runtime.core.moments import HOUR, MINUTE
from proviso.contracts.contract import Contract, FeatureView
from proviso.contracts.places import within_project
from proviso.history.files import MOMENT
from proviso.history.values import GivenRow
from tests.history_data import ZERO, contract, ids_for, near

SCORES = {
    "name": "scores",
    "kind": "table",
    "description": "What a warehouse says of buyers.",
    "location": {"path": "scores.parquet"},
    "event_timestamp": "AS OF",
    "created_timestamp": "LOADED AT",
    "entities": ["buyer"],
    "keys": {"buyer": "BUYER"},
    "columns": {
        "rating": {"dtype": "float64", "nullable": True},
        "credit": {"dtype": "money", "scale": 2, "column": "CREDIT"},
        "tier": {"dtype": "string", "nullable": True},
        "active": {"dtype": "bool", "nullable": True},
        "points": {"dtype": "int64"},
        "since": {"dtype": "timestamp", "nullable": True},
    },
}
DTYPES = {"rating": "float64", "credit": "float64", "tier": "string", "active": "bool"}
DTYPES["points"] = "int64"
VIEWS = ("scores_runs", "scores_live")
_PUBLISHED: dict[str, dict[str, Any]] = {
    "scores_runs": {
        "publication": {"schedule": "PT3H", "duration": "PT7M"},
        "temporal_join_lookback": "PT12H",
        "online_ttl": "PT5H",
    },
    "scores_live": {
        "publication": {"on": "event", "delay": "PT12M"},
        "temporal_join_lookback": "PT9H",
        "online_ttl": "PT4H",
    },
}


class TableRow(NamedTuple):
    """A row of the table; credit in minor units."""

    buyer: int | str
    event_ts: int
    created_ts: int
    rating: float | None
    credit: int
    tier: str | None
    active: bool | None
    points: int

    @property
    def given(self) -> GivenRow:
        """The row as both views have it."""
        values = (self.rating, self.credit / 100, self.tier, self.active, self.points)
        return GivenRow((self.buyer,), self.event_ts, self.created_ts, values)

    def of_view(self, view: FeatureView) -> GivenRow:
        """The row with the features of a view."""
        values = dict(zip(DTYPES, self.given.values, strict=True))
        return self.given._replace(values=tuple(values[f.name] for f in view.features))


def table_contract(folder: Path, dtype: str = "string") -> Contract:
    """The shop of `history_data` with the table; its places are in a folder."""
    stated = contract(dtype).model_dump(mode="json")
    stated["sources"].append(SCORES)
    like = stated["feature_views"][0]
    for view in stated["feature_views"]:
        view["source"] = "sales"
    for name, published in _PUBLISHED.items():
        features = [
            {**like["features"][0], "name": column, "sql": None, "dtype": kind}
            for column, kind in DTYPES.items()
        ]
        more = {"name": name, "source": "scores", "entities": ["buyer"], "aggregates": []}
        stated["feature_views"].append({**like, **more, **published, "features": features})
    return within_project(Contract.model_validate(stated), folder)


def write_table(rows: Sequence[TableRow], dtype: str, path: Path) -> Path:
    """The rows as a file of the table."""
    kind = pa.string() if dtype == "string" else pa.int64()
    columns = {
        "BUYER": pa.array([r.buyer for r in rows], kind),
        "AS OF": pa.array([r.event_ts for r in rows], MOMENT),
        "LOADED AT": pa.array([r.created_ts for r in rows], MOMENT),
        "rating": pa.array([r.rating for r in rows], pa.float64()),
        "CREDIT": pa.array([r.credit / 100 for r in rows], pa.float64()),
        "tier": pa.array([r.tier for r in rows], pa.string()),
        "active": pa.array([r.active for r in rows], pa.bool_()),
        "points": pa.array([r.points for r in rows], pa.int64()),
        "since": pa.nulls(len(rows), MOMENT),
    }
    pq.write_table(pa.table(columns), path)
    return path


WAITS = (0, 0, 1, 10 * MINUTE, 10 * MINUTE + 1, 2 * HOUR, 5 * HOUR, -1, -HOUR, -4 * HOUR)
"""From a row's event to its creation; before it, too."""


@st.composite
def table_rows(draw: st.DrawFn, dtype: str) -> list[TableRow]:
    """Rows with corrections, late ones, ones created before their event, and equal ones."""
    row = st.builds(
        lambda at, wait, **more: TableRow(event_ts=at, created_ts=at + wait, **more),
        at=near(12),
        wait=st.sampled_from(WAITS),
        buyer=st.sampled_from(ids_for(dtype, "b", 3)),
        rating=st.none() | st.sampled_from([0.1, -2.5, 1e30]),
        credit=st.integers(-5, 10_000_000_00),
        tier=st.none() | st.sampled_from(["", "gold", "grün"]),
        active=st.none() | st.booleans(),
        points=st.integers(-3, 9),
    )
    made = draw(st.lists(row, min_size=1, max_size=12))
    later = st.sampled_from([1, MINUTE, 40 * MINUTE, 3 * HOUR])
    again = st.builds(
        lambda one, wait, points: one._replace(created_ts=one.created_ts + wait, points=points),
        st.sampled_from(made),
        later,
        st.integers(10, 19),
    )
    corrected = made + draw(st.lists(again, max_size=6))
    first = {(r.buyer, r.event_ts, r.created_ts): r for r in reversed(corrected)}
    return list(first.values())


def random_rows(seed: int, dtype: str, count: int) -> list[TableRow]:
    """The like, drawn evenly."""
    rng = random.Random(seed)
    made = {}
    for number in range(count):
        at = ZERO + rng.randrange(-12, 12) * HOUR + rng.choice((0, 0, 5, 30)) * MINUTE
        row = TableRow(
            rng.choice(ids_for(dtype, "b", 3)),
            at,
            at + rng.choice(WAITS),
            rng.choice((None, 0.5, 2.5)),
            rng.randrange(10_000_000_00),
            rng.choice((None, "gold")),
            rng.random() < 0.5,
            number,
        )
        made[row.buyer, row.event_ts, row.created_ts] = row
    return list(made.values())
