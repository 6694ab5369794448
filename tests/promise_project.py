"""A project whose observations have rows of their own: parcels are asked about before they leave.

The parcels' deliveries and a table of ratings are the sources of its views; nothing of them is in
the rows that are asked about.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from feature_runtime.core.moments import DAY, HOUR, MINUTE, format_moment, parse_moment
from proviso.contracts.loading import load_contract
from proviso.history.files import MOMENT
from tests import parcel_data
from tests.program import Done, call

END = parse_moment("2026-03-29T00:00:00Z")
COURIERS = 20
VIEW = "courier_rating"
_PROMISES: dict[str, Any] = {
    "name": "promises",
    "kind": "observations",
    "location": {"path": "promises.parquet"},
    "id": "promise_id",
    "id_column": "PROMISE",
    "event_timestamp": "asked_at",
    "entities": ["courier", "zone"],
    "keys": {"courier": "DRIVER"},
    "columns": {
        "parcels": {"dtype": "int64"},
        "distance_km": {"dtype": "float64", "column": "KM"},
        "is_late": {"dtype": "bool", "nullable": True, "known_at": {"column": "arrived_at"}},
    },
    "label": "is_late",
}
_RATINGS = {
    "name": "ratings",
    "kind": "table",
    "location": {"path": "ratings.parquet"},
    "event_timestamp": "as_of",
    "created_timestamp": "loaded_at",
    "entities": ["courier"],
    "columns": {"stars": {"dtype": "float64"}},
}


@dataclass(frozen=True)
class PromiseProject:
    """A folder of contract files with data beside it."""

    folder: Path

    def call(self, *arguments: str | Path) -> Done:
        done = call("--contracts", self.folder / "contracts", *arguments)
        assert done.code == 0, done.err
        return done

    def train(self, out: str) -> pa.Table:
        """The predictions of a release that is trained on the project's data."""
        days = [
            f"--{name}-{edge}={format_moment(END - ago * DAY)[:10]}"
            for name, first, last in (("train", 7, 4), ("test", 2, 1))
            for edge, ago in (("start", first), ("end", last))
        ]
        release = self.folder / out
        self.call("train", *days, "--label-delay", "PT0S", "--out", release)
        return pq.read_table(release / "predictions.parquet")


def _contract(folder: Path) -> dict[str, Any]:
    """The parcels' contract: deliveries without a label, promises, and ratings."""
    stated = load_contract(folder / "contracts").model_dump(mode="json", exclude_none=True)
    (deliveries,) = (one for one in stated["sources"] if one["kind"] == "events")
    del deliveries["columns"]["is_late"]
    deliveries["location"] = {"path": "deliveries.parquet"}
    stated["sources"] = [deliveries, _PROMISES, _RATINGS]
    for view in stated["feature_views"]:
        view["source"] = "deliveries"
        view["aggregates"] = [one for one in view["aggregates"] if one["dated"] == "event"]
        view["features"] = [one for one in view["features"] if "late" not in one["name"]]
    like = stated["feature_views"][0]
    stars = {**like["features"][-1], "name": "stars"}
    stars.pop("sql", None)
    rated = {key: part for key, part in like.items() if key != "online_store"}
    rated |= {"name": VIEW, "source": "ratings", "aggregates": [], "features": [stars]}
    rated["lineage"] = {"sources": ["ratings"], "job": "dbt"}
    stated["feature_views"].append(rated)
    (service,) = stated["feature_services"]
    service["features"] = [one for one in service["features"] if "late" not in one]
    service["features"].append(f"{VIEW}:stars")
    service["derived_features"] = []
    return stated


def write_sources(folder: Path, cut: int | None = None) -> None:
    """The files of the project; cut: nothing that was asked or known later is there."""
    rows = pq.read_table(folder / "simulated.parquet")
    pq.write_table(rows.drop_columns(["is_late"]), folder / "deliveries.parquet")
    asked = pc.subtract(rows["set_out_at"].cast(pa.int64()), 2 * HOUR)
    known = pc.add(rows["set_out_at"].cast(pa.int64()), 5 * HOUR)
    label = rows["is_late"].cast(pa.bool_())
    if cut is not None:
        label = pc.if_else(pc.less(known, cut), label, None)
    promises = pa.table(
        {
            "PROMISE": rows["delivery_id"],
            "asked_at": asked.cast(MOMENT),
            "DRIVER": rows["courier_id"],
            "zone_id": rows["zone_id"],
            "parcels": rows["parcels"],
            "KM": rows["distance_km"],
            "is_late": label,
            "arrived_at": known.cast(MOMENT),
        }
    )
    pq.write_table(promises, folder / "promises.parquet")
    _write_ratings(folder / "ratings.parquet")


def _write_ratings(path: Path) -> None:
    days = [(courier, END - day * DAY) for courier in range(1, COURIERS) for day in range(20)]
    columns = {
        "courier_id": pa.array([courier for courier, _ in days], pa.int64()),
        "as_of": pa.array([at for _, at in days], MOMENT),
        "loaded_at": pa.array([at + 40 * MINUTE for _, at in days], MOMENT),
        "stars": pa.array([(courier + at // DAY) % 5 / 2 for courier, at in days], pa.float64()),
    }
    pq.write_table(pa.table(columns), path)


def make(folder: Path) -> PromiseProject:
    """Ten simulated days in a folder."""
    made = parcel_data.make(folder, END, COURIERS, days=10)
    made.transactions.rename(folder / "simulated.parquet")
    text = json.dumps(_contract(folder), indent=1)
    (folder / "contracts/feature_store_contract.yml").write_text(text)
    write_sources(folder)
    return PromiseProject(folder)
