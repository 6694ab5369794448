"""Computes the feature history: one Parquet file a view, every run of it, exact to the bit.

Scheduled views cost one pass, however many runs there are: an event enters a window at one run
and leaves it at another, so running sums of these changes give every run. A state that holds
for many runs is computed once and then laid out on the grid (docs/time.md says what a row is).
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from feature_runtime.core.moments import format_moment
from proviso.contracts.base import ContractError, InputError, Problem
from proviso.contracts.contract import Contract, FeatureView
from proviso.contracts.files import Replacements, replacing_together
from proviso.contracts.publication import of_table, runs_of
from proviso.contracts.sources import EventsSource, TableSource
from proviso.history.duckdb.aggregates import (
    changes,
    check_aggregates,
    dated_events,
    feature_columns,
    no_sums,
    nothing_kept,
    running_sums,
    sums_of_changes,
    swept_events,
    with_steps,
)
from proviso.history.duckdb.dating import Dating
from proviso.history.duckdb.digests import digest_events, measured
from proviso.history.duckdb.engine import (
    Engine,
    EngineError,
    connect,
    names,
    write_parquet,
)
from proviso.history.duckdb.layout import END, MEMBERS, Layout, layout_of
from proviso.history.duckdb.onevent import arrivals, make_arrivals, on_event_rows
from proviso.history.duckdb.quarantine import write_quarantines
from proviso.history.duckdb.source import events_source
from proviso.history.duckdb.sweeps import AT_ONCE, SWEPT, Numbering, add_swept, create_swept
from proviso.history.duckdb.tables import CREATED, EVENT, table_rows
from proviso.history.duckdb.transactions import events_of, load_source
from proviso.history.extent import final_end, notes_of
from proviso.history.files import history_file
from proviso.history.values import (
    DEFAULT_MEMORY,
    HistorySummary,
    Progress,
    SourceClock,
    TransactionSummary,
    ViewHistory,
    silent,
    summary_of,
)

_CELLS = 20_000_000
"""Changes, times aggregates, that are grouped at once: they take about 60 bytes each."""


@dataclass(frozen=True)
class Grid:
    """The runs H of a schedule with start <= H < end; `start` is a run."""

    every: int
    start: int
    end: int


@dataclass(frozen=True)
class Span:
    """The runs H with start <= H < end, or the arrivals of an on-event view or a table."""

    start: int
    end: int


@dataclass(frozen=True)
class _Files:
    """The file of a view, and those that it takes its place with."""

    path: Path
    files: Replacements


@dataclass(frozen=True)
class Computed:
    """A query of a span's rows in the order of a file, and how many runs and rows they are.

    first: where in the span the transactions begin; runs: those from there on, of a view without
    runs its rows.
    """

    query: str
    first: int
    runs: int
    rows: int


def compute_history(
    contract: Contract,
    transactions: Path | None,
    out: Path,
    start: int | None = None,
    end: int | None = None,
    views: Sequence[str] | None = None,
    progress: Progress = silent,
    memory: str = DEFAULT_MEMORY,
    clock: SourceClock | None = None,
) -> HistorySummary:
    """Writes `out/<view>.parquet` for the runs in [start, end), sorted by event_ts and keys.

    start, end: microseconds; by default the first run at or after the first event to the last
    run at or before the last event or arrival. views: names; by default all of the contract.
    memory: the engine's bound; what does not fit is spilled to disk. clock: transactions beyond
    it are set aside. The files take their places together. Raises InputError, OSError.
    """
    chosen = chosen_views(contract, views)
    with connect(memory) as engine:
        loaded = load_some(engine, contract, transactions, chosen, clock)
        for name, one in loaded.items():
            what = f"rows of {name}"
            progress(f"{one.rows:,} {what}")
        return computed_views(engine, contract, loaded, chosen, out, start, end, progress)


def computed_views(
    engine: Engine,
    contract: Contract,
    loaded: Mapping[str, TransactionSummary],
    views: Sequence[FeatureView],
    out: Path,
    start: int | None,
    end: int | None,
    progress: Progress,
) -> HistorySummary:
    """Writes the files of some views from sources that are loaded and digested, by name."""
    written = []
    with replacing_together() as files:
        for view in views:
            work = _Files(history_file(out, view), files)
            source = loaded[contract.source_of(view).name]
            done = _compute(engine, contract, view, source, work, start, end)
            progress(f"{view.name}: {done.rows:,} rows, {done.seconds:.1f} s")
            written.append(done)
        _refuse_emptying(written)
        write_quarantines(engine, loaded, out, files)
    return summary_of(loaded.values(), written)


def chosen_views(contract: Contract, views: Sequence[str] | None) -> list[FeatureView]:
    """The views of some names, or all, if they can be computed exactly. Raises ValidationFailed."""
    unknown = sorted(set(views or ()) - set(contract.view_by_name))
    if unknown:
        known = f"one of {sorted(contract.view_by_name)}"
        raise InputError.of("--view", ", ".join(unknown), known, code="view_unknown")
    chosen = [v for v in contract.feature_views if views is None or v.name in views]
    check_aggregates(contract, chosen)
    return chosen


def load_some(
    engine: Engine,
    contract: Contract,
    transactions: Path | None,
    views: Sequence[FeatureView],
    clock: SourceClock | None,
) -> dict[str, TransactionSummary]:
    """Loads and digests the sources of some views, which have rows. Raises InputError.

    transactions: where the observed rows lie, in place of the contract's location.
    """
    observed = contract.observations_of().rows.name
    loaded = {}
    for source in {s.name: s for s in map(contract.source_of, views)}.values():
        path = transactions if source.name == observed else None
        loaded[source.name] = load_source(engine, contract, source, path, clock=clock)
        digest_loaded(engine, contract, source, loaded[source.name])
    return loaded


def digest_loaded(
    engine: Engine,
    contract: Contract,
    source: EventsSource | TableSource,
    loaded: TransactionSummary,
) -> None:
    """Digests loaded rows, of which there must be some. Raises InputError."""
    if loaded.rows == 0 and loaded.set_aside:
        why = "--as-of, or the end of a simulated file, names a later clock"
        raise InputError.event("transactions_in_future", loaded.set_aside_text, loaded.path, why)
    if loaded.rows == 0:
        wanted = "rows to compute features from"
        raise InputError.of(loaded.path, "no row", wanted, code="no_transactions")
    digest_events(engine, contract, source)


def _compute(
    engine: Engine,
    contract: Contract,
    view: FeatureView,
    loaded: TransactionSummary,
    work: _Files,
    start: int | None,
    end: int | None,
) -> ViewHistory:
    began = time.monotonic()
    span = _span(view, loaded, start, end)
    final = final_end(view, loaded.whole_until, span.end)
    with made_rows(engine, contract, view, span) as made:
        extent = measured(engine, contract, view, start or 0, final, made.rows)
        notes = notes_of(contract, view, extent)
        write_parquet(engine, made.query, work.path, notes, work.files)
    seconds = time.monotonic() - began
    return ViewHistory(view.name, work.path, made.rows, span.start, span.end, seconds, made.runs)


def _span(
    view: FeatureView, loaded: TransactionSummary, start: int | None, end: int | None
) -> Span:
    """[start, end) with the defaults filled in; a schedule's start is one of its runs."""
    first = loaded.first_event if start is None else start
    last = loaded.last_moment if end is None else end - 1
    if first is None or last is None:
        raise ValueError("found no transactions, wanted some: the caller checks")
    if loaded.clock is not None and runs_of(view) is None:
        last = min(last, loaded.clock.now - 1)  # the file holds no arrival beyond its extent
    first = first_run(view, first)
    return Span(first, max(first, last + 1))


