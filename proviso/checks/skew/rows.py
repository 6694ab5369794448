"""Skew rows: the evidence of a comparison, in the form of `contracts/skew_test_cases.csv`.

One row is one consumed feature of one entity at one moment; a row that is not PASS is REVIEW and
names kind and owner. Its cells suffice to compute the verdict again (`cases.recompute`).
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from feature_runtime.core.availability import Status
from feature_runtime.core.moments import format_moment
from feature_runtime.core.values import value_status
from proviso.checks.skew.verdict import Side, Terms, kind_of
from proviso.contracts.base import InputError
from proviso.contracts.contract import Feature, FeatureView

MAX_CELL = 8 * 1024
"""Characters of a cell that `cases` reads: a string of the longest, escaped in JSON."""

INVALID = "skew_rows_invalid"
"""Code of a file that is no skew rows."""

UNREADABLE = "unreadable bytes"
"""online_value where the key holds bytes that are no timeline of the view."""

MAX_BYTES = 64 * 1024 * 1024
"""Of an evidence file: rows of some hundred thousand values."""


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


@dataclass(frozen=True)
class Compared:
    """One feature of one entity at one moment (us), with both sides.

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
    terms = Terms(compared.as_of, view.source_delay, feature.dtype, feature.tolerance)
    kind = kind_of(offline, online, terms)
    return SkewRow(
        case_id=compared.case_id,
        entity_type="|".join(view.entities),
        entity_key=compared.entity_key,
        feature_view=view.name,
        feature=feature.name,
        as_of=format_moment(compared.as_of),
        offline_value=_cell(offline, feature.dtype),
        online_value=_cell(online, feature.dtype),
        offline_event_ts=_moment(offline.event_ts),
        online_event_ts=_moment(online.event_ts),
        tolerance_abs=repr(feature.tolerance.absolute),
        tolerance_rel=repr(feature.tolerance.relative),
        verdict="REVIEW" if kind else "PASS",
        kind=kind,
        owner=view.owner_of(feature),
        review_note=_note(compared) if kind else "",
    )


def write_rows(path: Path, rows: Sequence[SkewRow]) -> None:
    """The evidence file, header first."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(SkewRow)])
        writer.writeheader()
        writer.writerows(asdict(row) for row in rows)


def read_rows(path: Path) -> list[dict[str, str]]:
    """All rows of an evidence file. Raises InputError."""
    wanted = "the rows of a skew test"
    try:
        if path.stat().st_size > MAX_BYTES:
            raise InputError.of(path, f"more than {MAX_BYTES} bytes", wanted, code="rows_too_large")
        return parse_rows(path, path.read_bytes())
    except OSError as error:
        reason = f"cannot read the rows: {error.strerror or error}"
        raise InputError.event("file_unreadable", reason, path) from None


def parse_rows(path: Path, content: bytes) -> list[dict[str, str]]:
    """All rows of an evidence file, with every cell of the header. Raises InputError."""
    columns = [field.name for field in fields(SkewRow)]
    try:
        reader = csv.DictReader(io.StringIO(content.decode(), newline=""), strict=True)
        if reader.fieldnames != columns:
            raise InputError.of(path, "another header", ",".join(columns), code=INVALID)
        rows = list(reader)
    except (csv.Error, UnicodeDecodeError) as error:
        found, wanted = f"no CSV ({error})", "the rows of a skew test"
        raise InputError.of(path, found, wanted, code=INVALID) from None
    if any(None in row or None in row.values() for row in rows):
        wanted = f"{len(columns)} cells in every row"
        raise InputError.of(path, "a torn row", wanted, code=INVALID)
    return rows


def _note(compared: Compared) -> str:
    offline, online, dtype = compared.offline, compared.online, compared.feature.dtype
    note = (
        f"offline {offline.status.name} {_cell(offline, dtype)}, "
        f"online {online.status.name} {_cell(online, dtype)}"
    )
    return (f"{note}; {compared.seen}" if compared.seen else note)[:MAX_CELL]


def _cell(side: Side, dtype: str) -> str:
    """The value as text: a string in JSON's quotes, so that an empty one is not absence.

    A value of another type says its own, so that it is not read as one of the feature's.
    """
    if side.event_ts is None:
        return UNREADABLE if side.status is Status.TYPE else ""
    value = side.value
    if value is None:
        return ""
    if value_status(value, dtype) is Status.TYPE:
        return f"{type(value).__name__} {value!r}"[:MAX_CELL]
    return json.dumps(value) if isinstance(value, str) else str(value)


def _moment(moment: int | None) -> str:
    return "" if moment is None else format_moment(moment)
