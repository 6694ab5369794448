"""Figures of a view's newest rows equal plain counting over the same rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from feature_runtime.core.moments import DAY, HOUR, MINUTE, SECOND
from proviso.contracts.contract import Contract, FeatureView
from proviso.contracts.loading import load_contract
from proviso.history.duckdb.live import live_entities
from proviso.history.duckdb.statistics import BINS, view_statistics
from proviso.history.files import MOMENT, history_columns, history_file

CONTRACTS = Path(__file__).parents[3] / "contracts"
H = 1_780_272_000 * SECOND
Cells = tuple[str, int, int, list[int | float | str | None]]


@pytest.fixture(scope="module")
def contract() -> Contract:
    return load_contract(CONTRACTS)


@pytest.fixture(scope="module")
def hourly(contract: Contract) -> FeatureView:
    """txn_count_1h int64, total_amount_1h float64, chargeback_count_30d int64."""
    return contract.view_by_name["customer_velocity_1h"]


def write(contract: Contract, view: FeatureView, history: Path, rows: list[Cells]) -> None:
    """A history of rows: id, event_ts, created_ts, feature values."""
    history.mkdir(exist_ok=True)
    schema = history_columns(contract, view)
    columns = [
        pa.array([row[0] for row in rows]),
        pa.array([row[1] for row in rows], MOMENT),
        pa.array([row[2] for row in rows], MOMENT),
        *(
            pa.array([row[3][n] for row in rows], schema.field(feature.name).type)
            for n, feature in enumerate(view.features)
        ),
    ]
    pq.write_table(pa.table(columns, schema=schema), history_file(history, view))


def run(view: FeatureView, customer: str, at: int, *values: int | float | str | None) -> Cells:
    return (customer, at, at + view.delay_to_readable, list(values))


def test_only_the_newest_run_counts(
    contract: Contract, hourly: FeatureView, tmp_path: Path
) -> None:
    old = [run(hourly, f"C{n}", H - HOUR, 9, 9.0, 9) for n in range(50)]
    new = [run(hourly, f"C{n}", H, n % 3, n / 4, None if n < 10 else 0) for n in range(40)]
    write(contract, hourly, tmp_path, [*old, *new])
    found = view_statistics(contract, tmp_path, hourly)
    assert found is not None
    assert (found.rows, found.newest, found.entities) == (90, H, 40)
    counts, amounts, chargebacks = found.features.values()
    assert counts.bins == (14, 13, 13)
    assert (counts.least, counts.median, counts.greatest, counts.nulls) == (0, 1, 2, 0)
    assert (amounts.least, amounts.greatest) == (0, 39 / 4)
    assert (chargebacks.nulls, chargebacks.median, chargebacks.bins) == (10, 0, (30,))


def test_a_correction_of_the_run_replaces_its_row(
    contract: Contract, hourly: FeatureView, tmp_path: Path
) -> None:
    first = run(hourly, "C1", H, 5, 5.0, 0)
    write(contract, hourly, tmp_path, [("C1", H, first[2] + HOUR, [7, 7.0, 0]), first])
    found = view_statistics(contract, tmp_path, hourly)
    assert found is not None
    assert (found.rows, found.entities) == (2, 1)
    assert found.features["txn_count_1h"].median == 7


def test_bins_are_those_of_plain_counting(
    contract: Contract, hourly: FeatureView, tmp_path: Path
) -> None:
    values = np.random.default_rng(2).lognormal(3, 1, 5_000).round(2)
    rows = [run(hourly, f"C{n}", H, n, float(v), n // 500) for n, v in enumerate(values)]
    write(contract, hourly, tmp_path, rows)
    found = view_statistics(contract, tmp_path, hourly)
    assert found is not None
    amounts = found.features["total_amount_1h"]
    assert amounts.low is not None
    assert amounts.high is not None
    assert {amounts.least, amounts.low, amounts.median, amounts.high} <= set(values.tolist())
    inside = np.clip(values, amounts.low, amounts.high)
    wanted, _ = np.histogram(inside, BINS, (amounts.low, amounts.high))
    assert sum(amounts.bins) == 5_000
    assert np.abs(np.array(amounts.bins) - wanted).max() <= 1  # at an edge the last digit decides
    many, few = found.features["txn_count_1h"].bins, found.features["chargeback_count_30d"].bins
    assert len(many) == BINS
    assert few == (500,) * 10


def test_a_feature_without_any_value_and_a_view_without_any_row(
    contract: Contract, hourly: FeatureView, tmp_path: Path
) -> None:
    write(contract, hourly, tmp_path, [run(hourly, "C1", H, None, 1.0, None)])
    found = view_statistics(contract, tmp_path, hourly)
    assert found is not None
    empty = found.features["txn_count_1h"]
    assert (empty.nulls, empty.median, empty.bins) == (1, None, ())
    assert sum(found.features["total_amount_1h"].bins) == 1
    write(contract, hourly, tmp_path, [])
    assert view_statistics(contract, tmp_path, hourly) is None


def test_of_an_on_event_view_each_entitys_newest_row_of_the_lookback_counts(
    contract: Contract, tmp_path: Path
) -> None:
    view = contract.view_by_name["customer_activity_live"]
    rest = (1, 1, 1.0, 1.0)
    rows = [
        run(view, "C1", H - 3 * DAY, 8, *rest),
        run(view, "C1", H - DAY, 3, *rest),
        run(view, "C2", H, 1, *rest),
        run(view, "C3", H - 8 * DAY, 9, *rest),
    ]
    write(contract, view, tmp_path, rows)
    found = view_statistics(contract, tmp_path, view)
    assert found is not None
    assert (found.newest, found.entities) == (H, 2)
    assert found.features["live_count_1h"].greatest == 3


def test_live_is_the_newest_run_that_can_be_read(
    contract: Contract, hourly: FeatureView, tmp_path: Path
) -> None:
    old = [run(hourly, name, H - HOUR, 1, 1.0, 0) for name in ("C1", "C2")]
    new = [run(hourly, name, H, 1, 1.0, 0) for name in ("C2", "C3")]
    write(contract, hourly, tmp_path, [*old, *new])
    readable = H + hourly.delay_to_readable

    def live(t: int) -> set[str]:
        return {str(ids[0]) for ids in live_entities(contract, tmp_path, hourly, t)}

    assert live(readable - 1) == {"C1", "C2"}
    assert live(readable) == {"C2", "C3"}
    assert live(H - HOUR) == set()
    assert live(H + hourly.temporal_join_lookback) == {"C2", "C3"}
    assert live(H + hourly.temporal_join_lookback + 1) == set()


def test_live_in_an_on_event_view_is_whom_the_lookback_reaches(
    contract: Contract, tmp_path: Path
) -> None:
    view = contract.view_by_name["customer_activity_live"]
    rest = (1, 1, 1, 1.0, 1.0)
    rows = [run(view, "C1", H - 7 * DAY, *rest), run(view, "C2", H - MINUTE, *rest)]
    write(contract, view, tmp_path, [*rows, run(view, "C2", H - DAY, *rest)])
    found = [sorted(live_entities(contract, tmp_path, view, t)) for t in (H, H + 1, H - 1)]
    assert found == [[("C1",), ("C2",)], [("C2",)], [("C1",), ("C2",)]]


def test_strings_have_their_nulls_counted(contract: Contract, tmp_path: Path) -> None:
    view = contract.view_by_name["customer_velocity_1h"]
    text = view.features[0].model_copy(update={"dtype": "string"})
    worded = view.model_copy(update={"features": [text, *view.features[1:]]})
    stated = contract.model_copy(
        update={"feature_views": [worded if v is view else v for v in contract.feature_views]}
    )
    rows = [run(worded, f"C{n}", H, "AA" if n else None, float(n), 0) for n in range(4)]
    write(stated, worded, tmp_path, rows)
    found = view_statistics(stated, tmp_path, worded)
    assert found is not None
    assert (found.features[text.name].nulls, found.features[text.name].bins) == (1, ())
