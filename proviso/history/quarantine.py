"""What was set aside of a source's rows, and the file of it in a history folder.

`quarantine/<source>.parquet` has the rows of the last computation as the source has them, with
`_proviso_file`, `_proviso_row` (its row or line) and `_proviso_reasons`. Its metadata is the
summary.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from proviso.history.files import unreadable

SUMMARY_KEY = "proviso.quarantine"
"""Key of the file's metadata that holds the summary as JSON."""

FILE, ROW, REASONS = "_proviso_file", "_proviso_row", "_proviso_reasons"
"""Columns beside those of the source."""


@dataclass(frozen=True)
class Reason:
    """In how many rows a column has a value that does not fit, for one reason."""

    column: str
    code: str
    rows: int


@dataclass(frozen=True)
class Quarantined:
    """How many of a source's rows were set aside, and why.

    copies: rows that say again what an earlier one of the same id says; they are left out, and are
    no defect. A row may have a reason in several columns.
    """

    source: str
    rows: int
    of: int
    copies: int = 0
    reasons: tuple[Reason, ...] = ()

    @property
    def share(self) -> float:
        return self.rows / self.of if self.of else 0.0

    @property
    def text(self) -> str:
        """One line for a person."""
        said = f"quarantine: {self.rows:,} of {self.of:,} rows of {self.source} ({self.share:.2%})"
        why = [f"{one.column} {one.code} {one.rows:,}" for one in self.reasons]
        more = [f"{self.copies:,} copies left out"] if self.copies else []
        return ": ".join([said, *([", ".join([*why, *more])] if why or more else [])])

    def as_dict(self) -> dict[str, Any]:
        """For machines, and for a file's metadata."""
        return {
            "source": self.source,
            "rows": self.rows,
            "of": self.of,
            "copies": self.copies,
            "reasons": [
                {"column": one.column, "code": one.code, "rows": one.rows} for one in self.reasons
            ],
        }


def quarantine_file(history: Path, source: str) -> Path:
    """The file of a source's rows that were set aside."""
    return history / "quarantine" / f"{source}.parquet"


def read_quarantines(history: Path) -> list[Quarantined]:
    """What the files of a history folder say, by source. Raises InputError."""
    return [_read(path) for path in sorted((history / "quarantine").glob("*.parquet"))]


def _read(path: Path) -> Quarantined:
    try:
        stated = json.loads((pq.read_metadata(path).metadata or {})[SUMMARY_KEY.encode()])
        return _quarantined(stated)
    except (pa.ArrowInvalid, OSError, KeyError, TypeError, ValueError) as error:
        raise unreadable(path, error) from error


def _quarantined(stated: Mapping[str, Any]) -> Quarantined:
    reasons = tuple(Reason(one["column"], one["code"], one["rows"]) for one in stated["reasons"])
    counts = stated["rows"], stated["of"], stated["copies"]
    return Quarantined(stated["source"], *counts, reasons)
