"""The reader of prediction records: former schema, damaged lines with their place, bounds."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from feature_runtime.core.record import ADDED, FORMER_SCHEMA, SCHEMA, PredictionRecord
from proviso.contracts.base import InputError, Problem
from proviso.records import reader
from proviso.records.reader import RecordReader, parse_record

FIELDS = ("request_id", "index", "scored_at")
GOOD: dict[str, Any] = {
    "schema": SCHEMA,
    "request_id": "q",
    "traffic": "live",
    "index": 0,
    "scored_at": "2026-06-01T12:00:00Z",
}


def line(**changes: Any) -> str:
    return json.dumps(GOOD | changes)


def read(
    path: Path, *lines: str, fields: Sequence[str] = FIELDS, most: int | None = None
) -> tuple[list[PredictionRecord], RecordReader]:
    path.write_text("\n".join(lines))
    opened = RecordReader(path, fields, most)
    return list(opened), opened


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "record.jsonl"


def test_a_record_of_the_former_schema_gets_present_names(path: Path) -> None:
    former = {k: v for k, v in GOOD.items() if k != "traffic"}
    for arm, traffic in (("serve", "live"), ("shadow", "shadow")):
        changes = {"schema": FORMER_SCHEMA, "arm": arm, "contract_digest": "sha256:d"}
        [found], _ = read(path, json.dumps(former | changes), fields=("traffic",))
        assert (found["schema"], found["traffic"]) == (SCHEMA, traffic)
        assert found["service_digest"] == "sha256:d"


@pytest.mark.parametrize("schema", [SCHEMA, FORMER_SCHEMA])
def test_fields_that_an_older_record_lacks_are_null(path: Path, schema: str) -> None:
    [older], _ = read(path, line(schema=schema))
    assert [older["client_request_id"], older["protocol"]] == [None, None]
    assert [older["pod"], older["threshold"]] == [None, None]
    present = {"client_request_id": "c", "protocol": "grpc", "pod": "p-1", "threshold": 0.5}
    [newer], _ = read(path, line(**present))
    assert present.items() <= newer.items()


DAMAGED: dict[str, tuple[str, str, str]] = {
    "torn": (line()[:-5], "record_not_json", ""),
    "not an object": ("[]", "record_not_json", ""),
    "deep": ("[" * 100_000, "record_not_json", ""),
    "a later schema": (line(schema="proviso.prediction.v9"), "record_schema_unknown", " schema"),
    "no schema": (line(schema=None), "record_schema_unknown", " schema"),
    "a number for an id": (line(request_id=7), "record_field_invalid", " request_id"),
    "a boolean for an index": (line(index=True), "record_field_invalid", " index"),
    "no moment": (line(scored_at="yesterday"), "record_field_invalid", " scored_at"),
    "an unknown arm": (line(schema=FORMER_SCHEMA, arm="x"), "record_field_invalid", " arm"),
}


@pytest.mark.parametrize(("text", "code", "where"), DAMAGED.values(), ids=DAMAGED.keys())
def test_a_damaged_line_is_counted_and_placed(path: Path, text: str, code: str, where: str) -> None:
    found, opened = read(path, line(), "", text, line(index=1))
    assert [one["index"] for one in found] == [0, 1]
    assert opened.damaged == 1
    assert opened.first is not None
    assert (opened.first.code, opened.first.path) == (code, f"{path}:3{where}")


def test_a_field_that_is_not_read_is_not_asked_for(path: Path) -> None:
    found, opened = read(path, json.dumps({"schema": SCHEMA, "index": 3}), fields=("index",))
    assert (len(found), opened.damaged) == (1, 0)


def test_a_long_line_is_one_damaged_line(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "MAX_LINE", 200)
    found, opened = read(path, line(request_id="x" * 1_000), line(), line(index=1))
    assert [one["index"] for one in found] == [0, 1]
    assert opened.damaged == 1
    assert opened.first is not None
    assert (opened.first.code, opened.first.path) == ("record_line_long", f"{path}:1")


def test_a_file_that_is_mostly_damaged_is_refused_with_the_first_line(path: Path) -> None:
    with pytest.raises(InputError) as refused:
        read(path, line(), "a,b", "1,2")
    [problem] = refused.value.problems
    assert (problem.code, problem.path) == ("record_damaged", str(path))
    assert f"{path}:2" in problem.why


def test_what_cannot_be_read_and_what_is_too_much_is_refused(path: Path) -> None:
    with pytest.raises(InputError) as missing:
        list(RecordReader(path, FIELDS))
    with pytest.raises(InputError) as many:
        read(path, line(), line(index=1), most=1)
    codes = [error.value.problems[0].code for error in (missing, many)]
    assert codes == ["record_unreadable", "too_many_records"]


def test_a_line_by_itself_is_a_record_or_a_problem() -> None:
    assert parse_record(line().encode(), FIELDS) == dict.fromkeys(ADDED) | GOOD
    assert isinstance(parse_record(b"", FIELDS), Problem)
