"""CSV files: their text, row by row, and the line of what is wrong."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from proviso.sources.tables import LINE
from tests.problems import refused
from tests.unit.sources.reading import rows_of


def _rows(path: Path, content: bytes, **form: object) -> list[dict[str, object]]:
    (path / "a.csv").write_bytes(content)
    return rows_of({"path": "a.csv", "csv": form}, path)


@pytest.mark.parametrize(
    "content",
    [
        b"id,name\n1,one\n2,two\n",
        b"id,name\r\n1,one\r\n2,two\r\n",
        b"\xef\xbb\xbfid,name\n1,one\n2,two",
        b'"id","name"\n"1","one"\n"2","two"\n',
    ],
    ids=["plain", "crlf", "bom", "quoted"],
)
def test_forms_of_one_file(content: bytes, tmp_path: Path) -> None:
    assert _rows(tmp_path, content) == [
        {"id": "1", "name": "one", LINE: 2},
        {"id": "2", "name": "two", LINE: 3},
    ]


def test_quoted_fields_hold_delimiters_quotes_and_lines(tmp_path: Path) -> None:
    content = b'id,name\n1,"a, ""b""\nc"\n\n2,"\xc3\xa9"\n'
    assert _rows(tmp_path, content) == [
        {"id": "1", "name": 'a, "b"\nc', LINE: 2},
        {"id": "2", "name": "é", LINE: 5},
    ]


def test_an_empty_field_is_null_and_so_are_declared_texts(tmp_path: Path) -> None:
    rows = _rows(tmp_path, b"id;name\n1;NA\n2;\n3;x\n", delimiter=";", nulls=["NA"])
    assert [row["name"] for row in rows] == [None, None, "x"]


def test_a_packed_file(tmp_path: Path) -> None:
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(b"id\n1\n"))
    assert rows_of("a.csv.gz", tmp_path) == [{"id": "1", LINE: 2}]


def test_a_folder_of_files_and_a_declared_folder(tmp_path: Path) -> None:
    for day, number in (("2026-01-01", 1), ("__HIVE_DEFAULT_PARTITION__", 2), ("a%20b", 3)):
        (tmp_path / f"data/day={day}").mkdir(parents=True)
        (tmp_path / f"data/day={day}/a.csv").write_text(f"id\n{number}\n")
    location = {"path": "data", "format": "csv", "partitions": ["day"]}
    assert [row["day"] for row in rows_of(location, tmp_path)] == ["2026-01-01", None, "a b"]
    without = rows_of({"path": "data", "format": "csv"}, tmp_path)
    assert all("day" not in row for row in without)


def test_only_the_columns_that_are_asked_for_are_copied(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id,wide,name\n1,x,one\n")
    assert rows_of("a.csv", tmp_path, ["name", "other"]) == [{"name": "one", LINE: 2}]


def test_many_rows_come_in_parts(tmp_path: Path) -> None:
    lines = "".join(f"{number:06d},{number % 7}\n" for number in range(40_000))
    (tmp_path / "a.csv").write_text("id,n\n" + lines)
    rows = rows_of("a.csv", tmp_path)
    assert len(rows) == 40_000
    assert rows[-1] == {"id": "039999", "n": str(39_999 % 7), LINE: 40_001}


@pytest.mark.parametrize(
    ("content", "code", "line"),
    [
        (b"id,name\n1,one\n2\n", "csv_fields_mismatch", 3),
        (b"id,name\n1,one\n2,two,three\n", "csv_fields_mismatch", 3),
        (b'id,name\n1,"one\ntwo"\n2,a,b\n', "csv_fields_mismatch", 4),
        (b'id,name\n1,"one"x\n', "csv_malformed", 2),
        (b'id,name\n1,one\n2,"never closed\n3,three\n', "csv_malformed", 3),
        (b"id,name\n1," + b"x" * 200_000 + b"\n", "csv_malformed", 2),
        (b"id,name\n1,one\n2,\xff\n", "csv_not_utf8", 3),
        (b"id,name,id\n1,one,2\n", "csv_header_invalid", 1),
        (b"", "csv_header_invalid", 0),
        (b"\n\n", "csv_header_invalid", 0),
    ],
    ids=[
        "short", "long", "after lines in quotes", "text after a quote", "open quote",
        "huge field", "bytes", "name twice", "empty", "blank",
    ],
)  # fmt: skip
def test_what_is_wrong_has_a_line(content: bytes, code: str, line: int, tmp_path: Path) -> None:
    with refused(code) as problems:
        _rows(tmp_path, content)
    assert problems[0].line == line
    assert problems[0].path.endswith("a.csv")
