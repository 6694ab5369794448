"""Reads `skew_test_cases.csv`: what offline and online said of one feature at a moment.

A row's verdict is not trusted: `recompute` derives it from the values, the event timestamps and
the tolerance of the row. What must agree with the contract is checked in `case_rules`.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from feature_runtime.core.availability import Status, Value, ViewTimes
from feature_runtime.core.moments import parse_moment
from feature_runtime.core.values import value_status
from proviso.checks.skew.rows import INVALID, MAX_CELL, UNREADABLE, SkewRow
from proviso.checks.skew.verdict import Kind, Side, Terms, kind_of
from proviso.contracts.base import ContractError, Name, Problem, Strict
from proviso.contracts.contract import Tolerance
from proviso.contracts.loading import SKEW_FILE, parse_model

HEADER = tuple(field.name for field in fields(SkewRow))
MAX_ROWS = 10_000

_INTEGER = re.compile(r"[-+]?\d{1,19}(?:\.0+)?")
_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d{1,3})?")
_INFINITE = re.compile(r"[-+]?inf")
_BOOLEAN = {"true": True, "1": True, "1.0": True, "false": False, "0": False, "0.0": False}


def _moment(value: Any) -> int | None:
    return parse_moment(value) if value else None


def _tolerance(value: Any) -> float:
    if not _NUMBER.fullmatch(str(value)):
        raise ValueError(f"found {value!r}, wanted a number")
    return float(value)


OptionalMoment = Annotated[int | None, BeforeValidator(_moment)]
Bound = Annotated[float, BeforeValidator(_tolerance), Field(ge=0)]
Cell = Annotated[str, Field(max_length=MAX_CELL)]


class SkewCase(Strict):
    """One row: both sides of one feature of one entity at `as_of`; an empty cell is absence."""

    case_id: Annotated[str, Field(pattern=r"^\S{1,256}$")]
    entity_type: Annotated[str, Field(pattern=r"^\S{1,256}$")]
    entity_key: Annotated[str, Field(pattern=r"^\S{1,256}$")]
    feature_view: Name
    feature: Name
    as_of: Annotated[int, BeforeValidator(parse_moment)]
    offline_value: Cell
    online_value: Cell
    offline_event_ts: OptionalMoment
    online_event_ts: OptionalMoment
    tolerance_abs: Bound
    tolerance_rel: Bound
    verdict: Literal["PASS", "REVIEW"]
    kind: Kind
    owner: Cell
    review_note: Cell


@dataclass(frozen=True)
class CaseRow:
    """A case and the place that problems name."""

    place: str
    case: SkewCase


def parse_cases(text: str) -> tuple[list[CaseRow], list[Problem]]:
    """All rows that can be read, and every problem of those that cannot."""
    rows, problems = list[CaseRow](), list[Problem]()
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    try:
        if tuple(reader.fieldnames or ()) != HEADER:
            return [], [_header_problem(tuple(reader.fieldnames or ()))]
        for record in reader:
            if len(rows) + len(problems) >= MAX_ROWS:
                found, wanted = f"more than {MAX_ROWS} rows", f"at most {MAX_ROWS}"
                problems.append(Problem(SKEW_FILE, found, wanted, code="too_many_rows"))
                break
            place = f"{SKEW_FILE}: row {reader.line_num}"
            try:
                rows.append(CaseRow(place, parse_model(place, _cells(place, record), SkewCase)))
            except ContractError as error:
                problems += error.problems
    except csv.Error as error:
        place = f"{SKEW_FILE}: row {reader.line_num}"
        found, wanted = f"no CSV ({error})", "comma-separated values"
        problems.append(Problem(place, found, wanted, code=INVALID))
    return rows, problems


def sides(case: SkewCase, times: ViewTimes, dtype: str) -> tuple[Side, Side]:
    """(offline, online) of a row, with the statuses that the one rule gives them."""
    offline = _side(case.offline_event_ts, case.offline_value, case.as_of, times, dtype)
    if case.online_event_ts is None and case.online_value == UNREADABLE:
        return offline, Side(Status.TYPE, None, None)
    return offline, _side(case.online_event_ts, case.online_value, case.as_of, times, dtype)


def recompute(case: SkewCase, times: ViewTimes, dtype: str) -> Kind:
    """The kind of difference that the row's own cells show; '' when online agrees."""
    offline, online = sides(case, times, dtype)
    tolerance = Tolerance(absolute=case.tolerance_abs, relative=case.tolerance_rel)
    return kind_of(offline, online, Terms(case.as_of, times.source_delay, dtype, tolerance))


def _side(event_ts: int | None, text: str, as_of: int, times: ViewTimes, dtype: str) -> Side:
    if event_ts is None:
        return Side(Status.MISSING_KEY, None, None)
    value = value_of(text, dtype)
    stale = as_of - event_ts > times.ttl
    return Side(Status.STALE if stale else value_status(value, dtype), value, event_ts)


def value_of(text: str, dtype: str) -> Value:
    """The value that a cell states; one of another type where it states none of the type."""
    if text == "":
        return None
    if dtype == "string":
        return _string_of(text)
    if dtype == "bool":
        return _BOOLEAN.get(text.lower(), text)
    if dtype == "int64":
        return int(text.partition(".")[0]) if _INTEGER.fullmatch(text) else text
    return float(text) if _NUMBER.fullmatch(text) or _INFINITE.fullmatch(text) else text


def _string_of(text: str) -> Value:
    """The string in JSON's quotes; a value of another type where there are none."""
    try:
        parsed = json.loads(text, strict=False)
    except (ValueError, RecursionError):
        parsed = None
    return parsed if isinstance(parsed, str) else 0


def _header_problem(found: tuple[str, ...]) -> Problem:
    missing = [name for name in HEADER if name not in found]
    unknown = [name[:60] for name in found if name not in HEADER]
    parts = [f"no {', '.join(missing)}"] if missing else []
    parts += [f"an unknown {', '.join(unknown[:16])}"] if unknown else []
    wanted = f"{len(HEADER)} columns from {HEADER[0]} to {HEADER[-1]}, in the format's order"
    actual = " and ".join(parts) or "another order"
    return Problem(f"{SKEW_FILE}: header", actual, wanted, code=INVALID)


def _cells(place: str, record: Mapping[str | Any, Any]) -> dict[str, Any]:
    if None in record or None in record.values():
        count = sum(value is not None for name, value in record.items() if name is not None)
        found = "more cells than the header" if None in record else f"{count} cells"
        raise ContractError([Problem(place, found, f"{len(HEADER)} cells", code=INVALID)])
    return dict(record)
