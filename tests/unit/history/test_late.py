"""When a late value is known: the cases of the rule, one by one (docs/time.md)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from feature_runtime.core.moments import HOUR, MINUTE
from proviso.contracts.base import ContractError
from proviso.contracts.contract import Aggregate, Contract
from proviso.contracts.sources import KnownAt
from proviso.history.duckdb.features import chosen_views, compute_history
from proviso.history.duckdb.join import build_dataset
from proviso.history.duckdb.loaded import open_transactions
from proviso.history.values import Event
from tests.aggregate_cases import only
from tests.history_data import LABEL, ZERO, contract, event, read_history
from tests.late_data import DELAYS, late_contract, write_late
from tests.problems import refused

VIEW = "buyer_hourly"
NOTHING: Mapping[str, Any] = {
    **dict.fromkeys(DELAYS),
    "_landed_at": None,
    "_rated_at": None,
    "_seen_at": None,
}


def sale(late: int = 0, **values: Any) -> Event:
    """A sale at ZERO with late values and moments as its file states them."""
    made = event(at=ZERO, late=late)
    known = dict.fromkeys(DELAYS)
    return replace(
        made, columns={**made.columns, **NOTHING, **values}, known={**made.known, **known}
    )


def counted(made: Event, aggregate: dict[str, Any], folder: Path) -> list[int]:
    """The runs, in hours after ZERO, whose window of an hour and a half has the sale."""
    stated = {"name": "n", "window": "PT1H30M", "dated": "known", **aggregate}
    owner = only(stated, of=late_contract())
    source = write_late([made], "string", folder / "sales.parquet")
    compute_history(owner, source, folder / "h", ZERO - 3 * HOUR, ZERO + 6 * HOUR)
    rows = read_history(owner, owner.view_by_name[VIEW], folder / "h")
    return [(r.row.event_ts - ZERO) // HOUR for r in rows if r.row.values[0]]


MINUTES = {"function": "count", "where": "minutes > 3"}
REFUND = {"function": "sum", "of": "refund"}
RATED = {"function": "count", "where": "rating = 'bad'"}
BOTH = {"function": "sum", "of": "minutes", "where": "rating = 'bad'"}


@pytest.mark.parametrize(
    ("aggregate", "values", "runs"),
    [
        (MINUTES, {"minutes": 5, "landed_at": ZERO + 2 * HOUR}, [2, 3]),
        (MINUTES, {"minutes": 5, "landed_at": ZERO + 2 * HOUR + 1}, [3]),
        (MINUTES, {"minutes": 5, "landed_at": None}, []),
        (MINUTES, {"minutes": None, "landed_at": ZERO}, []),
        ({**MINUTES, "where": "minutes is null"}, {"landed_at": ZERO}, []),
        (REFUND, {"refund": 250}, [2]),
        (RATED, {"rating": "bad"}, [3, 4]),
        (RATED, {"rating": "bad", "_rated_at": ZERO + HOUR}, [1, 2]),
        (BOTH, {"minutes": 5, "landed_at": ZERO, "rating": "bad"}, [3, 4]),
        (BOTH, {"minutes": 5, "landed_at": ZERO + 5 * HOUR, "rating": "bad"}, [5]),
        (BOTH, {"minutes": 5, "landed_at": None, "rating": "bad"}, []),
    ],
)
def test_an_event_counts_from_when_all_values_are_known(
    aggregate: dict[str, Any], values: dict[str, Any], runs: list[int], tmp_path: Path
) -> None:
    assert counted(sale(**values), aggregate, tmp_path) == runs


@pytest.mark.parametrize(
    ("late", "before", "runs"),
    [
        # The stated moment is the one that counts, and the window is around it.
        (0, 0, [0, 1]),
        (0, HOUR, [0]),
        (0, 2 * HOUR, []),
        # It never counts before it has arrived.
        (30 * MINUTE, 0, [1]),
        (HOUR + 11 * MINUTE, 0, []),
    ],
)
def test_a_value_that_is_known_before_its_event_counts_from_its_arrival(
    late: int, before: int, runs: list[int], tmp_path: Path
) -> None:
    made = sale(late, minutes=5, landed_at=ZERO - before)
    assert counted(made, MINUTES, tmp_path) == runs


def test_a_source_without_the_moments_of_a_value_is_refused(tmp_path: Path) -> None:
    owner, source = late_contract(), write_late([sale()], "string", tmp_path / "s.parquet")
    table = pq.read_table(source)
    pq.write_table(table.drop_columns(["rated_at", "seen_at"]), source)
    compute_history(owner, source, tmp_path / "h")
    pq.write_table(table.drop_columns(["landed_at"]), source)
    with refused("source_column_missing") as problems:
        compute_history(owner, source, tmp_path / "h")
    assert problems[0].wanted == "also landed_at"


def test_a_moment_of_a_value_that_cannot_be_is_refused(tmp_path: Path) -> None:
    source = write_late([sale()], "string", tmp_path / "s.parquet")
    table = pq.read_table(source)
    place = table.schema.get_field_index("rated_at")
    old = pa.array([-1], table.schema.field("rated_at").type)
    pq.write_table(table.set_column(place, table.schema.field("rated_at"), old), source)
    with refused("source_moment_out_of_range") as problems:
        compute_history(late_contract(), source, tmp_path / "h")
    assert problems[0].path == f"{source}: rated_at"


def known_by_column(owner: Contract) -> Contract:
    """The label is known at the moment of its column, without a delay in its place."""
    rows = owner.observations_of().rows
    label = rows.columns[LABEL].model_copy(update={"known_at": KnownAt(column="returned_at")})
    changed = rows.model_copy(update={"columns": {**rows.columns, LABEL: label}})
    sources = [changed if one.name == rows.name else one for one in owner.sources]
    return owner.model_copy(update={"sources": sources})


def test_a_label_without_a_moment_or_a_delay_is_not_known(tmp_path: Path) -> None:
    """It must not count at its event, nor be learned from."""
    made = [replace(sale(), id=1), replace(sale(), id=2)]
    source = write_late(made, "string", tmp_path / "s.parquet")
    table = pq.read_table(source)
    place = table.schema.get_field_index("returned_at")
    moments = pa.array([ZERO + HOUR, None], table.schema.field("returned_at").type)
    pq.write_table(table.set_column(place, table.schema.field("returned_at"), moments), source)
    count = {"name": "n", "function": "count", "where": f"{LABEL} is not null", "dated": "known"}
    owner = known_by_column(only({**count, "window": "PT9H"}, of=late_contract()))
    with open_transactions(owner, source) as loaded:
        known = loaded.labels_known(ZERO, ZERO + 1, HOUR, ZERO + 9 * HOUR)
        assert known.tolist() == [True, False]
        loaded.compute_history(tmp_path / "h", ZERO, ZERO + 3 * HOUR, ["buyer_hourly"])
    rows = read_history(owner, owner.view_by_name["buyer_hourly"], tmp_path / "h")
    assert [row.values[0] for _, row in rows] == [0, 1, 1]
    empty = owner.model_copy(update={"feature_views": []})
    build_dataset(empty, tmp_path / "h", source, ZERO, ZERO + 1, tmp_path / "d.parquet")
    dataset = pq.read_table(tmp_path / "d.parquet")
    assert dataset["label"].to_pylist() == [0, 0]
    assert dataset["label_known_at"].null_count == 1


def test_the_engine_refuses_an_aggregate_without_a_late_value() -> None:
    owner = contract()
    (view, *others) = owner.feature_views
    stated = Aggregate.model_validate(
        {"name": "n", "function": "count", "dated": "known", "window": "P1D"}
    )
    changed = view.model_copy(update={"aggregates": [*view.aggregates, stated]})
    with pytest.raises(ContractError, match=r"aggregates\[n\].dated"):
        chosen_views(owner.model_copy(update={"feature_views": [changed, *others]}), None)
