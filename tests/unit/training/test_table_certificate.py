"""The certificate of a view over a table: its rows are not recomputed, but held to the table."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from feature_runtime.core.moments import DAY, HOUR, MINUTE, parse_moment
from proviso.contracts.base import ContractError
from proviso.contracts.contract import Contract
from proviso.contracts.places import within_project
from proviso.history.duckdb.features import compute_history
from proviso.history.files import MOMENT, history_file
from proviso.history.journal import Stamped, open_journal
from proviso.training import certificate
from proviso.training.data import Project, Request
from proviso.training.spec import Boosting, TrainingSpec
from proviso.training.train import certified
from proviso.training.weeks import Days
from tests import parcel_data

END = parse_moment("2026-03-29T00:00:00Z")
VIEW = "courier_rating"
SAMPLE = 40
COURIERS = 12
TABLE = {
    "name": "ratings",
    "kind": "table",
    "location": {"path": "ratings.parquet"},
    "event_timestamp": "as_of",
    "created_timestamp": "loaded_at",
    "entities": ["courier"],
    "columns": {"stars": {"dtype": "float64"}, "votes": {"dtype": "int64"}},
}


@dataclass(frozen=True)
class Made:
    """A parcels project whose couriers are also rated by a table, and its request."""

    folder: Path
    project: Project
    request: Request

    @property
    def history(self) -> Path:
        assert self.request.history is not None
        return self.request.history

    def certify(self, **changes: Any) -> dict[str, Any]:
        request = replace(self.request, **changes)
        return certified(self.project, request, self.folder / "release", _quiet)[1]

    def damaged(self, name: str, change: Callable[[pa.Table], pa.Table]) -> Path:
        """A copy of the history whose rows of the table were changed."""
        copy = self.folder / name
        shutil.copytree(self.history, copy)
        path = history_file(copy, self.project.contract.view_by_name[VIEW])
        table = change(pq.read_table(path)).replace_schema_metadata(None)
        pq.write_table(table, path)
        return copy


def _quiet(_: str) -> None:
    pass


def _rated(contract: Contract, folder: Path) -> Contract:
    """The parcels' contract with the table, and a view of it that the service consumes."""
    stated = contract.model_dump(mode="json")
    stated["sources"].append(TABLE)
    for view in stated["feature_views"]:
        view["source"] = "deliveries"
    like = stated["feature_views"][0]
    feature = {**like["features"][0], "sql": None}
    feature["default"] = {**like["features"][2]["default"], "policy": "nan"}
    features = [
        {**feature, "name": name, "dtype": dtype}
        for name, dtype in (("stars", "float64"), ("votes", "int64"))
    ]
    more = {"name": VIEW, "source": "ratings", "aggregates": [], "features": features}
    published = {"publication": {"on": "event", "delay": "PT20M"}}
    stated["feature_views"].append({**like, **more, **published})
    stated["feature_services"][0]["features"] += [f"{VIEW}:stars", f"{VIEW}:votes"]
    return within_project(Contract.model_validate(stated), folder)


def _write_ratings(path: Path) -> None:
    """A row a day for each courier but some, created an hour later, and corrections of a few."""
    rows = [
        (courier, END - day * DAY, END - day * DAY + HOUR + again * 5 * HOUR, day + again / 2)
        for courier in range(1, COURIERS)
        for day in range(16)
        for again in ((0, 1) if (courier + day) % 4 == 0 else (0,))
    ]
    couriers, events, created, stars = zip(*rows, strict=True)
    columns = {
        "courier_id": pa.array(couriers, pa.int64()),
        "as_of": pa.array(events, MOMENT),
        "loaded_at": pa.array(created, MOMENT),
        "stars": pa.array(stars, pa.float64()),
        "votes": pa.array(range(len(rows)), pa.int64()),
    }
    pq.write_table(pa.table(columns), path)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    folder = tmp_path_factory.mktemp("tables")
    parcels = parcel_data.make(folder, END, COURIERS, days=8)
    contract = _rated(parcels.contract, folder)
    _write_ratings(folder / "ratings.parquet")
    compute_history(contract, parcels.transactions, folder / "all")
    request = Request(
        parcels.transactions,
        Days(END - 6 * DAY, END - 4 * DAY),
        Days(END - 2 * DAY, END - DAY),
        contract.observations_of().label.delay,
        folder / "all",
    )
    spec = TrainingSpec(boosting=Boosting(trees=20, max_depth=3))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(certificate, "SAMPLE", SAMPLE)
        yield Made(folder, Project(contract, parcels.plan, spec), request)


def _replaced(table: pa.Table, name: str, values: pa.Array) -> pa.Table:
    return table.set_column(table.schema.get_field_index(name), table.schema.field(name), values)


def test_it_says_that_rows_of_tables_were_judged_and_not_recomputed(made: Made) -> None:
    found = made.certify()
    assert found["of_tables"]["said"] == "judged by the rule, not recomputed"
    compared = found["of_tables"]["compared"][VIEW]
    missing = sum(
        min(SAMPLE, found[days]["views"][VIEW]["status"].get("MISSING_KEY", 0))
        for days in ("train", "test")
    )
    assert missing > 0
    assert compared == 2 * SAMPLE + missing
    assert VIEW not in found["recomputed"]
    computed = made.certify(history=None)
    assert computed == found


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("other_value", lambda t: _replaced(t, "stars", pc.add(t["stars"], 1.0))),
        ("too_early", lambda t: _earlier(t, "created_ts", 30 * MINUTE)),
        ("other_day", lambda t: _earlier(t, "event_ts", HOUR)),
        ("rows_lost", lambda t: t.filter(pc.not_equal(pc.day(t["event_ts"]), 25))),
        ("corrections_lost", lambda t: t.filter(pc.equal(pc.hour(t["created_ts"]), 1))),
        ("all_lost", lambda t: t.slice(0, 0)),
    ],
)
def test_a_history_that_says_something_else_than_the_table_is_found(
    name: str, change: Callable[[pa.Table], pa.Table], made: Made
) -> None:
    history = made.damaged(name, change)
    with pytest.raises(ContractError, match=f"{VIEW}: ") as refused:
        made.certify(history=history)
    assert {problem.code for problem in refused.value.problems} == {"training_set_leaks"}


def _earlier(table: pa.Table, name: str, by: int) -> pa.Table:
    moved = pc.subtract(table[name].cast(pa.int64()), by).cast(table[name].type)
    return _replaced(table, name, moved)


def test_a_row_that_was_published_later_than_planned_may_be_passed_over(made: Made) -> None:
    """Rows of one day got their stamps six hours late; those before them were served."""
    history = made.damaged("stamped", lambda table: table)
    contract = made.project.contract
    view = contract.view_by_name[VIEW]
    with open_journal(contract, history, view) as journal:
        day = END - 5 * DAY
        stamps = [
            Stamped((courier,), day, planned, planned + 6 * HOUR, b"key", b"rows")
            for courier in range(1, COURIERS)
            if (courier + 5) % 4  # no correction follows
            for planned in [day + HOUR + 20 * MINUTE]
        ]
        journal.acknowledge(journal.intend("0" * 16, stamps), day + 8 * HOUR)
    assert made.certify(history=history)["train"] != made.certify()["train"]
