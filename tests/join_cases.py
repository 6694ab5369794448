"""Histories and questions for the join, of any shape; answers by the join and by the rule.

The join is run as it is, in small batches too: what it remembers between them must not matter.
"""

from __future__ import annotations

import random
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import strategies as st

from feature_runtime.core.availability import Row, Status, availability, order, visible_from
from feature_runtime.core.moments import HOUR, MINUTE, parse_moment
from proviso.contracts.contract import Contract, FeatureView
from proviso.history.duckdb.join import build_dataset
from proviso.history.duckdb.loaded import open_transactions
from proviso.history.oracle import LabelRow, Rule, naive_join
from proviso.history.values import DatasetSummary, EntityRow, Event, LeftOut
from tests.history_data import (
    ZERO,
    contract,
    event,
    ids_for,
    near,
    write_history,
    write_transactions,
)
from tests.stamps import Stamp, record_stamps

Answer = tuple[Row | None, Status]
Build = Callable[..., DatasetSummary]
VIEWS = ("buyer_hourly", "buyer_at_shop", "buyer_stream")

# Days on which clocks are turned in New York and in Europe, and leap days; the rule knows of none.
ORIGINS = tuple(
    parse_moment(f"{day}T00:00:00Z")
    for day in ("2020-03-08", "2020-11-01", "2020-03-29", "2020-10-25", "2020-02-29", "2020-12-31")
)


@dataclass(frozen=True)
class Found:
    """What a join says: answers by view in the order of the sales, and refused rows by view."""

    answers: dict[str, list[Answer]]
    conflicts: dict[str, int]


@dataclass(frozen=True)
class Case:
    """Histories by view, questions as sales, runs left out, stamps by view, and batch sizes."""

    dtype: str
    histories: dict[str, list[EntityRow]]
    sales: list[Event]
    left_out: tuple[tuple[str, int], ...]
    stamps: dict[str, list[Stamp]]
    rows_at_once: int = 262_144
    asked_at_once: int = 4_000_000

    @property
    def owner(self) -> Contract:
        return owner_of(self.dtype)


@cache
def owner_of(dtype: str) -> Contract:
    """The small contract, its views with delays of their own."""
    data: dict[str, Any] = contract(dtype).model_dump(mode="json")
    delays = {"buyer_hourly": "PT10M", "buyer_at_shop": "PT40M", "buyer_stream": "PT3M"}
    for view in data["feature_views"]:
        view["source_delay"] = delays.get(view["name"], view["source_delay"])
    return Contract.model_validate(data)


def _values(view: FeatureView, number: int) -> tuple[int | float | bool | None, ...]:
    """Values that tell rows of a view apart."""
    made = {"int64": number, "float64": number / 3, "bool": number % 2 == 0}
    return tuple(made[feature.dtype] for feature in view.features)


