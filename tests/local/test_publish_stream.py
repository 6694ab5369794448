"""What a stream's follower publishes: on time as planned, late with a stamp, and never twice."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from feature_runtime.core import keys, timeline
from feature_runtime.core.availability import Row
from feature_runtime.core.moments import HOUR, MINUTE, SECOND
from proviso.contracts.contract import Contract, FeatureView, OnEvent
from proviso.contracts.loading import load_contract, load_plan
from proviso.contracts.plan import Plan
from proviso.history import journal
from proviso.history.duckdb.engine import connect
from proviso.history.duckdb.published import late_intervals
from proviso.history.duckdb.relation import stamps_relation
from proviso.history.segments import segments
from proviso.history.values import EntityRow
from proviso.online.materialize import Clocks, Materializer
from tests.parcel_data import Held

CONTRACTS = Path(__file__).parents[2] / "contracts"


@dataclass(frozen=True)
class Stream:
    """A view on event, its writer, and the store's moment at which the test began."""

    contract: Contract
    view: FeatureView
    writer: Materializer
    held: Held
    now: int

    def row(self, customer: int, event_ts: int, planned: int) -> EntityRow:
        values = tuple(0 if f.dtype == "int64" else 0.5 for f in self.view.features)
        return EntityRow((str(customer),), Row(event_ts, planned, values, event_ts))

    def stamps(self) -> list[tuple[str, int, int]]:
        """(customer, planned, stamp) of all that the journal still knows."""
        query = stamps_relation(self.contract, self.writer.history, self.view)
        with connect() as engine:
            engine.execute(
                f"select customer_id, _planned_us, _created_us from ({query}) order by all"
            )
            return engine.fetchall()


@pytest.fixture
def stream(held: Held, tmp_path: Path) -> Stream:
    held.client.flushdb()
    contract, plan = load_contract(CONTRACTS), load_plan(CONTRACTS)
    view = next(v for v in contract.feature_views if isinstance(v.publication, OnEvent))
    return Stream(contract, view, _writer(contract, plan, held, tmp_path), held, held.store.clock())


def _writer(contract: Contract, plan: Plan, held: Held, history: Path) -> Materializer:
    clocks = Clocks(None, plan.clock_margin, plan.write_deadline)
    return Materializer(contract, history, held.store, clocks)


def created(stream: Stream, customer: int) -> list[int]:
    """created_ts of the rows in a customer's key."""
    [blob] = stream.held.store.read([key_of(stream, customer)])
    assert blob is not None
    schema = stream.contract.schema_of(stream.view)
    return [row.created_ts for row in timeline.unpack(schema, blob)]


def key_of(stream: Stream, customer: int) -> bytes:
    entity = keys.entity_key(stream.view.entities, (str(customer),))
    schema = stream.contract.schema_of(stream.view)
    return keys.timeline_key(entity, stream.view.name, schema)


def test_a_row_on_time_is_readable_as_planned_and_a_late_one_from_its_stamp(stream: Stream) -> None:
    planned = (stream.now + 50 * SECOND, stream.now - HOUR)
    rows = [stream.row(n, stream.now - 2 * HOUR, at) for n, at in enumerate(planned)]
    done = stream.writer.publish(stream.view, rows)
    assert (done.rows, done.changed, done.late_batches) == (2, 2, 0)
    assert created(stream, 0) == [planned[0]]
    [stamp] = created(stream, 1)
    deadline = stream.writer.clocks.write_deadline
    assert stream.now + deadline <= stamp <= stream.held.store.clock() + deadline
    assert stream.stamps() == [("0", planned[0], planned[0]), ("1", planned[1], stamp)]
    assert late_intervals(stream.contract, stream.writer.history, stream.view) == {}


def test_what_comes_again_after_its_time_is_known_also_when_it_was_on_time(
    stream: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A redelivery hides from nobody that the row was readable as planned."""
    planned = stream.now + 40 * SECOND
    row = stream.row(1, stream.now - MINUTE, planned)
    stream.writer.publish(stream.view, [row])
    later = stream.held.store.clock() + 20 * SECOND
    monkeypatch.setattr(stream.held.store, "clock", lambda: later)
    again = stream.writer.publish(stream.view, [row, row])
    assert (again.rows, again.changed) == (0, 0)
    assert created(stream, 1) == [planned]
    assert stream.stamps() == [("1", planned, planned)]


def test_folding_forgets_what_was_on_time_and_can_come_no_more(
    stream: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "FEW_SEGMENTS", 3)
    ahead = (10 * MINUTE, 3 * HOUR, 3 * HOUR + MINUTE)
    for number, later in enumerate(ahead):
        row = stream.row(number, stream.now - MINUTE, stream.now + later)
        stream.writer.publish(stream.view, [row, stream.row(10 + number, stream.now, 0)])
    assert not segments(stream.writer.history, stream.view)
    known = [customer for customer, *_ in stream.stamps()]
    assert known == ["1", "10", "11", "12", "2"]


def test_a_watermark_is_what_the_follower_says(stream: Stream) -> None:
    mark = stream.writer.advance(stream.view, stream.now, stream.now)
    assert mark.complete == stream.now
    assert stream.writer.advance(stream.view, stream.now - 1, stream.now - 1) == mark
