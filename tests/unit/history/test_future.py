"""Transactions beyond the clock are set aside: no figure of how far the data goes is theirs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from feature_runtime.core.moments import DAY, HOUR, MINUTE, now
from proviso.contracts.contract import Contract
from proviso.contracts.loading import load_contract
from proviso.contracts.starter import write_template
from proviso.history.clock import source_clock
from proviso.history.duckdb.features import compute_history
from proviso.history.duckdb.incremental import backfill_history, update_history
from proviso.history.duckdb.loaded import open_transactions
from proviso.history.extent import read_extent
from proviso.history.files import history_file
from proviso.history.values import Event, SourceClock
from proviso.simulation.simulate import simulate
from proviso.training.weeks import last_weeks
from tests.history_data import ZERO, contract, event, write_transactions
from tests.problems import refused

NOW = ZERO + 3 * DAY
MARGIN = MINUTE
CLOCK = SourceClock(NOW, MARGIN)
EXTRACT = [event(f"b{n % 3}", at=ZERO + n * 25 * MINUTE, label=None) for n in range(2 * 58)]
"""Sales of two days: cut a day before the clock."""
FUTURE = {
    "of next year": event("b1", at=NOW + 365 * DAY, label=None),
    "just beyond the margin": event("b1", at=NOW + MARGIN + 1, label=None),
    "arrives later": event("b1", at=ZERO + HOUR, late=9 * DAY, label=None),
    "has arrived and happens later": event("b1", at=NOW + DAY, late=-2 * DAY, label=None),
    "of an entity that has no other": event("b9", at=NOW + DAY, label=None),
}


@pytest.fixture(scope="module")
def parcels(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Contract]:
    directory = tmp_path_factory.mktemp("parcels") / "contracts"
    write_template(directory)
    return directory, load_contract(directory)


def _source(sales: Sequence[Event], path: Path) -> Path:
    path.mkdir(exist_ok=True)
    return write_transactions(sales, "string", path / "sales.parquet")


def _rows(owner: Contract, out: Path) -> dict[str, list[object]]:
    return {view: pq.read_table(out / f"{view}.parquet").to_pylist() for view in owner.view_by_name}


def _ends(owner: Contract, out: Path) -> dict[str, int]:
    return {v.name: read_extent(owner, v, history_file(out, v)).end for v in owner.feature_views}


@pytest.mark.parametrize("kind", FUTURE)
def test_a_history_is_that_of_the_file_without_them(tmp_path: Path, kind: str) -> None:
    owner = contract()
    plain = _source(EXTRACT, tmp_path / "plain")
    compute_history(owner, plain, plain.parent, clock=CLOCK)
    mixed = _source([*EXTRACT, FUTURE[kind]], tmp_path / "mixed")
    done = compute_history(owner, mixed, mixed.parent, clock=CLOCK)
    assert (done.transactions, done.set_aside, done.latest) == (len(EXTRACT), 1, NOW + MARGIN)
    assert done.set_aside_example is not None
    assert _rows(owner, mixed.parent) == _rows(owner, plain.parent)
    assert _ends(owner, mixed.parent) == _ends(owner, plain.parent)


@pytest.mark.parametrize("kind", FUTURE)
def test_an_update_goes_on_as_if_they_were_not_there(tmp_path: Path, kind: str) -> None:
    owner, half = contract(), EXTRACT[:58]
    source = _source([*half, FUTURE[kind]], tmp_path / "h")
    update_history(owner, source, source.parent, clock=CLOCK)
    source = _source([*EXTRACT, FUTURE[kind]], tmp_path / "h")
    done = update_history(owner, source, source.parent, clock=CLOCK)
    assert done.set_aside == 1
    assert min(view.runs for view in done.views) > 0
    whole = _source(EXTRACT, tmp_path / "whole")
    update_history(owner, whole, whole.parent, clock=CLOCK)
    assert _rows(owner, source.parent) == _rows(owner, whole.parent)


def test_a_backfill_corrects_nothing_by_them(tmp_path: Path) -> None:
    owner = contract()
    source = _source([*EXTRACT, FUTURE["arrives later"]], tmp_path / "h")
    compute_history(owner, source, source.parent, clock=CLOCK)
    done = backfill_history(owner, source, source.parent, ZERO, as_of=NOW, clock=CLOCK)
    assert done.set_aside == 1
    assert sum(view.rows for view in done.views) == 0


def test_within_the_margin_one_counts_and_the_data_is_whole_up_to_the_clock(
    tmp_path: Path,
) -> None:
    owner = contract()
    ahead = event("b1", at=NOW + MARGIN, label=None)
    source = _source([*EXTRACT, ahead], tmp_path / "h")
    done = compute_history(owner, source, source.parent, clock=CLOCK)
    assert (done.set_aside, done.transactions) == (0, len(EXTRACT) + 1)
    assert max(_ends(owner, source.parent).values()) == NOW
    later = SourceClock(NOW + HOUR, MARGIN)
    update_history(owner, source, source.parent, NOW + HOUR, clock=later)
    whole = _source([*EXTRACT, ahead], tmp_path / "whole")
    update_history(owner, whole, whole.parent, NOW + HOUR, clock=later)
    assert _rows(owner, source.parent) == _rows(owner, whole.parent)


def test_a_label_that_is_known_later_moves_nothing(tmp_path: Path) -> None:
    owner = contract()
    labelled = event("b1", at=ZERO + HOUR, label=True, known=NOW + 900 * DAY)
    source = _source([*EXTRACT, labelled], tmp_path / "h")
    done = compute_history(owner, source, source.parent, clock=CLOCK)
    assert (done.set_aside, done.transactions) == (0, len(EXTRACT) + 1)
    assert max(_ends(owner, source.parent).values()) <= NOW


def test_a_file_of_nothing_else_is_refused(tmp_path: Path) -> None:
    source = _source([FUTURE["of next year"]], tmp_path / "h")
    with refused("transactions_in_future") as problems:
        compute_history(contract(), source, tmp_path / "h", clock=CLOCK)
    assert problems[0].path == str(source)


def test_a_history_that_one_of_them_had_made_final_is_refused(tmp_path: Path) -> None:
    owner = contract()
    source = _source([*EXTRACT, FUTURE["of next year"]], tmp_path / "h")
    compute_history(owner, source, source.parent)
    with refused("history_in_future"):
        update_history(owner, source, source.parent, clock=CLOCK)
    with refused("history_in_future"):
        backfill_history(owner, source, source.parent, ZERO, clock=CLOCK)


def test_a_stated_moment_is_the_clock_where_it_is_later(tmp_path: Path) -> None:
    source, before = _source(EXTRACT, tmp_path), now()
    stated = before + 400 * DAY
    assert source_clock(source, MARGIN, stated, None).now == stated
    assert source_clock(source, MARGIN, ZERO).now >= before
    assert source_clock(tmp_path / "missing", MARGIN).now >= before


def test_a_simulated_world_that_ends_in_the_future_is_read_by_its_own_clock(
    tmp_path: Path, parcels: tuple[Path, Contract]
) -> None:
    directory, owner = parcels
    end = (now() + 400 * DAY) // DAY * DAY
    made = simulate(directory, owner, tmp_path / "f", days=2, end=end)
    assert source_clock(made.path, MARGIN).now == end
    done = compute_history(owner, made.path, tmp_path, clock=source_clock(made.path, MARGIN))
    assert (done.transactions, done.set_aside) == (made.rows, 0)
    past = simulate(directory, owner, tmp_path / "p", days=2, end=ZERO)
    assert pq.read_schema(past.path).metadata is None


def test_the_last_weeks_of_a_file_are_not_theirs(tmp_path: Path) -> None:
    owner = contract()
    days = [event(f"b{n}", at=ZERO + n * DAY, label=None) for n in range(40)]
    future = event(at=now() + 100 * DAY, label=None)
    plain = last_weeks(owner, _source(days, tmp_path / "a"), DAY, MARGIN)
    assert last_weeks(owner, _source([*days, future], tmp_path / "b"), DAY, MARGIN) == plain


@pytest.mark.parametrize(
    ("start", "end"), [(None, ZERO - DAY), (ZERO - 9 * DAY, ZERO - DAY), (ZERO + 40 * DAY, None)]
)
def test_a_span_without_rows_does_not_empty_a_history(
    tmp_path: Path, start: int | None, end: int | None
) -> None:
    owner = contract()
    source = _source(EXTRACT, tmp_path / "h")
    compute_history(owner, source, source.parent)
    before = _rows(owner, source.parent)
    with refused("span_without_rows"):
        compute_history(owner, source, source.parent, start, end)
    assert _rows(owner, source.parent) == before


def test_what_is_loaded_says_what_was_set_aside(tmp_path: Path) -> None:
    source = _source([*EXTRACT, *FUTURE.values()], tmp_path)
    with open_transactions(contract(), source, clock=CLOCK) as loaded:
        summary = loaded.summary
    assert (summary.rows, summary.set_aside) == (len(EXTRACT), len(FUTURE))
    assert summary.last_moment is not None
    assert summary.last_moment < summary.whole_until <= NOW
