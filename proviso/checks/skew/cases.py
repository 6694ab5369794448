"""Skew evidence: `skew_test_cases.csv`, what offline and online said of one feature at a moment.

A verdict is never believed: `recompute` derives it from the values, the event timestamps and the
tolerance of the row. What must fit the contract is judged in `contracts.checks_skew`.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from feature_runtime.core.availability import Status, Value, ViewTimes
from feature_runtime.core.moments import parse_moment
from proviso.contracts.base import ContractError, Name, Problem, Strict
from proviso.contracts.loading import SKEW_FILE, parse_model

HEADER = (
    "case_id",
    "entity_type",
    "entity_key",
    "feature_view",
    "feature",
    "as_of",
    "offline_value",
    "online_value",
    "offline_event_ts",
    "online_event_ts",
    "tolerance_abs",
    "tolerance_rel",
    "verdict",
    "kind",
    "owner",
    "review_note",
)
MAX_ROWS = 10_000

Kind = Literal["", "MISSING_KEY", "NULL", "TYPE", "STALE", "FUTURE", "VALUE"]

_INTEGER = re.compile(r"[-+]?\d{1,19}(?:\.0+)?")
_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d{1,3})?")
_BOOLEAN = {"true": True, "1": True, "1.0": True, "false": False, "0": False, "0.0": False}


def _moment(value: Any) -> int | None:
    return parse_moment(value) if value else None


def _tolerance(value: Any) -> float:
    if not _NUMBER.fullmatch(str(value)):
        raise ValueError(f"found {value!r}, wanted a number")
    return float(value)


OptionalMoment = Annotated[int | None, BeforeValidator(_moment)]
Bound = Annotated[float, BeforeValidator(_tolerance), Field(ge=0)]
Cell = Annotated[str, Field(max_length=1024)]


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


@dataclass(frozen=True)
class Side:
    """What one side said: the winner's event time, if there was one, and the value."""

    event_ts: int | None
    text: str
    value: Value
    status: Status


def parse_cases(text: str) -> tuple[list[CaseRow], list[Problem]]:
    """All rows that can be read, and every problem of those that cannot."""
    rows, problems = list[CaseRow](), list[Problem]()
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    try:
        if tuple(reader.fieldnames or ()) != HEADER:
            return [], [_header_problem(tuple(reader.fieldnames or ()))]
        for record in reader:
            if len(rows) + len(problems) >= MAX_ROWS:
                problems.append(Problem(SKEW_FILE, "more rows", f"at most {MAX_ROWS}"))
                break
            place = f"{SKEW_FILE}: row {reader.line_num}"
            try:
                rows.append(CaseRow(place, parse_model(place, _cells(place, record), SkewCase)))
            except ContractError as error:
                problems += error.problems
    except csv.Error as error:
        place = f"{SKEW_FILE}: row {reader.line_num}"
        problems.append(Problem(place, f"no CSV ({error})", "comma-separated values"))
    return rows, problems


def sides(case: SkewCase, times: ViewTimes, dtype: str) -> tuple[Side, Side]:
    """(offline, online) of a row."""
    return (
        _side(case.offline_event_ts, case.offline_value, case.as_of, times, dtype),
        _side(case.online_event_ts, case.online_value, case.as_of, times, dtype),
    )


def recompute(case: SkewCase, times: ViewTimes, dtype: str) -> Kind:
    """The kind of difference that the row's own numbers show; '' when online agrees.

    A side that is absent, too new or too old explains its value, so times are judged first.
    """
    offline, online = sides(case, times, dtype)
    return _by_time(case.as_of, times, offline, online) or _by_value(case, offline, online)


def _by_time(as_of: int, times: ViewTimes, offline: Side, online: Side) -> Kind:
    if online.event_ts is None:
        return "" if offline.event_ts is None else "MISSING_KEY"
    if offline.event_ts is None or online.event_ts > offline.event_ts:
        return "FUTURE"
    if online.event_ts + times.source_delay > as_of:
        return "FUTURE"
    return "STALE" if online.event_ts < offline.event_ts else ""


def _by_value(case: SkewCase, offline: Side, online: Side) -> Kind:
    if online.status is not offline.status:
        if online.status is Status.NULL:
            return "NULL"
        return "TYPE" if online.status is Status.TYPE else "VALUE"
    if online.value is None and offline.value is not None:
        return "NULL" if online.text == "" else "TYPE"  # in a STALE row
    return "" if _close(case, offline.value, online.value) else "VALUE"


def _close(case: SkewCase, offline: Value, online: Value) -> bool:
    if not isinstance(offline, int | float) or not isinstance(online, int | float):
        return offline == online
    allowed = case.tolerance_abs + case.tolerance_rel * abs(offline)
    return abs(online - offline) <= allowed


def _side(event_ts: int | None, text: str, as_of: int, times: ViewTimes, dtype: str) -> Side:
    value = _value(text, dtype)
    if event_ts is None:
        return Side(None, text, value, Status.MISSING_KEY)
    if as_of - event_ts > times.ttl:
        return Side(event_ts, text, value, Status.STALE)
    if text == "":
        return Side(event_ts, text, None, Status.NULL)
    status = Status.TYPE if value is None else Status.OK
    return Side(event_ts, text, value, status)


def _value(text: str, dtype: str) -> Value:
    """The value that a cell states, None when it is not one of the type."""
    if dtype == "bool":
        return _BOOLEAN.get(text.lower())
    if dtype == "int64":
        return int(text.partition(".")[0]) if _INTEGER.fullmatch(text) else None
    return float(text) if _NUMBER.fullmatch(text) else None


def _header_problem(found: tuple[str, ...]) -> Problem:
    missing = [name for name in HEADER if name not in found]
    unknown = [name[:60] for name in found if name not in HEADER]
    parts = [f"no {', '.join(missing)}"] if missing else []
    parts += [f"an unknown {', '.join(unknown[:16])}"] if unknown else []
    wanted = f"{len(HEADER)} columns from {HEADER[0]} to {HEADER[-1]}, in the format's order"
    return Problem(f"{SKEW_FILE}: header", " and ".join(parts) or "another order", wanted)


def _cells(place: str, record: Mapping[str | Any, Any]) -> dict[str, Any]:
    if None in record or None in record.values():
        count = sum(value is not None for name, value in record.items() if name is not None)
        found = "more cells than the header" if None in record else f"{count} cells"
        raise ContractError([Problem(place, found, f"{len(HEADER)} cells")])
    return dict(record)
