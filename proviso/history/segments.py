"""The journal of a live writer, as files beside a view's history; one file a batch of rows.

`<view>.stamping/<number>.<store>.parquet` is written before its batch is sent, and gets the moment
of the acknowledgement into its name afterwards: a rename is whole at any moment. What has been
folded into `<view>.published.parquet` is counted there no more (docs/adr/0041).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from proviso.contracts.contract import FeatureView
from proviso.history.files import unreadable

FOLDED_KEY = b"proviso.folded"
_NAME = re.compile(r"(\d{10})\.([0-9a-f]{16})(?:\.at(\d+))?\.parquet")


@dataclass(frozen=True)
class Segment:
    """One batch: where it was sent, and when that was acknowledged; None: not yet."""

    path: Path
    number: int
    store: str
    acknowledged: int | None


def stamps_file(history: Path, view: FeatureView) -> Path:
    """Where the stamps are kept that differ from the plan; absent while there are none."""
    return history / f"{view.name}.published.parquet"


def stamping_directory(history: Path, view: FeatureView) -> Path:
    """Where the journal is; absent until a live writer has been at work."""
    return history / f"{view.name}.stamping"


def segment_path(directory: Path, number: int, store: str, acknowledged: int | None) -> Path:
    """The file of a batch."""
    moment = "" if acknowledged is None else f".at{acknowledged:d}"
    return directory / f"{number:010d}.{store}{moment}.parquet"


def folded(history: Path, view: FeatureView) -> int:
    """The number of the last segment that the stamps file holds; 0: none."""
    path = stamps_file(history, view)
    if not path.is_file():
        return 0
    try:
        found = pq.read_metadata(path).metadata or {}
    except (pa.ArrowInvalid, OSError) as error:
        raise unreadable(path, error) from error
    return int(found.get(FOLDED_KEY, b"0"))


def segments(history: Path, view: FeatureView) -> list[Segment]:
    """The batches that are not folded yet, in order."""
    directory = stamping_directory(history, view)
    if not directory.is_dir():
        return []
    done = folded(history, view)
    return [segment for segment in all_segments(directory) if segment.number > done]


def all_segments(directory: Path) -> list[Segment]:
    """Every segment of a journal, in order."""
    found = []
    for path in directory.iterdir():
        if name := _NAME.fullmatch(path.name):
            moment = int(name[3]) if name[3] else None
            found.append(Segment(path, int(name[1]), name[2], moment))
    return sorted(found, key=lambda segment: segment.number)
