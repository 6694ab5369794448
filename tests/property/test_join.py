"""The fast join equals the rule asked row by row, on histories of any shape."""

from __future__ import annotations

import operator
import random
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feature_runtime.availability import Row, Status, ViewTimes, availability, order, visible_from
from feature_runtime.moments import HOUR, MINUTE
from proviso.contracts.contract import Contract, FeatureView
from proviso.history.join import build_dataset
from proviso.history.oracle import Asked, Event, HistoryRow, Rule, naive_join
from tests.history_data import (
    ZERO,
    contract,
    event,
    ids_for,
    near,
    times_of,
    write_history,
    write_transactions,
)
from tests.stamps import Stamp, record_stamps

Answer = tuple[Row | None, Status]
VIEWS = ("buyer_hourly", "buyer_at_shop")


@dataclass(frozen=True)
class Case:
    """Histories by view, questions as sales, runs left out, and stamps by view."""

    dtype: str
    histories: dict[str, list[HistoryRow]]
    sales: list[Event]
    left_out: tuple[tuple[str, int], ...]
    stamps: dict[str, list[Stamp]]


def _values(view: FeatureView, number: int) -> tuple[int | float | bool | None, ...]:
    """Values that tell rows of a view apart."""
    made = {"int64": number, "float64": number / 3, "bool": number % 2 == 0}
    return tuple(made[feature.dtype] for feature in view.features)


@st.composite
def histories(draw: st.DrawFn, owner: Contract, view: FeatureView) -> list[HistoryRow]:
    """Corrections, ties of visibility, rows created before they happened or long after."""
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
    drawn = draw(st.lists(row | st.tuples(ids, moments, moments), max_size=14, unique=True))
    return [
        HistoryRow(who, Row(at, created, _values(view, number)))
        for number, (who, at, created) in enumerate(drawn)
    ]


@st.composite
def cases(draw: st.DrawFn) -> Case:
    dtype = draw(st.sampled_from(["string", "int64"]))
    owner = contract(dtype)
    views = [owner.view_by_name[name] for name in VIEWS]
    made = {view.name: draw(histories(owner, view)) for view in views}
    edges = [edge for view in views for r in made[view.name] for edge in _edges(view, r.row)]
    moments = st.sampled_from(edges) if edges else near(10)
    sale = st.builds(
        event,
        st.sampled_from(ids_for(dtype, "b", 3)),
        st.sampled_from(ids_for(dtype, "s", 2)),
        moments | near(12),
    )
    runs = [(name, r.row.event_ts) for name, rows in made.items() for r in rows]
    left_out = st.lists(st.sampled_from(runs), max_size=2) if runs else st.just([])
    return Case(
        dtype,
        made,
        draw(st.lists(sale, min_size=1, max_size=15)),
        tuple(draw(left_out)),
        {name: draw(_stamps(rows)) for name, rows in made.items()},
    )


def _edges(view: FeatureView, row: Row) -> Iterable[int]:
    """Moments at which the answer may change, and the microseconds beside them."""
    changes = (
        visible_from(times_of(view), row),
        row.event_ts + view.online_ttl,
        row.event_ts + view.temporal_join_lookback,
    )
    return (change + beside for change in changes for beside in (-1, 0, 1))


@st.composite
def _stamps(draw: st.DrawFn, rows: list[HistoryRow]) -> list[Stamp]:
    """Some rows were published later than planned, now and then twice."""
    if not rows:
        return []
    late = draw(st.lists(st.sampled_from(rows), max_size=2, unique_by=lambda r: (r.ids, r.row)))
    return [
        Stamp(r.ids, r.row.event_ts, r.row.created_ts, r.row.created_ts + later, 0)
        for r in late
        for later in draw(st.sampled_from([(1,), (MINUTE,), (HOUR, 2 * HOUR)]))
    ]


def _published(case: Case, name: str) -> list[HistoryRow]:
    """The rows of a view as they were published, without what is left out."""
    stamped: dict[tuple[object, ...], list[int]] = {}
    for s in case.stamps[name]:
        stamped.setdefault((s.ids, s.event_ts, s.planned), []).append(s.created_ts)
    written = [
        HistoryRow(r.ids, r.row._replace(created_ts=created))
        for r in case.histories[name]
        for created in stamped.get((r.ids, *order(r.row)), [r.row.created_ts])
    ]
    return [r for r in written if (name, r.row.event_ts) not in case.left_out]


def _fast(case: Case) -> dict[str, list[Answer]]:
    """The dataset's answers by view, in the order of the sales."""
    owner = contract(case.dtype)
    with tempfile.TemporaryDirectory() as work:
        history, out = Path(work) / "history", Path(work) / "dataset.parquet"
        for name in VIEWS:
            view = owner.view_by_name[name]
            write_history(owner, view, case.histories[name], history)
            record_stamps(owner, history, view, case.stamps[name])
        source = write_transactions(case.sales, case.dtype, Path(work) / "sales.parquet")
        asked = [sale.event_ts for sale in case.sales]
        span = (min(asked), max(asked) + 1)
        build_dataset(owner, history, source, *span, out, VIEWS, case.left_out)
        table = pq.read_table(out).sort_by("sale_id")
    return {name: _answers(owner.view_by_name[name], table) for name in VIEWS}


