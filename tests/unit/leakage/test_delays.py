"""What one source_delay for all views leaves as it was, and what it moves."""

from __future__ import annotations

from pathlib import Path

from feature_runtime.core.moments import HOUR, MINUTE
from proviso.contracts.contract import Contract, OnEvent, Scheduled
from proviso.contracts.loading import load_contract, load_plan
from proviso.leakage.delays import delayed
from proviso.training.data import Project
from proviso.training.spec import TrainingSpec

CONTRACTS = Path("contracts")


def _delayed(delay: int) -> tuple[Contract, Contract]:
    contract = load_contract(CONTRACTS)
    assert contract.view_by_name  # derived before the change: it must not outlive it
    project = Project(contract, load_plan(CONTRACTS), TrainingSpec())
    return contract, delayed(project, delay).contract


def test_rows_become_readable_later_by_as_much() -> None:
    for delay in (0, HOUR):
        before, after = _delayed(delay)
        for view in after.feature_views:
            old = before.view_by_name[view.name].publication
            took = old.duration if isinstance(old, Scheduled) else old.delay
            assert view.source_delay == delay
            assert view.delay_to_readable == delay + took
            assert after.view_by_name[view.name] == view


def test_a_row_is_not_stale_before_the_next_one_can_be_read() -> None:
    before, after = _delayed(HOUR)
    velocity = after.view_by_name["customer_velocity_1h"]
    assert velocity.online_ttl == 2 * HOUR + 5 * MINUTE
    daily = after.view_by_name["merchant_risk_daily"]
    assert daily.online_ttl == before.view_by_name["merchant_risk_daily"].online_ttl


def test_a_streaming_view_never_sees_the_transaction_that_is_scored() -> None:
    """Not even without any delay: publishing takes its time."""
    _, after = _delayed(0)
    live = after.view_by_name["customer_activity_live"]
    assert isinstance(live.publication, OnEvent)
    assert live.publication.delay == MINUTE
