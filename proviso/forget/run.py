"""`proviso forget`: every place that is given loses one entity; the report says what remains.

Files take their places together, the sources last: whatever an interrupted call left, the next one
finds the same transactions and ends the work.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from proviso.contracts.base import InputError
from proviso.contracts.contract import Contract
from proviso.contracts.files import Replacements, check_is_file, replacing_together
from proviso.forget import record_lines, tables
from proviso.forget.history import HistoryWork
from proviso.forget.record_lines import Lines
from proviso.forget.report import Report
from proviso.forget.subject import Subject
from proviso.history.engines import history_engine
from proviso.history.journal import open_journal
from proviso.history.values import DEFAULT_MEMORY, Progress, silent
from proviso.online.store import OnlineStore
from proviso.online.stream.landing import held_landing, landed_parts

KEYS_A_CALL = 1_000


@dataclass(frozen=True)
class Places:
    """Where to look. files: datasets, predictions, rows set aside, records; or folders of them.

    hash_key: of prediction records whose plan hashes entity keys.
    """

    transactions: Path | None = None
    history: Path | None = None
    landing: Path | None = None
    files: tuple[Path, ...] = ()
    hash_key: bytes | None = None


@dataclass(frozen=True)
class _Work:
    contract: Contract
    subject: Subject
    places: Places
    report: Report
    progress: Progress
    memory: str

    @property
    def sources(self) -> list[Path]:
        """Files of transactions, and the parts of a landing."""
        landing, file = self.places.landing, self.places.transactions
        parts = [part.path for part in landed_parts(landing)] if landing else []
        return [*parts, *([file] if file else [])]


def forget(
    contract: Contract,
    subject: Subject,
    places: Places,
    store: OnlineStore | None = None,
    *,
    dry_run: bool = False,
    progress: Progress = silent,
    memory: str = DEFAULT_MEMORY,
) -> Report:
    """Takes an entity out of all places. Raises InputError before anything is written."""
    work = _Work(contract, subject, places, Report(str(subject), dry_run), progress, memory)
    _check(places)
    with ExitStack() as held:
        if not dry_run:
            _hold(work, held)
        own = _transactions(work)
        if dry_run:
            _files(work, own, None)
        else:
            with replacing_together() as files:
                journals = _files(work, own, files)
            if journals is not None:
                journals.unlink_emptied()
        if store is not None:
            _store(work, store)
    _remains(work, bool(own), store)
    return work.report


def _check(places: Places) -> None:
    if places.transactions is not None:
        check_is_file(places.transactions, "a file of rows")
    elif places.history is not None:
        why = "the history's files state a digest of their rows, which changes with them"
        raise InputError.of("--history", "no --transactions", "both", why, code="option_missing")
    for path in (places.history, places.landing, *places.files):
        if path is not None and not path.exists():
            raise InputError.of(path, "no such file", "a place to look", code="file_not_found")


def _hold(work: _Work, held: ExitStack) -> None:
    """Against the live writers of the history and the landing. Raises InputError."""
    if work.places.history is not None:
        for view in work.contract.feature_views:
            held.enter_context(open_journal(work.contract, work.places.history, view))
    if work.places.landing is not None:
        held.enter_context(held_landing(work.places.landing))


def _transactions(work: _Work) -> frozenset[str]:
    """The ids of the entity's transactions, by which other files name them."""
    found: set[str] = set()
    for path in work.sources:
        rows = tables.rows_of(path, work.subject, ())
        found |= tables.values_of(path, rows, work.subject.ids)
    return frozenset(found)


def _files(work: _Work, own: frozenset[str], files: Replacements | None) -> HistoryWork | None:
    """Everything but the store; files None: only counted. The sources are the last."""
    for path in _searched(work.places.files):
        if path.suffix == ".jsonl":
            _record(work, path, files)
        else:
            _table(work, path, own, files)
    journals = None
    if work.places.history is not None and work.places.transactions is not None:
        journals = HistoryWork(work.contract, work.places.history, work.subject, work.report)
        digests = history_engine().digests_without(
            *(work.contract, work.places.transactions, work.places.history),
            *(work.contract.entity_by_name[work.subject.name], work.subject.value),
            *(work.progress, work.memory),
        )
        journals.forget(digests, files)
    for path in work.sources:
        _table(work, path, own, files)
    return journals


def _searched(places: Sequence[Path]) -> Iterator[Path]:
    """Each file once: those that are named, and all Parquet and record files of the folders."""
    seen = set[Path]()
    for place in places:
        inside = sorted(place.rglob("*")) if place.is_dir() else [place]
        for path in inside:
            wanted = path.suffix in (".parquet", ".jsonl") and path.is_file()
            if (wanted or path == place) and path.resolve() not in seen:
                seen.add(path.resolve())
                yield path


def _table(work: _Work, path: Path, own: frozenset[str], files: Replacements | None) -> None:
    rows, report = tables.rows_of(path, work.subject, own), work.report
    report.searched += 1
    if not rows.columns:
        columns = ", ".join(sorted(work.subject.keys | work.subject.ids))
        report.keeps(path, "not_told_apart", f"none of its columns is {columns}")
        return
    gone = tables.count(path, rows)
    report.took(path, "rows", gone)
    if gone and files is not None:
        tables.rewrite(files, path, rows)


def _record(work: _Work, path: Path, files: Replacements | None) -> None:
    lines, report = Lines(work.subject, work.places.hash_key), work.report
    found = record_lines.search(path, lines)
    report.searched += 1
    if found.hidden:
        why = f"{found.hidden:,} lines have a hash in place of the id; give --hash-key-file"
        report.keeps(path, "record_hashed", why, unfinished=True)
    if found.owned and record_lines.in_use(path):
        why = f"{found.owned:,} lines; a process has it open and would write on into a file that is"
        report.keeps(path, "record_in_use", f"{why} gone: rotate it first", unfinished=True)
        return
    report.took(path, "lines", found.owned)
    if found.owned and files is not None:
        record_lines.rewrite(files, path, lines)


def _store(work: _Work, store: OnlineStore) -> None:
    """After the files: nothing that is left could write the keys again."""
    keys = sorted({key for key in store.every_key() if work.subject.owns(key)})
    for at in range(0, 0 if work.report.dry_run else len(keys), KEYS_A_CALL):
        store.remove(keys[at : at + KEYS_A_CALL])
    work.report.took(f"online store {store.address}", "keys", len(keys))


def _remains(work: _Work, had: bool, store: OnlineStore | None) -> None:
    """What no call can take away, said each time; and what was not given."""
    keeps, name = work.report.keeps, work.subject.name
    others = [v.name for v in work.contract.feature_views if name not in v.entities]
    if had and work.places.history is not None and others:
        keeps(
            ", ".join(others),
            "counted_with_others",
            "rows of other entities were published with its rows in their sums; new runs"
            " leave them out, `proviso features --backfill` corrects a span (docs/forget.md)",
        )
    keeps(
        "release directories, evidence",
        "bound_by_digests",
        "a model, its card and its evidence are bound by digests: train again without the entity",
    )
    keeps(
        "streams, databases, backups, volume snapshots",
        "not_ours",
        "remove it at each of them; a source that still has it brings it back",
    )
    if store is None:
        keeps("online store", "not_searched", "no --store was given", unfinished=False)