def _answers(view: FeatureView, table: pa.Table) -> list[Answer]:
    moments = [table[f"{view.name}__{w}_ts"].cast(pa.int64()) for w in ("event", "created")]
    values = [table[f"{view.name}__{feature.name}"] for feature in view.features]
    columns = [column.to_pylist() for column in (*moments, *values)]
    rows = zip(*columns, strict=True)
    statuses = table[f"{view.name}__status"].to_pylist()
    return [
        (None if row[0] is None else Row(row[0], row[1], tuple(row[2:])), Status[status])
        for row, status in zip(rows, statuses, strict=True)
    ]


def _slow(case: Case, name: str, rule: Rule = availability) -> list[Answer]:
    owner = contract(case.dtype)
    view = owner.view_by_name[name]
    keys = owner.join_keys(view)
    asked = [Asked(tuple(s.ids[key] for key in keys), s.event_ts) for s in case.sales]
    # Of two rows with the same times the store and the join keep the first.
    first: dict[tuple[object, ...], HistoryRow] = {}
    for r in _published(case, name):
        first.setdefault((r.ids, *order(r.row)), r)
    return naive_join(times_of(view), list(first.values()), asked, rule)


@settings(max_examples=60)
@given(case=cases())
def test_the_fast_join_equals_the_rule(case: Case) -> None:
    fast = _fast(case)
    for name in VIEWS:
        assert fast[name] == _slow(case, name), name


def _rule(
    visible: str = "<=", from_: str = "max", oldest: str = ">=", stale: str = ">", by: str = "both"
) -> Rule:
    """The availability rule with one of its comparisons turned."""
    compare: dict[str, Callable[[int, int], bool]] = {
        "<=": operator.le,
        "<": operator.lt,
        ">=": operator.ge,
        ">": operator.gt,
        "any": lambda _a, _b: True,
    }
    start: dict[str, Callable[[ViewTimes, Row], int]] = {
        "max": visible_from,
        "created": lambda _times, row: row.created_ts,
        "delay": lambda times, row: row.event_ts + times.source_delay,
        "event": lambda _times, row: max(order(row)),
    }
    key: dict[str, Callable[[Row], tuple[int, int]]] = {
        "both": order,
        "created": lambda row: (row.created_ts, row.event_ts),
        "oldest": lambda row: (row.event_ts, -row.created_ts),
        "least": lambda row: (-row.event_ts, row.created_ts),
    }

    def rule(times: ViewTimes, rows: Iterable[Row], t: int) -> Answer:
        usable = [
            row
            for row in rows
            if compare[visible](start[from_](times, row), t)
            and compare[oldest](row.event_ts, t - times.lookback)
        ]
        if not usable:
            return None, Status.MISSING_KEY
        winner = max(usable, key=key[by])
        old = compare[stale](t - winner.event_ts, times.ttl)
        return winner, Status.STALE if old else Status.OK

    return rule


def _fixed_case() -> Case:
    """Many rows and questions on every edge of theirs, always the same."""
    rng = random.Random(7)
    owner = contract("string")
    made: dict[str, list[HistoryRow]] = {}
    for name in VIEWS:
        view, rows = owner.view_by_name[name], dict[tuple[object, ...], HistoryRow]()
        for number in range(60):
            ids = tuple(rng.choice(ids_for("string", e[0], 2)) for e in view.entities)
            at = ZERO + rng.randrange(-10, 10) * HOUR
            gap = rng.choice([view.delay_to_readable, 0, view.source_delay, 3 * HOUR, -HOUR])
            key = (ids, at, at + gap)
            rows.setdefault(key, HistoryRow(ids, Row(at, at + gap, _values(view, number))))
        made[name] = list(rows.values())
    edges = [e for v in VIEWS for r in made[v] for e in _edges(owner.view_by_name[v], r.row)]
    sales = [
        event(rng.choice(ids_for("string", "b", 2)), rng.choice(ids_for("string", "s", 2)), at)
        for at in edges
    ]
    return Case("string", made, sales, (), {name: [] for name in VIEWS})


@pytest.fixture(scope="module")
def fixed() -> tuple[Case, dict[str, list[Answer]]]:
    case = _fixed_case()
    return case, _fast(case)


def _differences(
    fixed: tuple[Case, dict[str, list[Answer]]], rule: Rule
) -> Sequence[tuple[Answer, Answer]]:
    case, fast = fixed
    slow = {name: _slow(case, name, rule) for name in VIEWS}
    pairs = (pair for name in VIEWS for pair in zip(fast[name], slow[name], strict=True))
    return [(a, b) for a, b in pairs if a != b]


def test_the_unturned_rule_finds_no_difference(
    fixed: tuple[Case, dict[str, list[Answer]]],
) -> None:
    assert _differences(fixed, _rule()) == []


@pytest.mark.parametrize(
    "turned",
    [
        {"visible": "<"},
        {"visible": "any"},
        {"from_": "created"},
        {"from_": "delay"},
        {"from_": "event"},
        {"oldest": ">"},
        {"oldest": "any"},
        {"stale": ">="},
        {"stale": "<"},
        {"by": "created"},
        {"by": "oldest"},
        {"by": "least"},
    ],
    ids=str,
)
def test_every_turned_comparison_is_noticed(
    fixed: tuple[Case, dict[str, list[Answer]]], turned: dict[str, str]
) -> None:
    assert _differences(fixed, _rule(**turned))
