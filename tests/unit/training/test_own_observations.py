"""Observations with rows of their own, end to end: what is predicted lies in a table of its own.

Parcels are asked about two hours before the courier sets out. The deliveries themselves and a
table of ratings are sources of views; nothing of them is in the rows that are asked about.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import yaml

from feature_runtime.core.moments import DAY, HOUR, MINUTE, format_moment, parse_moment
from proviso.contracts.loading import load_contract
from proviso.history.files import MOMENT
from proviso.history.oracle import LabelRow, naive_join
from tests import parcel_data
from tests.history_data import read_history
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
class Project:
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
    del stars["sql"]
    rated = {key: part for key, part in like.items() if key != "online_store"}
    rated |= {"name": VIEW, "source": "ratings", "aggregates": [], "features": [stars]}
    rated["lineage"] = {"sources": ["ratings"], "job": "dbt"}
    stated["feature_views"].append(rated)
    (service,) = stated["feature_services"]
    service["features"] = [one for one in service["features"] if "late" not in one]
    service["features"].append(f"{VIEW}:stars")
    service["derived_features"] = []
    return stated


def _write(folder: Path, cut: int | None = None) -> None:
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


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    folder = tmp_path_factory.mktemp("observations")
    made = parcel_data.make(folder, END, COURIERS, days=10)
    made.transactions.rename(folder / "simulated.parquet")
    text = json.dumps(_contract(folder), indent=1)
    (folder / "contracts/feature_store_contract.yml").write_text(text)
    _write(folder)
    return Project(folder)


def test_the_dataset_is_of_the_questions_and_the_views_are_of_the_other_sources(
    project: Project,
) -> None:
    history, out = project.folder / "h", project.folder / "dataset.parquet"
    project.call("features", "--out", history)
    start, end = END - 2 * DAY, END
    span = ["--start", format_moment(start), "--end", format_moment(end)]
    project.call("dataset", "--history", history, *span, "--out", out)
    table = pq.read_table(out)
    promises = pq.read_table(project.folder / "promises.parquet")
    at = promises["asked_at"].cast(pa.int64())
    mine = promises.filter(pc.and_(pc.greater_equal(at, start), pc.less(at, end)))
    assert sorted(table["promise_id"].to_pylist()) == sorted(mine["PROMISE"].to_pylist())
    contract = load_contract(project.folder / "contracts")
    for view in contract.feature_views:
        rows = read_history(contract, view, history)
        keys = zip(*(table[key].to_pylist() for key in contract.join_keys(view)), strict=True)
        moments = table["scoring_ts"].cast(pa.int64()).to_pylist()
        labels = [LabelRow(ids, t) for ids, t in zip(keys, moments, strict=True)][::40]
        statuses = table[f"{view.name}__status"].to_pylist()[::40]
        name = view.features[0].name
        values = table[f"{view.name}__{name}"].to_pylist()[::40]
        for found, (winner, status) in zip(
            zip(values, statuses, strict=True), naive_join(view.times, rows, labels), strict=True
        ):
            assert found == (winner.values[0] if winner else None, status.name)


def test_a_model_is_trained_scored_and_certified_on_the_questions(project: Project) -> None:
    predictions = project.train("release")
    promises = pq.read_table(project.folder / "promises.parquet")
    at = promises["asked_at"].cast(pa.int64())
    mine = promises.filter(pc.and_(pc.greater_equal(at, END - 2 * DAY), pc.less(at, END)))
    assert sorted(predictions["promise_id"].to_pylist()) == sorted(mine["PROMISE"].to_pylist())
    release = project.folder / "release"
    stated = yaml.safe_load((release / "release.yml").read_text())
    assert stated["certificate"]["of_tables"]["compared"].keys() == {VIEW}
    assert stated["certificate"]["test"]["rows"] == mine.num_rows
    history, scored = project.folder / "h", project.folder / "scored.parquet"
    span = ["--start", format_moment(END - 2 * DAY), "--end", format_moment(END)]
    project.call("features", "--out", history)
    project.call("score", "--release", release, "--history", history, *span, "--out", scored)
    again = pq.read_table(scored)
    found = zip(again["promise_id"].to_pylist(), again["probability"].to_pylist(), strict=True)
    served = {one: value for one, value in found if value is not None}
    wanted = zip(*(predictions[n].to_pylist() for n in ("promise_id", "score")), strict=True)
    assert served == {one: value for one, value in wanted if one in served}
    assert len(served) > 50


def test_no_score_depends_on_a_label_that_was_not_known_yet(project: Project) -> None:
    before = project.train("whole")
    try:
        _write(project.folder, cut=END - 2 * DAY)
        after = project.train("cut")
    finally:
        _write(project.folder)
    assert after.sort_by("promise_id").equals(before.sort_by("promise_id"))
