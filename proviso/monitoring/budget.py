"""The plan's error budget as burn-rate alerts.

Google's SRE Workbook, chapter 5 "Alerting on SLOs", approach 6 (multiwindow, multi-burn-rate): page
when 2% of the budget burns in an hour or 5% in six, open a ticket at 10% in three days; a short
window, a twelfth of the long one, must burn as fast. The budget is counted over all serving
releases together, as users see it; a failing canary sets off a trigger long before.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from feature_runtime.core.moments import DAY, HOUR, MINUTE, SECOND
from proviso.contracts.plan import Plan
from proviso.monitoring.prometheus import AlertRule, RecordingRule, RuleGroup
from proviso.monitoring.queries import (
    MIN_REQUESTS,
    QueryContext,
    error_rate,
    every,
    prometheus_span,
    selector,
)

_MODEL = ("model_name",)


@dataclass(frozen=True)
class Burn:
    """Fires when `share` of the budget burns within `long`, and within `short` as fast."""

    share: float
    long: int
    short: int
    calls: Literal["page", "ticket"]

    def rate(self, period: int) -> float:
        """How many times as fast as evenly: 2% of 30 days' budget in an hour is 14.4."""
        return self.share * period / self.long


BURNS = (
    Burn(0.02, HOUR, 5 * MINUTE, "page"),
    Burn(0.05, 6 * HOUR, 30 * MINUTE, "page"),
    Burn(0.10, 3 * DAY, 6 * HOUR, "ticket"),
)


def budget_groups(plan: Plan) -> list[RuleGroup]:
    """A group of recordings for every window, then one with the alerts."""
    burns = [burn for burn in BURNS if _can_fire(plan, burn)]
    windows = sorted({window for burn in burns for window in (burn.long, burn.short)})
    groups = [_recording_group(plan, window) for window in windows]
    if burns:
        name = f"{plan.model_name}-error-budget"
        alerts = [_alert(plan, burn) for burn in burns]
        groups.append(RuleGroup(name=name, interval=every(burns[0].short), rules=list(alerts)))
    return groups


def _can_fire(plan: Plan, burn: Burn) -> bool:
    """False where failing every request stays below the rate, or beyond the budget's window."""
    return burn.long <= plan.error_budget.window and _limit(plan, burn) < 1


def _limit(plan: Plan, burn: Burn) -> float:
    """The share of failed requests at which the budget burns at this rate."""
    return plan.error_budget.error_share * burn.rate(plan.error_budget.window)


def _recorded(figure: str, window: int) -> str:
    return f"model:{figure}:{prometheus_span(window)}"


def _recording_group(plan: Plan, window: int) -> RuleGroup:
    context = QueryContext(plan, prometheus_span(window))
    failed = error_rate(_MODEL, traffic="live")(context)
    asked = context.per_second("proviso_requests_total", _MODEL, traffic="live")
    return RuleGroup(
        name=f"{plan.model_name}-error-budget-{context.window}",
        interval=every(window),
        rules=[
            RecordingRule(record=_recorded("http_error_rate", window), expr=failed),
            RecordingRule(record=_recorded("request_rate", window), expr=asked),
        ],
    )


def _alert(plan: Plan, burn: Burn) -> AlertRule:
    limit = f"{_limit(plan, burn):.6g}"
    long, short = (
        f"{selector(plan, _recorded('http_error_rate', window))} > {limit}"
        for window in (burn.long, burn.short)
    )
    asked = selector(plan, _recorded("request_rate", burn.long))
    enough = f"{asked} * {burn.long // SECOND} >= {MIN_REQUESTS}"
    labels = {"severity": "alert", "kind": "error_budget", "calls": burn.calls}
    return AlertRule(
        alert=f"ErrorBudgetBurns{prometheus_span(burn.long)}",
        expr=f"{long} and on (model_name) {short} and on (model_name) {enough}",
        labels=labels | {"owner": plan.owner, "model_name": plan.model_name, "traffic": "live"},
        annotations={
            "summary": f"{{{{ $labels.model_name }}}}: {{{{ $value | humanizePercentage }}}} of "
            f"requests failed within {prometheus_span(burn.long)}, and above {limit} more than "
            f"{burn.share:.0%} of the error budget goes in that time",
            "runbook": plan.runbook,
        },
    )