@st.composite
def _histories(draw: st.DrawFn, owner: Contract, view: FeatureView) -> list[EntityRow]:
    """Corrections, repeats, ties of visibility, rows created before they happened or long after."""
    dtype = owner.entities[0].dtype
    pools = [ids_for(dtype, name[0], 2) for name in view.entities]
    ids = st.tuples(*(st.sampled_from(pool) for pool in pools))
    delay, plan = view.source_delay, view.delay_to_readable
    gaps = st.sampled_from([plan, plan, 0, delay, delay + 1, 3 * HOUR, -HOUR])
    moments = near(10)
    row = st.builds(
        lambda who, at, gap, again: (who, at, at + gap + again),
        ids,
        moments,
        gaps,
        st.sampled_from([0, 0, 1, HOUR]),
    )
    drawn = draw(st.lists(row | st.tuples(ids, moments, moments), max_size=12))
    again = draw(st.lists(st.sampled_from(drawn), max_size=2)) if drawn else []
    placed = sorted(drawn + again, key=lambda r: (r[1], r[0], r[2]))
    return [
        EntityRow(who, Row(at, created, _values(view, number % 9)))
        for number, (who, at, created) in enumerate(draw(st.sampled_from([drawn + again, placed])))
    ]


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Any case; all of it on a day of ORIGINS as likely as on the usual one."""
    dtype = draw(st.sampled_from(["string", "int64"]))
    views = [owner_of(dtype).view_by_name[name] for name in VIEWS]
    made = {view.name: draw(_histories(owner_of(dtype), view)) for view in views}
    edges = [edge for view in views for r in made[view.name] for edge in edges_of(view, r.row)]
    moments = st.sampled_from(edges) if edges else near(10)
    sale = st.builds(
        event,
        st.sampled_from(ids_for(dtype, "b", 3)),
        st.sampled_from(ids_for(dtype, "s", 2)),
        moments | near(12),
    )
    sales = draw(st.lists(sale, min_size=1, max_size=12))
    runs = [(name, r.row.event_ts) for name, rows in made.items() for r in rows]
    left_out = st.lists(st.sampled_from(runs), max_size=2) if runs else st.just([])
    case = Case(
        dtype,
        made,
        sales + draw(st.lists(st.sampled_from(sales), max_size=2)),
        tuple(draw(left_out)),
        {name: draw(_stamps(rows)) for name, rows in made.items()},
        draw(st.sampled_from([1, 3, 262_144])),
        draw(st.sampled_from([5, 4_000_000, 4_000_000])),
    )
    return moved(case, draw(st.sampled_from([ZERO, *ORIGINS])) - ZERO)


def moved(case: Case, by: int) -> Case:
    """The same case at another time."""

    def later(row: Row) -> Row:
        return row._replace(event_ts=row.event_ts + by, created_ts=row.created_ts + by)

    return replace(
        case,
        histories={
            name: [EntityRow(r.ids, later(r.row)) for r in rows]
            for name, rows in case.histories.items()
        },
        sales=[
            replace(s, event_ts=s.event_ts + by, arrival_ts=s.event_ts + by) for s in case.sales
        ],
        left_out=tuple((name, run + by) for name, run in case.left_out),
        stamps={
            name: [
                Stamp(s.ids, s.event_ts + by, s.planned + by, s.created_ts + by, s.acknowledged_ts)
                for s in stamps
            ]
            for name, stamps in case.stamps.items()
        },
    )


def edges_of(view: FeatureView, row: Row) -> Iterable[int]:
    """Moments at which the answer may change, and the microseconds beside them."""
    changes = (
        visible_from(view.times, row),
        row.event_ts + view.online_ttl,
        row.event_ts + view.temporal_join_lookback,
    )
    return (change + beside for change in changes for beside in (-1, 0, 1))


@st.composite
def _stamps(draw: st.DrawFn, rows: list[EntityRow]) -> list[Stamp]:
    """Some rows were published later than planned, now and then twice."""
    if not rows:
        return []
    late = draw(st.lists(st.sampled_from(rows), max_size=2, unique_by=_times))
    return [
        Stamp(r.ids, r.row.event_ts, r.row.created_ts, r.row.created_ts + later, 0)
        for r in late
        for later in draw(st.sampled_from([(1,), (MINUTE,), (HOUR, 2 * HOUR)]))
    ]


def _times(r: EntityRow) -> tuple[object, ...]:
    return (r.ids, *order(r.row))


def _published(case: Case, name: str) -> list[EntityRow]:
    """The rows of a view as they were published, without what is left out."""
    stamped: dict[tuple[object, ...], list[int]] = {}
    for s in case.stamps[name]:
        stamped.setdefault((s.ids, s.event_ts, s.planned), []).append(s.created_ts)
    written = [
        EntityRow(r.ids, r.row._replace(created_ts=created))
        for r in case.histories[name]
        for created in stamped.get(_times(r), [r.row.created_ts])
    ]
    return [r for r in written if (name, r.row.event_ts) not in case.left_out]


def write_case(case: Case, work: Path) -> tuple[Path, Path]:
    """The case's files: the history's directory and the transactions."""
    history = work / "history"
    for name in VIEWS:
        view = case.owner.view_by_name[name]
        write_history(case.owner, view, case.histories[name], history)
        record_stamps(case.owner, history, view, case.stamps[name])
    return history, write_transactions(case.sales, case.dtype, work / "sales.parquet")


def span_of(case: Case) -> tuple[int, int]:
    """From the first question to just after the last one."""
    asked = [sale.event_ts for sale in case.sales]
    return min(asked), max(asked) + 1


def fast(case: Case, views: Sequence[str] = VIEWS, build: Build = build_dataset) -> Found:
    """The winners that the join finds, by view."""
    with tempfile.TemporaryDirectory() as work, sizes(case, build):
        history, sales = write_case(case, Path(work))
        out = Path(work) / "dataset.parquet"
        done = build(case.owner, history, sales, *span_of(case), out, views, case.left_out)
        table = pq.read_table(out).sort_by("sale_id")
    answers = {name: answers_in(case.owner.view_by_name[name], table) for name in views}
    return Found(answers, {joined.view: joined.conflicts for joined in done.views})


def build_loaded(
    contract: Contract,
    history: Path,
    transactions: Path,
    start: int,
    end: int,
    out: Path,
    views: Sequence[str],
    left_out: LeftOut,
) -> DatasetSummary:
    """As `build_dataset`, from transactions that are loaded for several uses."""
    with open_transactions(contract, transactions) as loaded:
        return loaded.build_dataset(history, start, end, out, views, left_out)


@contextmanager
def sizes(case: Case, build: Build = build_dataset) -> Iterator[None]:
    """The join with the case's batch sizes."""
    own: Mapping[str, Any] = build.__globals__
    scope = own if "_AT_ONCE" in own else build_dataset.__globals__
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(scope, "_BATCH", case.rows_at_once)
        patch.setitem(scope, "_AT_ONCE", case.asked_at_once)
        yield


