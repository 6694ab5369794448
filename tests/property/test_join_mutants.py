"""What the fast join is made of, held to the obvious; every comparison in it, turned, is noticed.

The comparisons are found in the source, SQL included, so that a new one is turned too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proviso.contracts.base import InputError
from proviso.history import asof
from proviso.history.duckdb import join
from tests.join_cases import Build, Case, conflicts_in, fast, fixed_case, slow

VIEW = "buyer_hourly"
_TURNED = {
    "<": ("<=", ">"),
    "<=": ("<", ">"),
    ">": (">=", "<"),
    ">=": (">", "<"),
    "==": ("!=",),
    "!=": ("==",),
    "<>": ("=",),
    "greatest(": ("least(",),
}
_COMPARISON = re.compile(r"(?<![-<>=!])(?:<=|>=|<>|==|!=|<|>)(?![<>=])|\bgreatest\(")
# Not of the join: which input is refused, and which columns a dataset has.
# And how finely threads' rows are state apart: a finer or a coarser cut finds the same.
_OTHERS = (
    "if self.start >= self.end:",
    "known.function, known.field",
    "feature.name != feature.field",
    "> _GAP",
)


class Turn(NamedTuple):
    """One comparison of a source file, written otherwise."""

    line: int
    text: str
    start: int
    end: int
    other: str

    @property
    def name(self) -> str:
        return f"{self.line}: {self.text[self.start : self.end]} -> {self.other}"


def _turns(module: ModuleType) -> list[Turn]:
    return [
        Turn(number, text, *found.span(), other)
        for number, text in enumerate(_source(module).splitlines(), 1)
        if not text.lstrip().startswith(('"""', "#")) and not any(o in text for o in _OTHERS)
        for found in _COMPARISON.finditer(text)
        for other in _TURNED[found.group()]
    ]


def _source(module: ModuleType) -> str:
    return Path(str(module.__file__)).read_text(encoding="utf-8")


def _turned(module: ModuleType, turn: Turn) -> ModuleType:
    """The module with one comparison turned."""
    lines = _source(module).splitlines()
    lines[turn.line - 1] = turn.text[: turn.start] + turn.other + turn.text[turn.end :]
    made = ModuleType(module.__name__)
    exec(compile("\n".join(lines), str(module.__file__), "exec"), made.__dict__)
    return made


# --- label rows and rows of history as arrays -------------------------------------------------


class Offer(NamedTuple):
    """Label rows as (entity, moment), rows as (entity, visible, event, created), in batches."""

    labels: list[tuple[int, int]]
    rows: list[tuple[int, int, int, int]]
    batch: int


ENTITIES = 3
_SMALL = st.integers(0, 6)
_LABELS = st.lists(
    st.tuples(st.integers(0, ENTITIES - 1), _SMALL | st.integers(0, 900)), min_size=1
)
_ROWS = st.lists(
    st.tuples(st.integers(0, ENTITIES - 1), _SMALL | st.integers(0, 900), _SMALL, _SMALL)
)


def _winners(of: ModuleType, offer: Offer) -> list[tuple[int, int, int] | None]:
    labels = sorted(offer.labels)
    entity, moment = np.array(labels, np.int64).T
    state = of.AsOfState(entity, moment, ENTITIES)
    for rows in _batches(offer):
        state.assign(rows)
    event, created, row = state.winners()
    return [
        None if event[i] == of.NEVER else (int(event[i]), int(created[i]), int(row[i]))
        for i in range(len(labels))
    ]


def _batches(offer: Offer) -> Iterator[asof.FeatureRows]:
    table = np.array([(*row, i) for i, row in enumerate(offer.rows)], np.int64).reshape(-1, 5)
    for first in range(0, len(table), offer.batch):
        yield asof.FeatureRows(*table[first : first + offer.batch].T)


def _expected(offer: Offer) -> list[tuple[int, int, int] | None]:
    """For each label row the greatest (event, created) that is visible, of equal ones the first."""
    found: list[tuple[int, int, int] | None] = []
    for entity, moment in sorted(offer.labels):
        seen = [
            (event, created, -i)
            for i, (whose, visible, event, created) in enumerate(offer.rows)
            if whose == entity and visible <= moment
        ]
        event, created, number = max(seen, default=(0, 0, 1))
        found.append((event, created, -number) if seen else None)
    return found


def _overlooked(of: ModuleType, offer: Offer) -> set[tuple[int, int]]:
    """Entities and events of rows that are repeated, but not suspected."""
    state = of.DuplicateFinder()
    for rows in _batches(offer):
        state.see(rows)
    suspects = state.suspected()
    if suspects.all:
        return set()
    times = [(entity, event, created) for entity, _, event, created in offer.rows]
    repeated = {
        (entity, event)
        for entity, event, created in times
        if times.count((entity, event, created)) > 1
    }
    return repeated - set(zip(suspects.entity.tolist(), suspects.event.tolist(), strict=True))


