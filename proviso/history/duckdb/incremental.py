"""Lets a history grow: by the runs that have become possible, and by corrections of earlier ones.

Neither edits a row. An update computes only what the file does not hold, a backfill only the runs
that it is asked for; the old rows are streamed through (docs/incremental.md).
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from feature_runtime.core.moments import format_moment, now
from proviso.contracts.base import InputError
from proviso.contracts.contract import Contract, FeatureView
from proviso.contracts.files import Replacements, replacing_together
from proviso.contracts.publication import of_table, publishing_takes, runs_of
from proviso.contracts.sources import EventsSource, TableSource
from proviso.history.duckdb.append import insert_rows, kept_rows, rows_before
from proviso.history.duckdb.dating import known_column
from proviso.history.duckdb.digests import measured, rebased, verified
from proviso.history.duckdb.engine import (
    Engine,
    connect,
    names,
    parquet_rows,
    quoted,
    write_parquet,
)
from proviso.history.duckdb.features import (
    Computed,
    Span,
    chosen_views,
    computed,
    first_run,
    load_some,
    taken,
)
from proviso.history.duckdb.quarantine import write_quarantines
from proviso.history.duckdb.tables import CREATED, EVENT, newest_rows
from proviso.history.duckdb.transactions import events_of
from proviso.history.extent import Backfill, Extent, final_end, notes_of, read_extent
from proviso.history.files import history_file
from proviso.history.values import (
    DEFAULT_MEMORY,
    MAX_MOMENT,
    HistorySummary,
    Progress,
    SourceClock,
    TransactionSummary,
    ViewHistory,
    silent,
    summary_of,
)

_FRESH = "_fresh"
_NOTHING = Extent(start=0, end=0, transactions=0, digest="", rows=0)


@dataclass(frozen=True)
class _Growth:
    """One view's file, what it says of itself, and the span that is to be added."""

    view: FeatureView
    path: Path
    extent: Extent
    span: Span


@dataclass(frozen=True)
class _Work:
    """What all views of one call share. moment: all that has arrived before it is here.

    files: what was written; the files take their places together.
    """

    engine: Engine
    contract: Contract
    moment: int
    dry_run: bool
    files: Replacements


def update_history(
    contract: Contract,
    transactions: Path | None,
    out: Path,
    as_of: int | None = None,
    views: Sequence[str] | None = None,
    progress: Progress = silent,
    memory: str = DEFAULT_MEMORY,
    dry_run: bool = False,
    clock: SourceClock | None = None,
) -> HistorySummary:
    """Adds the runs, and arrivals, that `out/<view>.parquet` lacks; makes a file that is absent.

    transactions: all so far, not only the new ones. as_of: everything that has arrived before it
    is in the file; by default the file is whole up to its last arrival. clock: transactions
    beyond it are set aside. Raises InputError when transactions that were used have changed,
    before anything is written.
    """
    chosen = chosen_views(contract, views)
    with connect(memory) as engine, replacing_together() as files:
        loaded = load_some(engine, contract, transactions, chosen, clock)
        works = [
            _Work(engine, contract, one.whole_until if as_of is None else as_of, dry_run, files)
            for one in _sources(contract, chosen, loaded)
        ]
        growths = [
            _missing(work, view, history_file(out, view), loaded[contract.source_of(view).name])
            for work, view in zip(works, chosen, strict=True)
        ]
        written = []
        for work, growth in zip(works, growths, strict=True):
            done = _update(work, growth)
            progress(f"{done.view}: {done.runs:,} runs, {done.rows:,} rows, {done.seconds:.1f} s")
            written.append(done)
        if not dry_run:
            write_quarantines(engine, loaded, out, files)
    return summary_of(loaded.values(), written)


def _sources(
    contract: Contract, views: Sequence[FeatureView], loaded: Mapping[str, TransactionSummary]
) -> list[TransactionSummary]:
    """The source of each view."""
    return [loaded[contract.source_of(view).name] for view in views]


def _missing(work: _Work, view: FeatureView, path: Path, loaded: TransactionSummary) -> _Growth:
    extent = _NOTHING
    if path.is_file():
        _refuse_future(work, view, path, loaded)
        extent = verified(work.engine, work.contract, view, path, loaded)
    start = first_run(view, max(extent.start, extent.end))
    return _Growth(view, path, extent, Span(start, final_end(view, work.moment)))


def _refuse_future(work: _Work, view: FeatureView, path: Path, loaded: TransactionSummary) -> None:
    """Refuses a file whose runs are final beyond the clock: one row of the future made it so."""
    end = read_extent(work.contract, view, path).end
    if loaded.clock is not None and end > loaded.clock.latest:
        found = f"final until {format_moment(end)}"
        wanted = f"at most until {format_moment(loaded.clock.latest)}, by the clock"
        why = "compute it again with `proviso features`"
        raise InputError.of(path, found, wanted, why, code="history_in_future")


