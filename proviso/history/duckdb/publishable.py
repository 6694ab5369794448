"""What a writer may publish at a moment: rows of history, read for materialization."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from feature_runtime.core.availability import Row
from proviso.contracts.contract import Contract, FeatureView
from proviso.contracts.publication import publishing_takes, runs_of
from proviso.history.duckdb.engine import Engine, connect, literal, names
from proviso.history.duckdb.relation import history_relation, planned_relation, stamps_relation
from proviso.history.extent import arrivals_end
from proviso.history.values import EntityRow, Horizon

_FETCH = 20_000
_MEMORY = "512MB"


def run_rows(contract: Contract, history: Path, view: FeatureView, run: int) -> Iterator[EntityRow]:
    """All rows of the run with event_ts = `run`."""
    source = history_relation(contract, history, view, run, run + 1)
    return _rows(contract, view, source, "true", [])


@contextmanager
def writable_rows(
    contract: Contract, history: Path, view: FeatureView, horizon: Horizon
) -> Iterator[tuple[int, Iterator[EntityRow]]]:
    """Rows of runs started by the clock that can still win for some t >= clock - margin; how many.

    Ordered by entity, read while they are used. Rows that lost to a newer visible one are left
    out, as a merge would, unless they have been missed (`Horizon.after`).
    """
    keys = names(*contract.join_keys(view))
    with connect(_MEMORY) as engine:
        # A sort holds its rows, here or spilled: counting them first costs little.
        query = _writable(contract, history, view, horizon)
        engine.execute(f"create temp table _writable as {query}")
        (count,) = engine.row("select count(*) from _writable")
        engine.execute(f"select * from _writable order by {keys}, _event_us, _created_us")
        yield count, _fetched(engine, contract, view)


def _writable(contract: Contract, history: Path, view: FeatureView, horizon: Horizon) -> str:
    """The query of these rows, in any order."""
    seen = horizon.clock - horizon.margin
    started = horizon.clock - view.source_delay
    readable = horizon.clock + publishing_takes(view)
    condition = f"_created_us <= {readable:d}"
    if horizon.after is not None:
        condition += f" and _visible_us > {horizon.after:d}"
    if horizon.left_out:
        condition += f" and _event_us not in ({', '.join(map(str, sorted(horizon.left_out)))})"
    oldest = seen - view.temporal_join_lookback
    # By the plan: a stamp may lie beyond the watermark, and its row is in the store all the same.
    relation = planned_relation if horizon.live else history_relation
    source = relation(contract, history, view, oldest, started + 1)
    keys = names(*contract.join_keys(view))
    newest = f"{_selected(contract, view, source)} where {condition}"
    if horizon.after is None:
        newest += (
            f" qualify _visible_us > {seen:d} or row_number() over (partition by {keys},"
            f" _visible_us <= {seen:d} order by _event_us desc, _created_us desc) = 1"
        )
    sent = stamps_relation(contract, history, view) if horizon.live else None
    if sent is None:
        return newest
    return (
        f"select * from ({newest}) anti join (select {keys}, _event_us, _planned_us as _created_us"
        f" from ({sent}) where _store = {literal(horizon.store)}"
        f" and _event_us >= {oldest:d}) using ({keys}, _event_us, _created_us)"
    )


def arriving_rows(
    contract: Contract, history: Path, view: FeatureView, span: range
) -> Iterator[EntityRow]:
    """Rows of a view without runs that become visible in the span, in the order in which a writer
    learns of them: by arrival, or by event time where that is later."""
    source = history_relation(contract, history, view)
    known = f"greatest(_created_us - {publishing_takes(view):d}, _event_us)"
    condition = "_visible_us >= ? and _visible_us < ?"
    tail = f"order by {known}, _event_us, _created_us"
    return _rows(contract, view, source, condition, [span.start, span.stop], tail)


def complete_until(contract: Contract, history: Path, view: FeatureView, clock: int) -> int:
    """The moment up to which all that becomes visible is written after a complete run at `clock`.

    The next run of a schedule starts after the clock, so nothing else becomes readable before
    the clock plus a run's duration; but a history that ends earlier knows less, also one of a view
    without runs: what arrived after its end becomes readable only when it has been published.
    """
    runs = runs_of(view)
    if runs is None:
        end = arrivals_end(contract, history, view)
        return clock if end is None else min(clock, end + publishing_takes(view) - 1)
    with connect() as engine:
        source = planned_relation(contract, history, view)
        found = engine.execute(f"select max(_event_us) from ({source})").fetchall()
    newest = found[0][0]
    if newest is None:
        return clock
    following = newest + runs.schedule + view.delay_to_readable - 1
    return int(min(clock + runs.duration, following))


def _rows(
    contract: Contract,
    view: FeatureView,
    source: str,
    condition: str,
    parameters: Sequence[int],
    tail: str = "",
) -> Iterator[EntityRow]:
    query = f"{_selected(contract, view, source)} where {condition} {tail}"
    with connect() as engine:
        engine.execute(query, list(parameters))
        yield from _fetched(engine, contract, view)


def _selected(contract: Contract, view: FeatureView, source: str) -> str:
    columns = names(*contract.join_keys(view), *(f.name for f in view.features))
    visible = f"greatest(_event_us + {view.source_delay:d}, _created_us) as _visible_us"
    return f"select _event_us, _created_us, {columns} from (select *, {visible} from ({source}))"


def _fetched(engine: Engine, contract: Contract, view: FeatureView) -> Iterator[EntityRow]:
    width = len(contract.join_keys(view))
    while found := engine.fetchmany(_FETCH):
        for event_ts, created_ts, *rest in found:
            row = Row(event_ts, created_ts, tuple(rest[width:]), _run_id(view, event_ts))
            yield EntityRow(tuple(rest[:width]), row)


def _run_id(view: FeatureView, event_ts: int) -> int:
    """A run's number: how many schedules since the epoch; without runs a row's event time."""
    runs = runs_of(view)
    return event_ts if runs is None else event_ts // runs.schedule
