"""The certificate judges values that are known later by the data: when they count, and what."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from feature_runtime.core.moments import DAY, parse_moment
from proviso.contracts.base import ContractError
from proviso.contracts.contract import Contract
from proviso.history.duckdb.features import compute_history
from proviso.history.files import history_file
from proviso.training import certificate
from proviso.training.data import Project, Request
from proviso.training.spec import Boosting, TrainingSpec
from proviso.training.train import certified
from proviso.training.weeks import Days
from tests import parcel_data

END = parse_moment("2026-03-29T00:00:00Z")
VIEW, FEATURE = "courier_load_6h", "big_share_7d"


def landing(contract: Contract, known_at: str | None) -> Contract:
    """The parcels with the minutes by which a delivery is late, of which a feature is the mean."""
    stated = contract.model_dump(mode="json")
    known = {"known_at": known_at} if known_at else {}
    rows = contract.observations_of().rows.name
    (source,) = (one for one in stated["sources"] if one["name"] == rows)
    source["columns"]["minutes"] = {"dtype": "int64", "nullable": True, **known}
    (view,) = (one for one in stated["feature_views"] if one["name"] == VIEW)
    (feature,) = (one for one in view["features"] if one["name"] == FEATURE)
    feature["sql"] = "minutes_7d"
    mean = {"name": "minutes_7d", "function": "mean", "of": "minutes", "window": "P7D"}
    view["aggregates"].append({**mean, "dated": "known" if known else "event"})
    return Contract.model_validate(stated)


def write_landings(transactions: Path) -> None:
    """Adds the minutes, which are known a day later, and of every ninth delivery not at all."""
    table = pq.read_table(transactions)
    rows = table.num_rows
    minutes = pa.array([None if n % 9 == 0 else n % 40 for n in range(rows)], pa.int64())
    landed = pc.add(table["set_out_at"].cast(pa.int64()), DAY).cast(table["set_out_at"].type)
    table = table.append_column("minutes", minutes).append_column("landed_at", landed)
    pq.write_table(table, transactions)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Project, Request]]:
    folder = tmp_path_factory.mktemp("late")
    parcels = parcel_data.make(folder, END, 30, days=10)
    write_landings(parcels.transactions)
    contract = landing(parcels.contract, "landed_at")
    request = Request(
        parcels.transactions,
        Days(END - 5 * DAY, END - 4 * DAY),
        Days(END - 2 * DAY, END - DAY),
        parcels.contract.observations_of().label.delay,
        folder / "late_history",
    )
    compute_history(contract, parcels.transactions, folder / "late_history")
    spec = TrainingSpec(boosting=Boosting(trees=20, max_depth=3))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(certificate, "SAMPLE", 60)
        yield Project(contract, parcels.plan, spec), request


def certify(project: Project, request: Request) -> None:
    certified(project, request, Path("unused"), lambda _: None)


def test_a_delay_that_counts_on_landing_is_right(made: tuple[Project, Request]) -> None:
    project, request = made
    certify(project, request)
    assert request.history is not None
    view = project.contract.view_by_name[VIEW]
    values = pq.read_table(history_file(request.history, view))[FEATURE]
    assert values.null_count < len(values)


def test_a_delay_that_counts_at_the_event_is_found(
    made: tuple[Project, Request], tmp_path: Path
) -> None:
    """The history is right but for the mean of delays, which has each at its event."""
    project, request = made
    contract, view = project.contract, project.contract.view_by_name[VIEW]
    assert request.history is not None
    compute_history(contract, request.transactions, tmp_path)
    hasty = landing(_without_minutes(contract), None)
    compute_history(hasty, request.transactions, tmp_path / "hasty")
    table = pq.read_table(history_file(request.history, view))
    early = pq.read_table(history_file(tmp_path / "hasty", view))
    place = table.schema.get_field_index(FEATURE)
    leaking = table.set_column(place, table.schema.field(FEATURE), early[FEATURE])
    assert not leaking.equals(table)
    pq.write_table(leaking, history_file(tmp_path, view))
    with pytest.raises(ContractError, match=f"{VIEW}: the row of") as refused:
        certify(project, replace(request, history=tmp_path))
    assert {problem.code for problem in refused.value.problems} == {"training_set_leaks"}


def _without_minutes(contract: Contract) -> Contract:
    """The contract as it was before `landing` added what it adds."""
    stated = contract.model_dump(mode="json")
    for source in stated["sources"]:
        source.get("columns", {}).pop("minutes", None)
    for view in stated["feature_views"]:
        view["aggregates"] = [a for a in view["aggregates"] if a["name"] != "minutes_7d"]
    return Contract.model_validate(stated)
