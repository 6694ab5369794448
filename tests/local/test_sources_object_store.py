"""Files and tables in an S3-compatible store: moto's server, a process of its own.

moto checks no signature: that a wrong key is refused is the store's part and not shown here.
"""

from __future__ import annotations

import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq
import pytest
from deltalake import write_deltalake

from proviso.contracts.locations import Location
from proviso.local.processes import free_ports
from proviso.sources import open_source
from tests.problems import refused

KEYS = {"AWS_KEY": "shop-reader", "AWS_SECRET": "s3cret-of-the-shop"}
ROWS = pa.table({"id": [1, 2, 3], "amount": [1.0, 2.0, 3.0]})


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    port = free_ports(1)[0]
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait(f"http://127.0.0.1:{port}")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(timeout=60)


def _wait(url: str) -> None:
    for _ in range(600):
        try:
            with urllib.request.urlopen(url, timeout=1):
                return
        except (urllib.error.URLError, TimeoutError, ConnectionError):
            time.sleep(0.1)
    raise RuntimeError("moto's server did not start")


@pytest.fixture
def files(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    files = pafs.S3FileSystem(
        access_key=KEYS["AWS_KEY"], secret_key=KEYS["AWS_SECRET"], region="us-east-1",
        scheme="http", endpoint_override=endpoint.removeprefix("http://"),
        allow_bucket_creation=True,
    )  # fmt: skip
    files.create_dir("shop")
    return files


def _location(endpoint: str, **place: Any) -> Location:
    keys = {"access_key_id": {"env": "AWS_KEY"}, "secret_access_key": {"env": "AWS_SECRET"}}
    store = {"endpoint": endpoint, "region": "us-east-1", **keys}
    return Location.model_validate({**place, "store": store})


def _read(location: Location, copies: Path, columns: list[str] | None = None) -> pa.Table:
    with open_source(location, columns, copies) as files:
        tables = [pq.read_table(path) for path in files.paths]
    return pa.concat_tables(tables, promote_options="default")


def test_a_file_a_folder_and_a_glob(files: Any, endpoint: str, tmp_path: Path) -> None:
    for number in range(3):
        path = f"shop/sales/day=2026-01-0{number + 1}/part.parquet"
        pq.write_table(ROWS.slice(number, 1), path, filesystem=files)
    with files.open_output_stream("shop/sales/_SUCCESS") as marker:
        marker.write(b"")
    whole = _read(_location(endpoint, path="s3://shop/sales", partitions=["day"]), tmp_path)
    assert whole.to_pylist() == [
        {"id": n, "amount": float(n), "day": f"2026-01-0{n}"} for n in (1, 2, 3)
    ]
    one = "s3://shop/sales/day=2026-01-02/part.parquet"
    assert _read(_location(endpoint, path=one), tmp_path, ["id"]).to_pylist() == [{"id": 2}]
    some = _location(endpoint, path="s3://shop/sales/day=2026-01-0[12]/*.parquet")
    assert _read(some, tmp_path, ["id"]).to_pylist() == [{"id": 1}, {"id": 2}]


def test_a_csv_file(files: Any, endpoint: str, tmp_path: Path) -> None:
    with files.open_output_stream("shop/sales.csv") as file:
        file.write(b"id,name\n1,one\n")
    rows = _read(_location(endpoint, path="s3://shop/sales.csv"), tmp_path, ["id", "name"])
    assert rows.drop_columns(["_proviso_line"]).to_pylist() == [{"id": "1", "name": "one"}]


def test_a_delta_table(files: Any, endpoint: str, tmp_path: Path) -> None:
    assert files
    options = {
        "aws_access_key_id": KEYS["AWS_KEY"], "aws_secret_access_key": KEYS["AWS_SECRET"],
        "aws_region": "us-east-1", "aws_endpoint_url": endpoint, "aws_allow_http": "true",
        "aws_conditional_put": "etag",
    }  # fmt: skip
    write_deltalake("s3://shop/table", ROWS, storage_options=options)
    for place in ({"delta": "s3://shop/table"}, {"path": "s3://shop/table"}):
        rows = _read(_location(endpoint, **place), tmp_path, ["id"])
        assert sorted(rows["id"].to_pylist()) == [1, 2, 3]


def test_what_is_not_there_is_named_without_the_keys(
    files: Any, endpoint: str, tmp_path: Path
) -> None:
    assert files
    with refused("file_not_found") as problems:
        _read(_location(endpoint, path="s3://shop/nothing.parquet"), tmp_path)
    assert problems[0].path == "s3://shop/nothing.parquet"
    with refused("source_files_missing") as problems:
        _read(_location(endpoint, path="s3://no-such-bucket/data/x*.parquet"), tmp_path)
    assert not any(value in str(problems[0]) for value in KEYS.values())


def test_an_object_that_changes_while_it_is_read_is_refused(
    files: Any, endpoint: str, tmp_path: Path
) -> None:
    pq.write_table(ROWS, "shop/changing.parquet", filesystem=files)
    location = _location(endpoint, path="s3://shop/changing.parquet")
    with refused("source_changed"), open_source(location, None, tmp_path):
        pq.write_table(ROWS.slice(0, 2), "shop/changing.parquet", filesystem=files)