def _update(work: _Work, growth: _Growth) -> ViewHistory:
    began = time.monotonic()
    view, path, extent, span = growth.view, growth.path, growth.extent, growth.span
    if span.end <= extent.end and path.is_file():
        return ViewHistory(view.name, path, 0, span.start, span.start, 0.0, 0, extent.rows)
    until = extent.end if runs_of(view) else None
    with _new_rows(work, view, span) as made:
        kept = _kept(work, growth, made.query, until) if path.is_file() else 0
        grown = measured(work.engine, work.contract, view, extent.start, span.end, kept + made.rows)
        grown = grown.model_copy(update={"backfills": extent.backfills})
        if not work.dry_run and path.is_file():
            work.engine.execute(f"create or replace temp table {_FRESH} as {made.query}")
            insert_rows(work.engine, work.contract, view, path, _FRESH, until, grown, work.files)
        elif not work.dry_run:
            notes = notes_of(work.contract, view, grown)
            write_parquet(work.engine, made.query, path, notes, work.files)
    end = first_run(view, span.end)
    seconds = time.monotonic() - began
    return ViewHistory(view.name, path, made.rows, made.first, end, seconds, made.runs, kept)


@contextmanager
def _new_rows(work: _Work, view: FeatureView, span: Span) -> Iterator[Computed]:
    """The rows of a span; of a table those that were created within it."""
    if of_table(view):
        created = f"{CREATED} >= {span.start:d} and {CREATED} < {span.end:d}"
        yield taken(work.engine, work.contract, view, created)
        return
    with computed(work.engine, work.contract, view, span) as made:
        yield made


def _kept(work: _Work, growth: _Growth, fresh: str, until: int | None) -> int:
    """How many rows of the file stay when others are added."""
    path = work.files.newest(growth.path)
    if not of_table(growth.view):
        return rows_before(work.engine, path, until)
    rows = f"select * from {parquet_rows(path)}"
    rows = kept_rows(work.contract, growth.view, rows, f"({fresh})")
    return int(work.engine.row(f"select count(*) from ({rows})")[0])


def backfill_history(
    contract: Contract,
    transactions: Path | None,
    out: Path,
    start: int,
    end: int | None = None,
    as_of: int | None = None,
    views: Sequence[str] | None = None,
    progress: Progress = silent,
    memory: str = DEFAULT_MEMORY,
    dry_run: bool = False,
    clock: SourceClock | None = None,
) -> HistorySummary:
    """Corrects the runs in [start, end) by what had arrived before `as_of`, as if it had in time.

    First adds what the file lacks up to then. Then appends a row, readable from as_of + duration
    on, wherever the winner of that moment differs or there is none. The transactions may have
    changed; from now on they are the ones that were used. as_of: as of an update; by default
    now, though the file be whole only up to its last arrival. clock: as of an update. Raises
    InputError.
    """
    chosen = chosen_views(contract, views)
    with connect(memory) as engine, replacing_together() as files:
        loaded = load_some(engine, contract, transactions, chosen, clock)
        moment = now() if as_of is None else as_of
        work = _Work(engine, contract, moment, dry_run, files)
        sources = _sources(contract, chosen, loaded)
        for view, source in zip(chosen, sources, strict=True):
            _refuse_earlier(work, history_file(out, view), view)
            _refuse_future(work, view, history_file(out, view), source)
        growths = []
        for view, source in zip(chosen, sources, strict=True):
            whole = min(moment, source.whole_until) if as_of is None else moment
            known = _Work(engine, contract, whole, dry_run, files)
            growths.append(_corrected(known, view, history_file(out, view)))
        for one in {s.name: s for s in map(contract.source_of, chosen)}.values():
            _arrive_in_time(work, one)
        written = []
        for growth in growths:
            last = MAX_MOMENT if of_table(growth.view) else moment  # a row may lie ahead
            done = _backfill(work, growth, Span(start, last if end is None else end))
            progress(f"{done.view}: {done.runs:,} runs, {done.rows:,} rows, {done.seconds:.1f} s")
            written.append(done)
        if not dry_run:
            write_quarantines(engine, loaded, out, files)
    return summary_of(loaded.values(), written)


def _refuse_earlier(work: _Work, path: Path, view: FeatureView) -> None:
    for backfill in read_extent(work.contract, view, path).backfills:
        if work.moment <= backfill.moment:
            found = f"{format_moment(work.moment)} for {path}"
            wanted = f"after its backfill of {format_moment(backfill.moment)}"
            why = "the later correction wins by its created_ts"
            raise InputError.of("--as-of", found, wanted, why, code="backfill_out_of_order")