def _refuse_emptying(written: Sequence[ViewHistory]) -> None:
    """Raises InputError where the span has no row and the files that are there have some."""
    if any(view.rows for view in written) or not any(_rows_of(view.path) for view in written):
        return
    span = f"[{format_moment(written[0].start)}, {format_moment(written[0].end)})"
    found, wanted = f"no row in {span}", "a span with rows, as the files have that are there"
    why = "remove the files if they are to go"
    raise InputError.of("--start, --end", found, wanted, why, code="span_without_rows")


def _rows_of(path: Path) -> int:
    """How many rows a file has; 0 where there is none that can be read."""
    try:
        return int(pq.read_metadata(path).num_rows)
    except (OSError, pa.ArrowInvalid):
        return 0


def first_run(view: FeatureView, moment: int) -> int:
    """The first run at or after a moment; of a view without runs the moment itself."""
    runs = runs_of(view)
    return moment if runs is None else -(-moment // runs.schedule) * runs.schedule


@contextmanager
def made_rows(
    engine: Engine, contract: Contract, view: FeatureView, span: Span
) -> Iterator[Computed]:
    """The rows of a span, computed or taken from a table; to be read inside the block.

    A row of a table belongs to the span from when it is there and its moment has come; earlier
    ones are beyond the lookback of every moment of the span.
    """
    if of_table(view):
        later = f"greatest({EVENT}, {CREATED}) >= {span.start:d} and {CREATED} < {span.end:d}"
        yield taken(engine, contract, view, later)
        return
    with computed(engine, contract, view, span) as made:
        yield made


def taken(engine: Engine, contract: Contract, view: FeatureView, condition: str) -> Computed:
    """The rows that a table gives, of those that meet a condition, in the order of a file."""
    keys, table = names(*contract.join_keys(view)), events_of(contract.source_of(view))
    query = table_rows(contract, view, table, condition)
    rows, first = engine.row(
        f"select count(*), coalesce(min(epoch_us(event_ts)), 0) from ({query})"
    )
    return Computed(f"{query} order by event_ts, {keys}, created_ts", first, rows, rows)


@contextmanager
def computed(
    engine: Engine, contract: Contract, view: FeatureView, span: Span, also: str = ""
) -> Iterator[Computed]:
    """The rows of a span from the table `events`; to be read inside the block.

    also: a query of join keys and `_at`, runs or arrivals that are wanted even where no
    transaction makes them. Raises ContractError when the view's SQL fails.
    """
    try:
        _number_entities(engine, contract, view, also)
        if runs := runs_of(view):
            grid = Grid(runs.schedule, span.start, span.end)
            _make_states(engine, contract, view, grid, also)
            yield _scheduled(engine, contract, view, grid)
        else:
            make_arrivals(engine, contract, view, span.start, span.end, also)
            rows, first = arrivals(engine)
            yield Computed(on_event_rows(contract, view), first, rows, rows)
    except EngineError as error:
        where = f"feature_views[{view.name}]"
        wanted = "SQL that the engine accepts"
        problem = Problem(where, str(error), wanted, code="feature_sql_refused")
        raise ContractError([problem]) from error
    finally:
        cells = [dated.cells for dated in layout_of(contract, view).datings]
        for table in ("_entities", "_states", "_starts", SWEPT, *cells):
            engine.execute(f"drop table if exists {table}")


def _number_entities(engine: Engine, contract: Contract, view: FeatureView, also: str) -> None:
    """Numbers the view's entities in the order of their keys: sorting numbers is cheaper."""
    keys = names(*contract.join_keys(view))
    more = f" union all select {keys} from ({also})" if also else ""
    events = events_of(events_source(contract, view))
    engine.execute(
        f"create temp table _entities as select {keys},"
        f" (row_number() over (order by {keys}))::integer as _entity"
        f" from (select distinct {keys} from (select {keys} from {events}{more}))"
    )


def _make_states(
    engine: Engine, contract: Contract, view: FeatureView, grid: Grid, also: str
) -> None:
    """Makes the states of every entity, of some entities at a time."""
    layout, source = layout_of(contract, view), events_of(events_source(contract, view))
    entities, events = engine.row(
        f"select (select count(*) from _entities), (select count(*) from {source})"
    )
    windows = sum(len(layout.windows(dated)) + 1 for dated in layout.datings)
    wanted = -(-events * windows * len(layout.terms) // _CELLS)
    wanted = max(wanted, -(-events // AT_ONCE) if layout.sweeps else 1)
    parts = max(1, min(entities, wanted))
    for part in range(parts):
        first, after = part * entities // parts + 1, (part + 1) * entities // parts + 1
        for dated in layout.datings:
            _make_cells(engine, contract, view, layout, dated, grid, range(first, after))
        if layout.sweeps:
            _sweep(engine, contract, view, layout, grid, range(first, after))
        into = "insert into _states" if part else "create temp table _states as"
        engine.execute(f"{into} {_states(contract, view, layout, grid)}")
    if also:
        engine.execute(f"insert into _states {_nothing(contract, view, layout, grid, also)}")


def _make_cells(
    engine: Engine,
    contract: Contract,
    view: FeatureView,
    layout: Layout,
    dated: Dating,
    grid: Grid,
    entities: range,
) -> None:
    """What the events of some entities add from run `_in` on, and until which run a window.

    An event counts in the runs with moment <= H, known <= H + source_delay and H < moment +
    window. What entered before the grid's start enters there. Events that enter and leave
    together are one cell.
    """
    entered = f"greatest(_moment, _known - {view.source_delay:d}, {grid.start:d})"
    left = "".join(
        f", {_next_run(f'_moment + {window:d}', grid.every)} as _out{window}"
        for window in layout.windows(dated)
    )
    added = "".join(f", sum({b}) as {b}" for b in layout.bases(dated))
    engine.execute(
        f"create or replace temp table {dated.cells} as"
        f" select _entity, {_next_run(entered, grid.every)} as _in{left}{added}"
        f" from ({dated_events(contract, view, layout, dated)})"
        f" where _entity >= {entities.start:d} and _entity < {entities.stop:d}"
        f" group by all"
    )


def _sweep(
    engine: Engine,
    contract: Contract,
    view: FeatureView,
    layout: Layout,
    grid: Grid,
    entities: range,
) -> None:
    """Makes the steps of some entities: places are runs, from the grid's start on."""
    runs = -(-(grid.end - grid.start) // grid.every)
    numbering = Numbering(runs + 1, runs, grid.start, grid.every)
    queries = {}
    for dated in layout.swept_datings:
        entered = f"greatest(_moment, _known - {view.source_delay:d}, {grid.start:d})"
        left = "".join(
            f", {_place(f'_moment + {window:d}', grid, runs)} as _out{window}"
            for window in layout.swept_windows(dated)
        )
        queries[dated] = (
            f"select _entity - {entities.start:d} as _entity, _moment,"
            f" {_place(entered, grid, runs)} as _in{left}, {', '.join(layout.swept_values(dated))}"
            f" from ({swept_events(contract, view, layout, dated)})"
            f" where _entity >= {entities.start:d} and _entity < {entities.stop:d}"
            f" order by _entity, _moment, _event, _id"
        )
    create_swept(engine, layout)
    add_swept(engine, layout, queries, numbering, entities.start)


def _place(moment: str, grid: Grid, runs: int) -> str:
    """The number of the first run at or after a moment; the number of runs if there is none."""
    return f"least(({_next_run(moment, grid.every)} - {grid.start:d}) // {grid.every:d}, {runs:d})"


def _nothing(contract: Contract, view: FeatureView, layout: Layout, grid: Grid, also: str) -> str:
    """States of entities without a transaction in runs that are wanted all the same."""
    wanted = (
        f"select distinct _entity, _at as _from, _at + {grid.every:d} as _until,"
        f" {nothing_kept(layout)}"
        f" from ({also}) join _entities using ({names(*contract.join_keys(view))})"
    )
    return (
        f"select * from ({_held(contract, view, layout, wanted)}) _w"
        f" where not exists (select 1 from _states _s where _s._entity = _w._entity"
        f" and _s._from <= _w._from and _w._from < _s._until)"
    )


def _held(contract: Contract, view: FeatureView, layout: Layout, states: str) -> str:
    """What a state holds: its features, or what they are made of where they move on with time."""
    if layout.moves:
        return states
    return (
        f"select _entity, _from, _until, {feature_columns(contract, view)}"
        f" from (select *{layout.columns} from ({states}))"
    )


def _scheduled(engine: Engine, contract: Contract, view: FeatureView, grid: Grid) -> Computed:
    """Lays the states out on the grid."""
    layout = layout_of(contract, view)
    laid = f"select *, unnest(range(_from, _until, {grid.every:d}::bigint)) as {END} from _states"
    if layout.moves:
        laid = (
            f"select _entity, {END}, {feature_columns(contract, view)}"
            f" from (select *{layout.columns} from ({laid}))"
        )
    features = names(*(feature.name for feature in view.features))
    events = events_of(events_source(contract, view))
    query = (
        f"select {names(*contract.join_keys(view), of='_e')},"
        f" make_timestamptz({END}) as event_ts,"
        f" make_timestamptz({END} + {view.delay_to_readable:d}) as created_ts, {features}"
        f" from ({laid}) join _entities _e using (_entity) order by {END}, _entity"
    )
    rows, event = engine.row(
        f"select (select coalesce(sum((_until - _from + {grid.every - 1:d}) // {grid.every:d}), 0)"
        f" from _states), (select coalesce(min(_event), {grid.end:d}) from {events})"
    )
    runs = range(max(grid.start, first_run(view, event)), grid.end, grid.every)
    return Computed(query, runs.start, len(runs), int(rows))


def _states(contract: Contract, view: FeatureView, layout: Layout, grid: Grid) -> str:
    """What holds for the cells' entities and the runs [_from, _until)."""
    changed = " union all ".join(
        change for dated in layout.datings for change in changes(layout, dated, grid.end)
    )
    if layout.sweeps:
        changed += f" union all select _entity, _at, {no_sums(layout)} from {SWEPT}"
    summed = f"select _entity, _at, {sums_of_changes(layout)} from ({changed}) group by all"
    running = (
        f"select _entity, _at as _from, lead(_at, 1, {grid.end:d}::bigint) over _w as _until,"
        f" {running_sums(layout, '_w')} from ({summed})"
        f" window _w as (partition by _entity order by _at)"
    )
    states = with_steps(layout, f"select * from ({running}) where {MEMBERS} > 0", "_from")
    return _held(contract, view, layout, states)


def _next_run(moment: str, every: int) -> str:
    """The first run at or after a moment, which is never before 1970."""
    return f"(({moment} + {every - 1:d}) // {every:d}) * {every:d}"
