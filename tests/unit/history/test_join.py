"""What a dataset looks like, and what a join leaves out or refuses. Exactness: tests/property."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from feature_runtime.core.availability import Row, Status, Value
from feature_runtime.core.moments import HOUR, MINUTE
from proviso.contracts.base import ContractError
from proviso.contracts.feature_service import RequestFeature
from proviso.contracts.loading import load_plan
from proviso.contracts.section import runtime_service
from proviso.history.arrays import NEVER, NO_ROW, EncoderInputs, read_inputs
from proviso.history.duckdb.join import build_dataset
from proviso.history.files import history_file
from proviso.history.segments import stamps_file
from proviso.history.values import DatasetSummary, EntityRow
from tests.history_data import ZERO, contract, event, write_history, write_transactions
from tests.problems import refused
from tests.stamps import Stamp, record_stamps

PLANS = Path(__file__).parents[3] / "contracts"
READABLE = 15 * MINUTE
SALES = [
    event("b1", "s1", ZERO + HOUR, label=True, known=ZERO + 9 * HOUR, price=1234),
    event("b2", "s1", ZERO + 4 * HOUR, label=None),
    event("b9", "s1", ZERO + 5 * HOUR, label=False),
]


def _row(buyer: str, at: int, *values: Value, created: int | None = None) -> EntityRow:
    """A row of the hourly view; what is left out is null."""
    padded = (*values, *([None] * (6 - len(values))))
    return EntityRow((buyer,), Row(at, at + READABLE if created is None else created, padded))


HOURLY = [_row("b1", ZERO, 3, 1, 9.5), _row("b2", ZERO, 4, 1, None)]


def _build(
    work: Path,
    hourly: Sequence[EntityRow] = HOURLY,
    span: tuple[int, int] = (ZERO, ZERO + 10 * HOUR),
    **more: Any,
) -> tuple[DatasetSummary, list[dict[str, Any]]]:
    """A dataset of the hourly and the daily view; the daily one has no rows."""
    owner = contract()
    write_history(owner, owner.view_by_name["buyer_hourly"], hourly, work)
    write_history(owner, owner.view_by_name["shop_daily"], [], work)
    source = write_transactions(SALES, "string", work / "sales.parquet")
    views = ["buyer_hourly", "shop_daily"]
    done = build_dataset(owner, work, source, *span, work / "dataset.parquet", views, **more)
    return done, pq.read_table(done.path).to_pylist()


def test_a_dataset_has_the_stated_columns_in_order(tmp_path: Path) -> None:
    done, _ = _build(tmp_path)
    names = pq.read_schema(done.path).names
    fixed = "sale_id scoring_ts buyer_id shop_id label label_known_at"
    assert names[:11] == [*fixed.split(), "price", "pieces", "weight", "is_gift", "hour_of_day"]
    assert names[-4:] == [
        f"shop_daily__{what}" for what in ("return_share", "event_ts", "created_ts", "status")
    ]


def test_one_row_per_transaction_of_the_half_open_span(tmp_path: Path) -> None:
    done, rows = _build(tmp_path, span=(ZERO + HOUR, ZERO + 5 * HOUR))
    assert done.rows == 2
    assert [row["sale_id"] for row in rows] == [0, 1]


def test_labels_come_with_the_moment_they_are_known(tmp_path: Path) -> None:
    _, rows = _build(tmp_path)
    assert [row["label"] for row in rows] == [1, None, 0]
    assert rows[0]["label_known_at"].timestamp() * 1_000_000 == ZERO + 9 * HOUR
    assert rows[1]["label_known_at"] is None


def test_fields_are_major_units_and_clock_features_are_the_encoders(tmp_path: Path) -> None:
    _, rows = _build(tmp_path)
    assert [row["price"] for row in rows] == [12.34, 10.0, 10.0]
    assert [row["hour_of_day"] for row in rows] == [1.0, 4.0, 5.0]


def test_the_winner_is_given_as_stored_also_when_stale(tmp_path: Path) -> None:
    done, rows = _build(tmp_path)
    statuses = [row["buyer_hourly__status"] for row in rows]
    assert statuses == ["OK", "STALE", "MISSING_KEY"]
    assert [row["buyer_hourly__sales_1h"] for row in rows] == [3, 4, None]
    assert done.views[0].statuses == {"OK": 1, "STALE": 1, "MISSING_KEY": 1}
    assert {row["shop_daily__status"] for row in rows} == {"MISSING_KEY"}


def test_a_run_that_is_left_out_was_never_published(tmp_path: Path) -> None:
    newer = [*HOURLY, _row("b1", ZERO - HOUR, 2)]
    _, rows = _build(tmp_path, newer, left_out=[("buyer_hourly", ZERO), ("shop_daily", ZERO)])
    assert [row["buyer_hourly__sales_1h"] for row in rows] == [2, None, None]


def test_of_two_rows_with_the_same_times_the_first_stays_and_the_other_is_counted(
    tmp_path: Path,
) -> None:
    repeated = [*HOURLY, HOURLY[0], _row("b1", ZERO, 77), _row("b1", ZERO, 78)]
    done, rows = _build(tmp_path, repeated)
    assert rows[0]["buyer_hourly__sales_1h"] == 3
    assert [view.conflicts for view in done.views] == [2, 0]


def test_a_stamp_moves_the_moment_from_which_a_row_counts(tmp_path: Path) -> None:
    owner = contract()
    view = owner.view_by_name["buyer_hourly"]
    late = ZERO + HOUR + 1
    record_stamps(owner, tmp_path, view, [Stamp(("b1",), ZERO, ZERO + READABLE, late, late)])
    record_stamps(owner, tmp_path, view, [Stamp(("b2",), ZERO, ZERO + READABLE, late, late)])
    assert pq.read_table(stamps_file(tmp_path, view)).num_rows == 2
    _, rows = _build(tmp_path)
    assert [row["buyer_hourly__status"] for row in rows] == ["MISSING_KEY", "STALE", "MISSING_KEY"]
    assert rows[1]["buyer_hourly__created_ts"].timestamp() * 1_000_000 == late


def test_a_span_without_transactions_gives_an_empty_dataset(tmp_path: Path) -> None:
    done, rows = _build(tmp_path, span=(ZERO + 20 * HOUR, ZERO + 21 * HOUR))
    assert (done.rows, rows) == (0, [])
    inputs = _inputs(done.path)
    assert (len(inputs), inputs.values.shape) == (0, (0, 3))


def test_a_span_that_ends_before_it_starts_is_refused(tmp_path: Path) -> None:
    with refused("span_empty"):
        _build(tmp_path, span=(ZERO, ZERO))


def test_history_of_another_definition_is_refused(tmp_path: Path) -> None:
    owner = contract()
    view = owner.view_by_name["buyer_hourly"]
    write_history(owner, view, HOURLY, tmp_path)
    path = history_file(tmp_path, view)
    table = pq.read_table(path)
    source = write_transactions(SALES, "string", tmp_path / "sales.parquet")

    def refusal(changed: pa.Table, code: str) -> tuple[str, str, str]:
        pq.write_table(changed, path)
        out = tmp_path / "dataset.parquet"
        with refused(code) as problems:
            build_dataset(owner, tmp_path, source, ZERO, ZERO + HOUR, out, [view.name])
        return problems[0].path, problems[0].found, problems[0].wanted

    other = {b"proviso.schema": b"0123456789abcdef"}
    assert refusal(table.replace_schema_metadata(other), "history_schema_mismatch") == (
        f"{path}: schema",
        "0123456789abcdef",
        owner.schema_of(view),
    )
    assert refusal(table.drop_columns(["sales_1h"]), "history_column_mismatch") == (
        f"{path}: sales_1h",
        "nothing",
        "int64",
    )
    naive = table["event_ts"].cast(pa.timestamp("us"))
    assert refusal(table.set_column(1, "event_ts", naive), "history_column_mismatch") == (
        f"{path}: event_ts",
        "timestamp[us]",
        "timestamp[us, tz=UTC]",
    )
    path.unlink()
    with refused("file_not_found"):
        build_dataset(owner, tmp_path, source, ZERO, ZERO + HOUR, tmp_path / "d", [view.name])


def test_one_name_for_two_request_features_is_refused(tmp_path: Path) -> None:
    owner = contract()
    other = RequestFeature(name="hour_of_day", function="is_night", description="Another.")
    second = owner.feature_services[0].model_copy(update={"request_features": [other]})
    services = [*owner.feature_services, second]
    with refused("request_feature_ambiguous", by=ContractError):
        build_dataset(
            owner.model_copy(update={"feature_services": services}),
            tmp_path,
            tmp_path,
            0,
            1,
            tmp_path,
        )


def _inputs(dataset: Path) -> EncoderInputs:
    owner = contract()
    plan = load_plan(PLANS).model_copy(update={"service": "returns_v1"})
    return read_inputs(dataset, owner, runtime_service(owner, plan))


def test_arrays_carry_values_statuses_and_moments(tmp_path: Path) -> None:
    done, _ = _build(tmp_path)
    inputs = _inputs(done.path)
    ok, null, stale, missing = Status.OK, Status.NULL, Status.STALE, Status.MISSING_KEY
    assert inputs.status.tolist() == [[ok, ok, missing], [stale] * 2 + [missing], [missing] * 3]
    np.testing.assert_array_equal(inputs.values[:, :2], [[3, 9.5], [4, np.nan], [np.nan] * 2])
    np.testing.assert_array_equal(inputs.labels, [1, np.nan, 0])
    assert inputs.label_known_at.tolist() == [ZERO + 9 * HOUR, NEVER, ZERO + 9 * HOUR]
    assert inputs.event_ts["buyer_hourly"].tolist() == [ZERO, ZERO, NO_ROW]
    assert inputs.created_ts["shop_daily"].tolist() == [NO_ROW] * 3
    assert inputs.keys["buyer_id"].tolist() == ["b1", "b2", "b9"]
    assert inputs.fields["price"].tolist() == [12.34, 10.0, 10.0]
    assert null not in inputs.status


def test_a_null_in_a_fresh_row_has_a_status_of_its_own(tmp_path: Path) -> None:
    done, _ = _build(tmp_path, [_row("b1", ZERO, None, 1, float("nan"))])
    assert _inputs(done.path).status[0].tolist() == [Status.NULL, Status.TYPE, Status.MISSING_KEY]


def test_taking_rows_keeps_every_array_in_step(tmp_path: Path) -> None:
    done, _ = _build(tmp_path)
    inputs = _inputs(done.path)
    taken = inputs.take(np.array([2, 0]))
    assert taken.ids.tolist() == [2, 0]
    assert taken.at.tolist() == [ZERO + 5 * HOUR, ZERO + HOUR]
    assert taken.keys["buyer_id"].tolist() == ["b9", "b1"]
    assert len(inputs.take(inputs.labels == 1)) == 1


def test_a_dataset_that_lacks_what_the_service_consumes_is_refused(tmp_path: Path) -> None:
    done, _ = _build(tmp_path)
    table = pq.read_table(done.path).drop_columns(["shop_daily__return_share"])
    pq.write_table(table, done.path)
    with refused("dataset_column_missing") as problems:
        _inputs(done.path)
    assert problems[0].found == "no column shop_daily__return_share"
    with refused("file_not_found"):
        _inputs(tmp_path / "nothing.parquet")
