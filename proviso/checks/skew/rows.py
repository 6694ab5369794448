"""Skew: what the store served against the offline row, as rows that a reviewer can read.

Pure. One row a consumed feature of one entity at one moment, in the form of
`contracts/skew_test_cases.csv`; a row that is not PASS is REVIEW and names kind and owner.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from feature_runtime.core.availability import Status, Value
from feature_runtime.core.moments import format_moment
from proviso.contracts.base import InputError
from proviso.contracts.contract import Feature, FeatureView, Tolerance

MAX_CELL = 1024
"""Characters of a cell that checks.skew_cases still reads."""

MAX_BYTES = 64 * 1024 * 1024
"""Of an evidence file: rows of some hundred thousand values."""


@dataclass(frozen=True)
class Side:
    """One side's view of a feature: its status, value, and the winner's event_ts (us)."""

    status: Status
    value: Value
    event_ts: int | None


@dataclass(frozen=True)
class SkewRow:
    """One line of skew evidence; moments as RFC 3339, absent values empty."""

    case_id: str
    entity_type: str
    entity_key: str
    feature_view: str
    feature: str
    as_of: str
    offline_value: str
    online_value: str
    offline_event_ts: str
    online_event_ts: str
    tolerance_abs: str
    tolerance_rel: str
    verdict: str
    kind: str
    owner: str
    review_note: str


def judge(offline: Side, online: Side, tolerance: Tolerance) -> str:
    """The kind of difference, or '' when online is what offline says it must be.

    As checks.skew_cases recomputes it from a row: times explain a value, so they come first.
    """
    return _by_time(offline, online) or _by_value(offline, online, tolerance)


def _by_time(offline: Side, online: Side) -> str:
    if online.event_ts is None:
        if online.status is Status.TYPE:
            return "TYPE"  # there are bytes, but no timeline
        return "" if offline.event_ts is None else "MISSING_KEY"
    if offline.event_ts is None or online.event_ts > offline.event_ts:
        return "FUTURE"
    return "STALE" if online.event_ts < offline.event_ts else ""


def _by_value(offline: Side, online: Side, tolerance: Tolerance) -> str:
    if online.status is not offline.status:
        return online.status.name if online.status in {Status.NULL, Status.TYPE} else "VALUE"
    if online.value is None and offline.value is not None:
        return "NULL"
    if isinstance(online.value, str) is not isinstance(offline.value, str):
        return "TYPE"  # a STALE row's values have no status of their own
    return "" if _close(offline.value, online.value, tolerance) else "VALUE"


def _close(offline: Value, online: Value, tolerance: Tolerance) -> bool:
    numbers = (int, float)
    if not isinstance(offline, numbers) or not isinstance(online, numbers):
        return offline == online
    if offline != offline:
        return online != online
    return abs(online - offline) <= tolerance.absolute + tolerance.relative * abs(offline)


@dataclass(frozen=True)
class Compared:
    """One feature of one entity at one moment (us), as both sides say it.

    entity_key: the ids in the view's order, joined by `|`. seen: what else a reviewer must know
    of a difference.
    """

    case_id: str
    view: FeatureView
    feature: Feature
    entity_key: str
    as_of: int
    offline: Side
    online: Side
    seen: str = ""


def row_of(compared: Compared) -> SkewRow:
    """A comparison, judged."""
    view, feature = compared.view, compared.feature
    offline, online = compared.offline, compared.online
    kind = judge(offline, online, feature.tolerance)
    return SkewRow(
        case_id=compared.case_id,
        entity_type="|".join(view.entities),
        entity_key=compared.entity_key,
        feature_view=view.name,
        feature=feature.name,
        as_of=format_moment(compared.as_of),
        offline_value=_text(offline.value),
        online_value=_text(online.value),
        offline_event_ts=_moment(offline.event_ts),
        online_event_ts=_moment(online.event_ts),
        tolerance_abs=repr(feature.tolerance.absolute),
        tolerance_rel=repr(feature.tolerance.relative),
        verdict="REVIEW" if kind else "PASS",
        kind=kind,
        owner=view.owner_of(feature),
        review_note=_note(offline, online, compared.seen) if kind else "",
    )


def write_rows(path: Path, rows: Sequence[SkewRow]) -> None:
    """The evidence file, header first."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(SkewRow)])
        writer.writeheader()
        writer.writerows(asdict(row) for row in rows)


def read_rows(path: Path) -> list[dict[str, str]]:
    """All rows of an evidence file. Raises InputError."""
    wanted = "what a skew test writes"
    try:
        if path.stat().st_size > MAX_BYTES:
            raise InputError.of(path, f"more than {MAX_BYTES} bytes", wanted)
        return parse_rows(path, path.read_bytes())
    except OSError as error:
        raise InputError.of(path, error.strerror or "an error", wanted) from None


def parse_rows(path: Path, content: bytes) -> list[dict[str, str]]:
    """All rows of an evidence file, with every cell of the header. Raises InputError."""
    columns = [field.name for field in fields(SkewRow)]
    try:
        reader = csv.DictReader(io.StringIO(content.decode(), newline=""), strict=True)
        if reader.fieldnames != columns:
            raise InputError.of(path, "another header", ",".join(columns))
        rows = list(reader)
    except (csv.Error, UnicodeDecodeError) as error:
        raise InputError.of(path, f"no CSV ({error})", "what a skew test writes") from None
    if any(None in row or None in row.values() for row in rows):
        raise InputError.of(path, "a torn row", f"{len(columns)} cells in every row")
    return rows


def _note(offline: Side, online: Side, seen: str) -> str:
    note = (
        f"offline {offline.status.name} {_text(offline.value)}, "
        f"online {online.status.name} {_text(online.value)}"
    )
    return (f"{note}; {seen}" if seen else note)[:MAX_CELL]


def _text(value: Value) -> str:
    return "" if value is None else str(value)


def _moment(moment: int | None) -> str:
    return "" if moment is None else format_moment(moment)
