"""A history directory without one entity: files of views, stamps, and journals of live writers.

The files stay such that updates go on: each says which transactions it was computed from, and from
now on these are the ones without the entity's (`digests_without`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from proviso.contracts.contract import Contract, FeatureView
from proviso.contracts.files import Replacements
from proviso.forget import tables
from proviso.forget.report import Report
from proviso.forget.subject import Subject
from proviso.history.extent import notes_of, read_extent
from proviso.history.files import history_file
from proviso.history.segments import segments, stamps_file
from proviso.history.values import SourceDigest


@dataclass
class HistoryWork:
    """One call's work on a history. emptied: batches of a journal that have no other row."""

    contract: Contract
    folder: Path
    subject: Subject
    report: Report
    emptied: list[Path] = field(default_factory=list)

    def forget(self, digests: Mapping[str, SourceDigest], files: Replacements | None) -> None:
        """Every view's files. files None: only counted."""
        for view in self.contract.feature_views:
            if view.name in digests:
                self._rows(view, digests[view.name], files)
            self._stamps(view, files)

    def unlink_emptied(self) -> None:
        """Once all files have taken their places."""
        for path in self.emptied:
            path.unlink(missing_ok=True)

    def _rows(self, view: FeatureView, digest: SourceDigest, files: Replacements | None) -> None:
        path = history_file(self.folder, view)
        rows = tables.rows_of(path, self.subject, ())
        gone = tables.count(path, rows)
        self.report.searched += 1
        self.report.took(path, "rows", gone)
        extent = read_extent(self.contract, view, path)
        more = {"transactions": digest.transactions, "digest": digest.digest}
        now = extent.model_copy(update={**more, "rows": extent.rows - gone})
        if files is not None and now != extent:
            tables.rewrite(files, path, rows, notes_of(self.contract, view, now))

    def _stamps(self, view: FeatureView, files: Replacements | None) -> None:
        if self.subject.name not in view.entities:
            return
        stamps = stamps_file(self.folder, view)
        # Batches that are in the stamps file already went when the journal was opened.
        batches = [one.path for one in segments(self.folder, view)]
        for path in [*([stamps] if stamps.is_file() else []), *batches]:
            rows = tables.rows_of(path, self.subject, ())
            gone, whole = tables.count(path, rows), tables.height(path)
            self.report.searched += 1
            self.report.took(path, "stamps", gone)
            if files is None or not gone:
                continue
            if gone == whole and path != stamps:
                self.emptied.append(path)
            else:
                tables.rewrite(files, path, rows)