def answers_in(view: FeatureView, table: pa.Table) -> list[Answer]:
    """A view's winners in a dataset."""
    moments = [table[f"{view.name}__{w}_ts"].cast(pa.int64()) for w in ("event", "created")]
    values = [table[f"{view.name}__{feature.name}"] for feature in view.features]
    columns = [column.to_pylist() for column in (*moments, *values)]
    rows = zip(*columns, strict=True)
    statuses = table[f"{view.name}__status"].to_pylist()
    return [
        (None if row[0] is None else Row(row[0], row[1], tuple(row[2:])), Status[status])
        for row, status in zip(rows, statuses, strict=True)
    ]


def slow(case: Case, name: str, rule: Rule = availability) -> list[Answer]:
    """The winner of each transaction by the rule, one after the other."""
    view = case.owner.view_by_name[name]
    keys = case.owner.join_keys(view)
    asked = [LabelRow(tuple(s.ids[key] for key in keys), s.event_ts) for s in case.sales]
    # Of two rows with the same times the store and the join keep the first.
    first: dict[tuple[object, ...], EntityRow] = {}
    for r in _published(case, name):
        first.setdefault(_times(r), r)
    return naive_join(view.times, list(first.values()), asked, rule)


def conflicts_in(case: Case, name: str) -> int:
    """Rows of the cases' entities with other values than an earlier row of the same times."""
    view = case.owner.view_by_name[name]
    keys = case.owner.join_keys(view)
    known = {tuple(s.ids[key] for key in keys) for s in case.sales}
    start, end = span_of(case)
    first: dict[tuple[object, ...], Row] = {}
    differing = 0
    for r in _published(case, name):
        if r.ids in known and start - view.temporal_join_lookback <= r.row.event_ts < end:
            differing += first.setdefault(_times(r), r.row) != r.row
    return differing


def fixed_case() -> Case:
    """Many rows and questions on every edge of theirs, always the same, a few rows at a time."""
    rng = random.Random(7)
    made: dict[str, list[EntityRow]] = {}
    edges: list[int] = []
    for name in VIEWS:
        view, rows = owner_of("string").view_by_name[name], []
        for number in range(60):
            ids = tuple(rng.choice(ids_for("string", e[0], 2)) for e in view.entities)
            at = ZERO + rng.randrange(-10, 10) * HOUR
            gap = rng.choice([view.delay_to_readable, 0, view.source_delay, 3 * HOUR, -HOUR])
            rows.append(EntityRow(ids, Row(at, at + gap, _values(view, number))))
        made[name] = rows
    edges = [
        e
        for v in VIEWS
        for r in made[v]
        for e in edges_of(owner_of("string").view_by_name[v], r.row)
    ]
    sales = [
        event(rng.choice(ids_for("string", "b", 2)), rng.choice(ids_for("string", "s", 2)), at)
        for at in rng.sample(edges, 900)
    ]
    return Case("string", made, sales, (), {name: [] for name in VIEWS}, 7, 400)
