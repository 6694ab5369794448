"""Files, folders and globs: which files they name, and what a file that changes leads to."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from proviso.contracts.locations import Location
from proviso.sources import open_source
from tests.problems import refused
from tests.unit.sources.reading import rows_of


def _write(path: Path, *ids: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"id": list(ids), "amount": [1.0] * len(ids)}), path)


def _ids(place: str, folder: Path) -> list[int]:
    return [row["id"] for row in rows_of(place, folder)]


def test_a_path_is_relative_to_the_project(tmp_path: Path) -> None:
    _write(tmp_path / "data/a.parquet", 1)
    assert _ids("data/a.parquet", tmp_path) == [1]
    assert _ids(str(tmp_path / "data/a.parquet"), Path()) == [1]


def test_a_folder_is_every_file_below_it(tmp_path: Path) -> None:
    _write(tmp_path / "data/b.parquet", 2)
    _write(tmp_path / "data/deep/er/a.parquet", 1)
    (tmp_path / "data/_SUCCESS").touch()
    (tmp_path / "data/.a.parquet.crc").touch()
    (tmp_path / "data/_temporary").mkdir()
    (tmp_path / "data/_temporary/c.txt").touch()
    assert _ids("data", tmp_path) == [1, 2]


def test_a_foreign_file_in_a_folder_is_refused(tmp_path: Path) -> None:
    _write(tmp_path / "data/a.parquet", 1)
    (tmp_path / "data/notes.txt").touch()
    with refused("source_folder_foreign") as problems:
        rows_of("data", tmp_path)
    assert "notes.txt" in problems[0].found
    assert _ids("data/*.parquet", tmp_path) == [1]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("data/part-?.parquet", [1]),
        ("data/*.parquet", [1, 2]),
        ("data/*/*.parquet", [3]),
        ("data/**/*.parquet", [1, 2, 3]),
        ("data/**", [1, 2, 3]),
        ("data/part-[0-9]*.parquet", [1, 2]),
        ("*/part-1.parquet", [1]),
    ],
)
def test_a_glob(pattern: str, expected: list[int], tmp_path: Path) -> None:
    _write(tmp_path / "data/part-1.parquet", 1)
    _write(tmp_path / "data/part-22.parquet", 2)
    _write(tmp_path / "data/old/part-3.parquet", 3)
    assert _ids(pattern, tmp_path) == expected


def test_a_file_whose_name_is_a_pattern_is_that_file(tmp_path: Path) -> None:
    _write(tmp_path / "a[1].parquet", 1)
    _write(tmp_path / "a1.parquet", 2)
    assert _ids("a[1].parquet", tmp_path) == [1]


@pytest.mark.parametrize(
    ("place", "code"),
    [
        ("nothing.parquet", "file_not_found"),
        ("data/*.parquet", "source_files_missing"),
        ("nowhere/**/*.parquet", "source_files_missing"),
        ("empty", "source_files_missing"),
    ],
)
def test_no_file_is_refused(place: str, code: str, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "empty").mkdir()
    with refused(code):
        rows_of(place, tmp_path)


def test_a_declared_folder_must_be_on_every_path(tmp_path: Path) -> None:
    _write(tmp_path / "data/day=2026-01-01/a.parquet", 1)
    _write(tmp_path / "data/b.parquet", 2)
    with refused("source_partition_missing"):
        rows_of({"path": "data", "partitions": ["day"]}, tmp_path)


@pytest.mark.parametrize("fails", [False, True])
def test_a_file_that_changes_while_it_is_read_is_refused(fails: bool, tmp_path: Path) -> None:
    place = tmp_path / "a.parquet"
    _write(place, 1)
    with refused("source_changed"), open_source(Location(path=str(place)), None, tmp_path):
        _write(tmp_path / "new.parquet", 1, 2)
        (tmp_path / "new.parquet").replace(place)
        if fails:
            raise OSError("a reader that met half of each")


def test_a_file_that_goes_while_it_is_read_is_refused(tmp_path: Path) -> None:
    place = tmp_path / "a.parquet"
    _write(place, 1)
    with refused("source_changed"), open_source(Location(path=str(place)), None, tmp_path):
        place.unlink()
