"""The skew test and the validator of skew cases reach one verdict about the same two sides."""

from __future__ import annotations

import csv
import io
from dataclasses import asdict
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from feature_runtime.core.availability import Row, Status, Value, availability
from feature_runtime.core.moments import HOUR, MINUTE, SECOND
from feature_runtime.core.values import feature_statuses
from proviso.checks.skew.cases import HEADER, parse_cases, recompute
from proviso.checks.skew.rows import Compared, row_of
from proviso.checks.skew.verdict import Side
from proviso.contracts.contract import Feature, Tolerance
from proviso.contracts.loading import load_contract

CONTRACT = load_contract(Path(__file__).parents[2] / "contracts")
VIEW = CONTRACT.view_by_name["customer_velocity_1h"]
TIMES = VIEW.times
T = 1_800_000_000 * SECOND

EVENTS = st.sampled_from(
    [
        T - MINUTE,  # not visible yet
        T - TIMES.source_delay,
        T - HOUR,
        T - TIMES.ttl - 1,
        T - TIMES.lookback - 1,
    ]
)
OF_TYPE: dict[str, st.SearchStrategy[Value]] = {
    "int64": st.integers(-(2**53), 2**53),
    "float64": st.floats(allow_nan=False),
    "bool": st.booleans(),
    "string": st.text(max_size=12) | st.sampled_from(["", "\0", "3", "a\nb", "é", "x" * 1024]),
}
TEXTS = st.one_of(
    st.text(max_size=12),
    st.sampled_from(["3", "3.0", "nan", "inf", "True", "unreadable bytes", "x" * 2_000]),
)
ANY = st.one_of(st.none(), TEXTS, st.floats(), *OF_TYPE.values())


@st.composite
def comparisons(draw: st.DrawFn) -> Compared:
    """A feature of each type, an offline row as a history may hold it, and whatever a key may."""
    dtype = draw(st.sampled_from(sorted(OF_TYPE)))
    bounds = Tolerance(absolute=draw(st.sampled_from([0.0, 0.5])), relative=0.0)
    feature = VIEW.features[0].model_copy(update={"dtype": dtype, "tolerance": bounds})
    stored = st.one_of(st.none(), OF_TYPE[dtype])
    offline = draw(st.one_of(st.none(), st.tuples(EVENTS, stored)))
    online = draw(st.one_of(st.none(), st.just("torn"), st.tuples(EVENTS, st.one_of(stored, ANY))))
    sides = side_of(offline, feature), side_of(online, feature)
    return Compared("case", VIEW, feature, "C1", T, *sides)


def side_of(row: tuple[int, Value] | str | None, feature: Feature) -> Side:
    """A side by the one rule; 'torn': bytes that are no timeline."""
    if isinstance(row, str):
        return Side(Status.TYPE, None, None)
    rows = [] if row is None else [Row(row[0], row[0], (row[1],))]
    winner, view_status = availability(TIMES, rows, T)
    [status] = feature_statuses(view_status, winner, [feature.dtype])
    if winner is None:
        return Side(status, None, None)
    return Side(status, winner.values[0], winner.event_ts)


@given(comparisons())
def test_a_row_gives_the_verdict_with_which_it_was_written(compared: Compared) -> None:
    row = row_of(compared)
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, HEADER)
    writer.writeheader()
    writer.writerow(asdict(row))
    [parsed], problems = parse_cases(text.getvalue())
    assert problems == []
    assert recompute(parsed.case, TIMES, compared.feature.dtype) == row.kind
    assert row.verdict == ("REVIEW" if row.kind else "PASS")