def _corrected(work: _Work, view: FeatureView, path: Path) -> _Growth:
    """The view's file, brought up to the moment, with the transactions as they are now."""
    extent = read_extent(work.contract, view, path)
    start = first_run(view, max(extent.start, extent.end))
    _update(work, _Growth(view, path, extent, Span(start, final_end(view, work.moment))))
    extent = read_extent(work.contract, view, work.files.newest(path))
    extent = rebased(work.engine, work.contract, view, extent)
    return _Growth(view, path, extent, Span(extent.start, extent.end))


def _arrive_in_time(work: _Work, source: EventsSource | TableSource) -> None:
    """Leaves in a source's table what was known at the moment, as if it had arrived when it
    happened."""
    if isinstance(source, TableSource):
        later = f"{CREATED} >= {work.moment:d}"
        work.engine.execute(f"delete from {events_of(source)} where {later}")
        return
    masked = "".join(
        f", case when greatest({known}, _arrival) < {work.moment:d} then {column} end as {column}"
        for known, name in ((quoted(known_column(n)), quoted(n)) for n in source.late_columns)
        for column in (name, known)
    )
    work.engine.execute(
        f"create or replace temp table {events_of(source)} as select * replace"
        f" (_event as _arrival{masked})"
        f" from {events_of(source)} where _arrival < {work.moment:d}"
    )


def _backfill(work: _Work, growth: _Growth, asked: Span) -> ViewHistory:
    began = time.monotonic()
    view, path, extent = growth.view, growth.path, growth.extent
    span = asked if of_table(view) else _final(work, growth, asked)
    winners = _winners(work, growth, span)
    done = Backfill(start=span.start, end=span.end, moment=work.moment)
    with _again(work, view, span, winners) as made:
        query = _different(work, view, made.query, winners)
        work.engine.execute(f"create or replace temp table {_FRESH} as {query}")
        rows = int(work.engine.row(f"select count(*) from {_FRESH}")[0])
        kept = _kept(work, growth, f"select * from {_FRESH}", None)
        more = {"rows": kept + rows, "backfills": (*extent.backfills, done)}
        if not work.dry_run:
            grown = extent.model_copy(update=more)
            insert_rows(work.engine, work.contract, view, path, _FRESH, None, grown, work.files)
    seconds = time.monotonic() - began
    return ViewHistory(view.name, path, rows, span.start, span.end, seconds, made.runs, kept)


def _final(work: _Work, growth: _Growth, asked: Span) -> Span:
    """The runs, or arrivals, that a correction of some asked ones computes again."""
    view, extent = growth.view, growth.extent
    first = first_run(view, max(asked.start, extent.start))
    last = min(asked.end, extent.end, final_end(view, work.moment))
    return Span(first, max(first, last))


@contextmanager
def _again(work: _Work, view: FeatureView, span: Span, winners: str) -> Iterator[Computed]:
    """The rows of a span as they would be if all had arrived in time; of a table the newest of each
    event time."""
    keys = names(*work.contract.join_keys(view))
    if of_table(view):
        table = events_of(work.contract.source_of(view))
        happened = f"{EVENT} >= {span.start:d} and {EVENT} < {span.end:d}"
        query = newest_rows(work.contract, view, table, happened)
        (rows,) = work.engine.row(f"select count(*) from ({query})")
        yield Computed(query, span.start, rows, rows)
        return
    also = f"select {keys}, _at from ({winners})"
    with computed(work.engine, work.contract, view, span, also) as made:
        yield made


def _winners(work: _Work, growth: _Growth, span: Span) -> str:
    """The row of each entity and event time in the span that wins before the correction does.

    Of a table also one that is still to be readable: it says all that the table says.
    """
    keys = names(*work.contract.join_keys(growth.view))
    corrected = f"make_timestamptz({work.moment + publishing_takes(growth.view):d}::bigint)"
    sooner = "true" if of_table(growth.view) else f"created_ts < {corrected}"
    return (
        f"select *, epoch_us(event_ts) as _at from {parquet_rows(work.files.newest(growth.path))}"
        f" where event_ts >= make_timestamptz({span.start:d}::bigint)"
        f" and event_ts < make_timestamptz({span.end:d}::bigint) and {sooner}"
        f" qualify row_number()"
        f" over (partition by {keys}, event_ts order by created_ts desc) = 1"
    )


def _different(work: _Work, view: FeatureView, query: str, winners: str) -> str:
    """The computed rows that say something else than the winners, stamped by the backfill."""
    keys = names(*work.contract.join_keys(view))
    changed = "".join(
        f" or _c.{quoted(f.name)} is distinct from _w.{quoted(f.name)}" for f in view.features
    )
    readable = f"make_timestamptz({work.moment + publishing_takes(view):d}::bigint)"
    if of_table(view):  # the row to be corrected may not be readable yet, and must not win later
        readable = f"greatest({readable}, _c.created_ts, _w.created_ts)"
    return (
        f"select _c.* replace ({readable} as created_ts)"
        f" from ({query}) _c left join ({winners}) _w using ({keys}, event_ts)"
        f" where _w._at is null{changed}"
    )
