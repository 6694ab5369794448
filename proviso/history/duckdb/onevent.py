"""The rows of views that are published on event: one row an arrival moment of an entity.

An entity's arrival moments in order are its states. Windows end at the latest event so far, which
only moves on, so an event is in a window for one stretch of states: it enters at the first state
that knows it and has reached it, and leaves at the first whose window begins after it. Running
sums of these changes give every state, at n log n however many events one entity has.
"""

from __future__ import annotations

from collections.abc import Sequence

from proviso.contracts.base import ALL_TIME
from proviso.contracts.contract import Contract, FeatureView
from proviso.history.duckdb.aggregates import (
    changes,
    dated_events,
    feature_columns,
    no_sums,
    running_sums,
    sums_of_changes,
    swept_events,
    with_steps,
)
from proviso.history.duckdb.dating import Dating
from proviso.history.duckdb.engine import Engine, names
from proviso.history.duckdb.layout import END, Layout, layout_of
from proviso.history.duckdb.source import events_source
from proviso.history.duckdb.sweeps import AT_ONCE, Numbering, add_swept, create_swept
from proviso.history.duckdb.transactions import events_of

_STATES, _STARTS = "_states", "_starts"


def make_arrivals(
    engine: Engine, contract: Contract, view: FeatureView, start: int, end: int, also: str
) -> None:
    """Makes the states of every entity with start <= arrival < end, numbered in order.

    Each has `_at`, the arrival moment, and `_from`, the latest event by then. also: a query of
    join keys and `_at` of further arrival moments.
    """
    keys = names(*contract.join_keys(view))
    more = f" union all select {keys}, _at, _at from ({also})" if also else ""
    events = events_of(events_source(contract, view))
    engine.execute(
        f"create or replace temp table {_STATES} as"
        f" select *, row_number() over (order by _entity, _at) as _number"
        f" from (select _entity, _arrival as _at,"
        f" max(max(_event)) over (partition by _entity order by _arrival) as _from"
        f" from (select {keys}, _arrival, _event from {events}{more})"
        f" join _entities using ({keys}) group by _entity, _arrival)"
        f" where _at >= {start:d} and _at < {end:d}"
    )
    engine.execute(
        f"create or replace temp table {_STARTS} as"
        f" select _entity, _from, min(_number) as _number from {_STATES} group by _entity, _from"
    )
    layout = layout_of(contract, view)
    for dated in layout.datings:
        events = dated_events(contract, view, layout, dated)
        engine.execute(
            f"create or replace temp table {dated.cells} as"
            f" {_leaving(layout.windows(dated), _entering(events, dated))}"
        )
    if layout.sweeps:
        _sweep(engine, contract, view, layout)


def on_event_rows(contract: Contract, view: FeatureView) -> str:
    """The query of a row a state, in the order of a file."""
    layout = layout_of(contract, view)
    changed = " union all ".join(
        [f"select _entity, _number as _at, {no_sums(layout)} from {_STATES}"]
        + [c for dated in layout.datings for c in changes(layout, dated)]
    )
    summed = f"select _entity, _at, {sums_of_changes(layout)} from ({changed}) group by all"
    running = (
        f"select _entity, _at as _number, {running_sums(layout, '_w')} from ({summed})"
        f" window _w as (partition by _entity order by _at)"
    )
    states = (
        f"select * exclude (_entity), _from as {END}"
        f" from ({with_steps(layout, running, '_number')}) join {_STATES} using (_entity, _number)"
    )
    features = names(*(feature.name for feature in view.features))
    return (
        f"select {names(*contract.join_keys(view), of='_e')}, make_timestamptz(_from) as event_ts,"
        f" make_timestamptz(_at + {view.delay_to_readable:d}) as created_ts, {features}"
        f" from (select _number, {feature_columns(contract, view)}"
        f" from (select *{layout.columns} from ({states})))"
        f" join {_STATES} using (_number) join _entities _e using (_entity)"
        f" order by _from, _entity, _at"
    )


def arrivals(engine: Engine) -> tuple[int, int]:
    """How many states there are, and the first arrival moment."""
    rows, first = engine.row(f"select count(*), coalesce(min(_at), 0) from {_STATES}")
    return int(rows), int(first)


def _entering(events: str, dated: Dating) -> str:
    """Dated events with `_in`, the number of the state where they enter.

    A state that knows an event has reached it, but a late value may be dated after the latest.
    """
    known = (
        f" from ({events}) _v asof join {_STATES} _known"
        f" on _v._entity = _known._entity and _v._known <= _known._at"
    )
    if not dated.columns:
        return f"select _v.*, _known._number as _in{known}"
    return (
        f"select _v.*, greatest(_known._number, _reached._number) as _in{known}"
        f" asof join {_STARTS} _reached"
        f" on _v._entity = _reached._entity and _v._moment <= _reached._from"
    )


def _sweep(engine: Engine, contract: Contract, view: FeatureView, layout: Layout) -> None:
    """Makes the steps of all entities, of some at a time: places are the numbers of states."""
    source = events_of(events_source(contract, view))
    states, events, entities = engine.row(
        f"select (select count(*) from {_STATES}), (select count(*) from {source}),"
        f" (select count(*) from _entities)"
    )
    create_swept(engine, layout)
    parts = max(1, min(entities, -(-events // AT_ONCE)))
    for part in range(parts):
        first, after = part * entities // parts + 1, (part + 1) * entities // parts + 1
        queries = {
            dated: _swept(contract, view, layout, dated, range(first, after))
            for dated in layout.swept_datings
        }
        add_swept(engine, layout, queries, Numbering(states + 2, states + 2), first)


def _swept(
    contract: Contract, view: FeatureView, layout: Layout, dated: Dating, entities: range
) -> str:
    """Events of some entities with the states where they enter, and leave, at the latest after
    the entity's last."""
    events = (
        f"select * from ({swept_events(contract, view, layout, dated)})"
        f" where _entity >= {entities.start:d} and _entity < {entities.stop:d}"
    )
    windows = layout.swept_windows(dated)
    bounded = [window for window in windows if window != ALL_TIME]
    left = "".join(
        f", coalesce(_out{window}, _last + 1) as _out{window}"
        if window in bounded
        else f", _last + 1 as _out{window}"
        for window in windows
    )
    return (
        f"select _entity - {entities.start:d} as _entity, _moment, _in{left},"
        f" {', '.join(layout.swept_values(dated))}"
        f" from ({_leaving(bounded, _entering(events, dated))})"
        f" join (select _entity, max(_number) as _last from {_STATES} group by all)"
        f" using (_entity) order by _entity, _moment, _event, _id"
    )


def _leaving(windows: Sequence[int], entered: str) -> str:
    """Entered events with the number of the state where each window leaves them behind.

    An event that leaves before it enters counts nowhere.
    """
    numbers, joins = "", ""
    for window in windows:
        numbers += f", _left{window}._number as _out{window}"
        joins += (
            f" asof left join {_STARTS} _left{window} on _v._entity = _left{window}._entity"
            f" and _v._moment + {window:d} <= _left{window}._from"
        )
    return f"select _v.*{numbers} from ({entered}) _v{joins}"
