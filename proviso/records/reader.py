"""The one reader of prediction records: bounded, of the present and of the former schema.

A kill or a full disk may tear a line, so damaged lines are counted and passed over; a file that is
mostly damaged is refused with the file, the line and the reason.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, cast

from feature_runtime.core.moments import parse_moment
from feature_runtime.core.record import ADDED, FORMER_SCHEMA, SCHEMA, PredictionRecord
from feature_runtime.core.traffic import traffic_of
from proviso.contracts.base import InputError, Problem

MAX_LINE = 1024 * 1024
"""Bytes; a longer line is damaged."""

_TYPES: Mapping[str, type] = {
    "request_id": str,
    "traffic": str,
    "index": int,
    "scored_at": str,
    "event_ts": str,
    "release": str,
    "decision": str,
    "entities": dict,
    "views": dict,
    "features": dict,
    "vector": list,
}

_MOMENTS = {"scored_at", "event_ts"}


class RecordReader:
    """Iterates over the records of a file, in its order, without keeping them.

    fields: what the caller reads of a record; a line where one is missing or of another type is
    damaged. most: records after which the file is refused. damaged: lines passed over so far;
    first: what is wrong with the first of them. Raises InputError.
    """

    def __init__(self, path: Path, fields: Sequence[str], most: int | None = None) -> None:
        self.damaged = 0
        self.first: Problem | None = None
        self._path = path
        self._fields = fields
        self._most = most

    def __iter__(self) -> Iterator[PredictionRecord]:
        good = 0
        try:
            with self._path.open("rb") as file:
                for number, line in _lines(file):
                    record = self._record(number, line)
                    if record is None:
                        continue
                    good += 1
                    if self._most is not None and good > self._most:
                        raise self._too_many()
                    yield record
        except OSError as error:
            message = f"cannot read the prediction record ({error.strerror or error})"
            raise InputError.event("record_unreadable", message, self._path) from None
        if self.damaged > max(1, good):
            raise self._mostly_damaged(good)

    def _record(self, number: int, line: bytes) -> PredictionRecord | None:
        place = f"{self._path}:{number}"
        found = (
            Problem(place, f"more than {MAX_LINE} bytes", "a shorter line", code="record_line_long")
            if len(line) > MAX_LINE
            else parse_record(line, self._fields, place)
        )
        if not isinstance(found, Problem):
            return found
        self.damaged += 1
        self.first = self.first or found
        return None

    def _too_many(self) -> InputError:
        wanted = f"at most {self._most} records; rotate the file"
        return InputError.of(self._path, f"more than {self._most}", wanted, code="too_many_records")

    def _mostly_damaged(self, good: int) -> InputError:
        message = f"{self.damaged} of {self.damaged + good} lines are not prediction records"
        return InputError.event("record_damaged", message, self._path, f"the first: {self.first}")


def parse_record(
    line: bytes, fields: Sequence[str], place: str = "record"
) -> PredictionRecord | Problem:
    """A line as a record of the present schema, or what is wrong with it at `place`."""
    try:
        parsed = json.loads(line)
    except (ValueError, RecursionError):
        return Problem(place, "no JSON", "a JSON object", code="record_not_json")
    if not isinstance(parsed, dict):
        return Problem(place, type(parsed).__name__, "a JSON object", code="record_not_json")
    schema = parsed.get("schema")
    if schema not in (SCHEMA, FORMER_SCHEMA):
        wanted = f"{SCHEMA} or {FORMER_SCHEMA}"
        return Problem(f"{place} schema", repr(schema), wanted, code="record_schema_unknown")
    try:
        record = _upgraded(parsed) if schema == FORMER_SCHEMA else parsed
    except ValueError:
        return _invalid(place, "arm", repr(parsed["arm"]), "serve or shadow")
    return _with_fields(dict.fromkeys(ADDED) | record, fields, place)


def require_record(line: bytes, fields: Sequence[str]) -> PredictionRecord:
    """A line as a record. Raises InputError."""
    found = parse_record(line, fields)
    if isinstance(found, Problem):
        raise InputError([found])
    return found


def _with_fields(
    record: dict[str, Any], fields: Sequence[str], place: str
) -> PredictionRecord | Problem:
    for field in fields:
        value, wanted = record.get(field), _TYPES[field]
        if type(value) is not wanted:
            kind = "nothing" if value is None else type(value).__name__
            return _invalid(place, field, kind, f"a {wanted.__name__}")
        if field in _MOMENTS and not _is_moment(value):
            return _invalid(place, field, repr(value), "an RFC 3339 moment")
    return cast("PredictionRecord", record)


def _invalid(place: str, field: str, found: str, wanted: str) -> Problem:
    return Problem(f"{place} {field}", found, wanted, code="record_field_invalid")


def _is_moment(value: object) -> bool:
    try:
        parse_moment(str(value))
    except ValueError:
        return False
    return True


def _upgraded(record: dict[str, Any]) -> dict[str, Any]:
    """A record of the former schema under present names. Raises ValueError."""
    present = {**record, "schema": SCHEMA}
    if "arm" in record:
        present["traffic"] = traffic_of(record["arm"])
    if "contract_digest" in record:
        present["service_digest"] = record["contract_digest"]
    return present


def _lines(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Lines that are not blank, with their numbers; of one that is too long only the beginning."""
    number = 0
    while line := file.readline(MAX_LINE + 1):
        number += 1
        rest = line
        while len(rest) > MAX_LINE and not rest.endswith(b"\n"):
            rest = file.readline(MAX_LINE + 1)
        if line.strip():
            yield number, line
