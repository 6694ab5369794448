"""Datasets, predictions and records lose an entity's rows; what cannot be searched is named."""

from __future__ import annotations

import hashlib
import hmac
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from proviso.forget.report import Report
from proviso.forget.run import Places, forget
from proviso.forget.subject import parse_subject
from tests.history_data import contract, event, write_transactions
from tests.problems import refused

KEY = b"0123456789abcdef"


def forgotten(places: Places, *, dry_run: bool = False) -> Report:
    owner = contract()
    return forget(owner, parse_subject(owner, "buyer:b1"), places, dry_run=dry_run)


def sales(folder: Path) -> Path:
    """Three sales; the first and the last are b1's."""
    return write_transactions(
        [event(b) for b in ("b1", "b2", "b1")], "string", folder / "s.parquet"
    )


def table(path: Path, **columns: list[object]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(
        pa.table(columns).replace_schema_metadata({"mine": "kept"}), path, row_group_size=2
    )
    return path


def record(buyer: str, number: int) -> str:
    return json.dumps({"request_id": f"r{number}", "entities": {"buyer": buyer, "shop": "s1"}})


def test_a_dataset_is_searched_by_key_and_predictions_by_transaction(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    dataset = table(
        folder / "deep" / "dataset.parquet", buyer_id=["b1", None, "b2", "b1"], x=[1, 2, 3, 4]
    )
    scores = table(folder / "predictions.parquet", sale_id=[0, 1, 2], score=[0.1, 0.2, 0.3])
    source = sales(tmp_path)
    report = forgotten(Places(source, files=(folder,)))
    assert pq.read_table(dataset)["x"].to_pylist() == [2, 3]
    assert pq.read_schema(dataset).metadata[b"mine"] == b"kept"
    assert pq.read_table(scores)["sale_id"].to_pylist() == [1]
    assert pq.read_table(source)["buyer_id"].to_pylist() == ["b2"]
    assert [one.count for one in report.removed] == [2, 2, 2]


def test_a_table_of_neither_is_named(tmp_path: Path) -> None:
    path = table(tmp_path / "figures.parquet", day=[1, 2])
    was = path.read_bytes()
    report = forgotten(Places(files=(path,)))
    assert (str(path), "not_told_apart") in {(r.place, r.code) for r in report.remains}
    assert path.read_bytes() == was


def test_records_lose_its_lines_and_torn_ones_that_name_it(tmp_path: Path) -> None:
    path = tmp_path / "records.jsonl"
    lines = [
        record("b1", 0),
        record("b2", 1),
        '{"entities": {"buyer": "b1", "sh',
        '{"torn',
        record("b1", 2),
    ]
    path.write_text("\n".join(lines) + "\n")
    report = forgotten(Places(files=(path,)))
    assert path.read_text().splitlines() == [lines[1], lines[3]]
    assert [one.count for one in report.removed] == [3]
    assert report.finished


def test_hashed_records_need_the_key(tmp_path: Path) -> None:
    path = tmp_path / "records.jsonl"
    hashed = {
        b: hmac.new(KEY, f"buyer:{b}".encode(), hashlib.sha256).hexdigest() for b in ("b1", "b2")
    }
    path.write_text("".join(record(h, 0) + "\n" for h in hashed.values()))
    blind = forgotten(Places(files=(path,)))
    assert not blind.finished
    assert "record_hashed" in {one.code for one in blind.remains}
    assert forgotten(Places(files=(path,), hash_key=KEY)).finished
    assert path.read_text() == record(hashed["b2"], 0) + "\n"


def test_a_record_that_a_pod_has_open_stays_and_is_named(tmp_path: Path) -> None:
    path = tmp_path / "records.jsonl"
    path.write_text(record("b1", 0) + "\n")
    with path.open("ab") as pod:
        report = forgotten(Places(files=(path,)))
        pod.write(record("b2", 1).encode() + b"\n")
    assert not report.finished
    assert "record_in_use" in {one.code for one in report.remains}
    assert len(path.read_text().splitlines()) == 2
    assert forgotten(Places(files=(path,))).finished


def test_a_landing_loses_its_rows_and_keeps_its_parts(tmp_path: Path) -> None:
    landing = tmp_path / "landing"
    landing.mkdir()
    first = landing / f"part-{1:012d}-{1:012d}.parquet"
    sales(tmp_path).rename(first)
    forgotten(Places(landing=landing))
    assert pq.read_table(first)["buyer_id"].to_pylist() == ["b2"]


@pytest.mark.parametrize("place", ["transactions", "history", "landing", "files"])
def test_a_place_that_is_not_there_is_refused(place: str, tmp_path: Path) -> None:
    gone = tmp_path / "gone.parquet"
    places = {
        "transactions": Places(gone),
        "history": Places(sales(tmp_path), gone),
        "landing": Places(landing=gone),
        "files": Places(files=(gone,)),
    }
    with refused("file_not_found"):
        forgotten(places[place])


def test_what_no_call_can_take_away_is_said(tmp_path: Path) -> None:
    codes = {one.code for one in forgotten(Places(sales(tmp_path))).remains}
    assert {"bound_by_digests", "not_ours", "not_searched"} <= codes