def _suspected(of: ModuleType, offer: Offer) -> int:
    """How much is suspected of rows that are in order and all different."""
    different = {(event, entity, created): 0 for entity, _, event, created in offer.rows}
    rows = [(entity, 0, event, created) for event, entity, created in sorted(different)]
    state = of.DuplicateFinder()
    for batch in _batches(offer._replace(rows=rows)):
        state.see(batch)
    return len(state.suspected().event) + int(state.suspected().all)


def _sorted(offer: Offer) -> Offer:
    """The rows in order, but for two that come again at the end."""
    rows = sorted(offer.rows, key=lambda r: (r[2], r[0], r[3]))
    return offer._replace(rows=rows + rows[1:3])


@settings(max_examples=300)
@given(offer=st.builds(Offer, _LABELS, _ROWS, st.integers(1, 5)))
def test_a_label_row_gets_the_greatest_row_that_is_visible(offer: Offer) -> None:
    assert _winners(asof, offer) == _expected(offer)


@settings(max_examples=300)
@given(offer=st.builds(Offer, _LABELS, _ROWS, st.integers(1, 5)))
def test_no_repeated_row_is_overlooked_and_none_is_suspected_in_vain(offer: Offer) -> None:
    assert _overlooked(asof, offer) == set()
    assert _overlooked(asof, _sorted(offer)) == set()
    assert _suspected(asof, offer) == 0


def test_rows_that_two_threads_read_in_turn_are_not_suspected() -> None:
    state = asof.DuplicateFinder()
    order = np.concatenate([np.arange(2048) + start for start in (0, 8192, 2048, 10240, 4096)])
    for rows in np.array_split(order, 3):
        state.see(asof.FeatureRows(rows % 2, rows, rows // 2, rows, rows))
    suspects = state.suspected()
    assert (suspects.all, len(suspects.event)) == (False, 0)


def _noticed(turned: ModuleType, offers: Sequence[Offer]) -> bool:
    for offer in offers:
        try:
            right = _winners(turned, offer) == _expected(offer) and _suspected(turned, offer) == 0
            right = right and not _overlooked(turned, offer)
            right = right and not _overlooked(turned, _sorted(offer))
        except IndexError:
            return True
        if not right:
            return True
    return False


@pytest.fixture(scope="module")
def offers() -> list[Offer]:
    """Many at once of everything, always the same."""
    made = []
    for seed in range(80):
        rng = np.random.default_rng(seed)
        reach = int(rng.choice([4, 12, 900]))
        labels = zip(rng.integers(0, ENTITIES, 12), rng.integers(0, reach, 12), strict=True)
        columns = [rng.integers(0, top, 25) for top in (ENTITIES, reach, 4, 4)]
        made.append(
            Offer(
                [(int(e), int(t)) for e, t in labels],
                [(int(a), int(b), int(c), int(d)) for a, b, c, d in zip(*columns, strict=True)][
                    : int(rng.choice([5, 25]))
                ],
                int(rng.choice([1, 3, 25])),
            )
        )
    return made


def test_nothing_is_noticed_where_nothing_is_turned(offers: list[Offer]) -> None:
    assert not _noticed(asof, offers)


@pytest.mark.parametrize("turn", _turns(asof), ids=lambda turn: turn.name)
def test_every_turned_comparison_of_the_as_of_state_is_noticed(
    turn: Turn, offers: list[Offer]
) -> None:
    assert _noticed(_turned(asof, turn), offers)


# --- the SQL around them ---------------------------------------------------------------------


@pytest.fixture(scope="module")
def fixed() -> Case:
    """Many rows and label rows on every edge of theirs, some left out, some repeated."""
    case = fixed_case()
    runs = [r.row.event_ts for r in case.histories[VIEW]]
    return replace(case, left_out=((VIEW, runs[0]), ("shop_daily", runs[1])))


def _differs(build: Build, case: Case) -> bool:
    try:
        found = fast(case, [VIEW], build)
    except (InputError, ValueError, IndexError, pa.ArrowException):
        return True
    return found.answers[VIEW] != slow(case, VIEW) or found.conflicts[VIEW] != conflicts_in(
        case, VIEW
    )


def test_the_join_as_it_is_differs_from_the_rule_nowhere(fixed: Case) -> None:
    assert conflicts_in(fixed, VIEW) > 0
    assert not _differs(join.build_dataset, fixed)


@pytest.mark.parametrize("turn", _turns(join), ids=lambda turn: turn.name)
def test_every_turned_comparison_of_the_joins_sql_is_noticed(turn: Turn, fixed: Case) -> None:
    assert _differs(_turned(join, turn).build_dataset, fixed)
