"""Fourth check: the plan releases what the contract defines, and can take it back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import date
from itertools import pairwise
from typing import get_args

from feature_runtime.core.moments import format_duration
from proviso.contracts.base import Problem
from proviso.contracts.contract import Contract
from proviso.contracts.paths import in_plan, listed
from proviso.contracts.plan import Plan, Stakeholder
from proviso.contracts.validation import monitoring as checks_monitoring

QUEUE_SHARE = 0.5
"""How much of the latency objective a request may wait for others to make a batch with."""


def plan_problems(contract: Contract | None, plan: Plan, today: date) -> Iterator[Problem]:
    """Everything in the plan, and between it and the contract where that one can be read."""
    if contract is not None:
        yield from _consumer(contract, plan)
        yield from _retention(contract, plan)
    yield from _canary(plan)
    yield from _runtime(plan)
    yield from _budget(plan)
    yield from _decisions(plan)
    yield from checks_monitoring.monitoring_problems(contract, plan)
    yield from _stakeholders(plan, today)


def _consumer(contract: Contract, plan: Plan) -> Iterator[Problem]:
    services = {service.name: service for service in contract.feature_services}
    service = services.get(plan.service)
    if service is None:
        why = "the contract defines what the model consumes"
        yield Problem(in_plan("service"), plan.service, f"one of {listed(services)}", why)
    elif service.model != plan.model:
        why = f"the contract's {service.name} serves that model version and no other"
        yield Problem(in_plan("model"), plan.model, service.model, why)


def _retention(contract: Contract, plan: Plan) -> Iterator[Problem]:
    delay, kept = contract.source.label.delay, plan.prediction_log.retention
    if kept <= delay:
        why = "a prediction must still be on record when its label is known"
        wanted = f"more than the label's delay {format_duration(delay)}"
        yield Problem(in_plan("prediction_log.retention"), format_duration(kept), wanted, why)


def _canary(plan: Plan) -> Iterator[Problem]:
    steps, place = plan.canary.steps, in_plan("canary.steps")
    if steps[0] <= 0 or any(later <= sooner for sooner, later in pairwise(steps)):
        why = "each step shows the candidate to more than the one before"
        yield Problem(place, str(list(steps)), "strictly rising from above 0", why)
    if steps[-1] != 100:
        why = "the last step is the promotion"
        yield Problem(place, f"{steps[-1]} at the end", "100 at the end", why)


def _runtime(plan: Plan) -> Iterator[Problem]:
    images = set(plan.runtime.base_images)
    if images != {"predictor", "transformer"}:
        place, why = in_plan("runtime.base_images"), "a release's identity holds both"
        yield Problem(place, listed(images) or "nothing", "predictor, transformer", why)
    if plan.runtime.mode == "knative" and plan.topology != "collocated":
        why = "Knative splits transformer and predictor apart, and a pair must never mix"
        yield Problem(in_plan("topology"), plan.topology, "collocated in mode knative", why)


def _budget(plan: Plan) -> Iterator[Problem]:
    slo, batching = plan.latency_slo, plan.batching
    if slo.deadline_ms < slo.p99_ms:
        why = "a request given up sooner cannot meet it"
        wanted = f"at least p99_ms {slo.p99_ms}"
        yield Problem(in_plan("latency_slo.deadline_ms"), str(slo.deadline_ms), wanted, why)
    if batching.max_batch_size < plan.limits.max_batch:
        why = "the model must take the largest request whole"
        wanted = f"at least limits.max_batch {plan.limits.max_batch}"
        yield Problem(in_plan("batching.max_batch_size"), str(batching.max_batch_size), wanted, why)
    place = in_plan("batching.max_queue_delay_us")
    most = int(QUEUE_SHARE * slo.p95_ms * 1_000)
    if batching.max_queue_delay_us > most:
        why = f"more than half of p95_ms {slo.p95_ms} would go into waiting"
        yield Problem(place, str(batching.max_queue_delay_us), f"at most {most}", why)
    if batching.max_queue_delay_us and not batching.dynamic:
        found = f"{batching.max_queue_delay_us} with dynamic: false"
        yield Problem(place, found, "0", "nothing waits where nothing is batched")
    if plan.max_client_skew < plan.clock_margin:
        why = "a client's clock may be as far off as our own are"
        wanted = f"at least clock_margin {format_duration(plan.clock_margin)}"
        found = format_duration(plan.max_client_skew)
        yield Problem(in_plan("max_client_skew"), found, wanted, why)


def _decisions(plan: Plan) -> Iterator[Problem]:
    known = {plan.decision.at_or_above, plan.decision.below}
    if len(known) == 1:
        wanted = f"another decision than {plan.decision.at_or_above}"
        why = "the score would decide nothing"
        yield Problem(in_plan("decision.below"), plan.decision.below, wanted, why)
    if plan.fallback.decision not in known:
        why = "clients know no other answer"
        found = plan.fallback.decision
        yield Problem(in_plan("fallback.decision"), found, f"one of {listed(known)}", why)


def _stakeholders(plan: Plan, today: date) -> Iterator[Problem]:
    roles = Counter(stakeholder.role for stakeholder in plan.stakeholders)
    for role in get_args(Stakeholder.model_fields["role"].annotation):
        if roles[role] != 1:
            found = f"{roles[role]} of {role}"
            why = "a release needs each of the four once"
            yield Problem(in_plan("stakeholders"), found, "exactly one", why)
    for stakeholder in plan.stakeholders:
        yield from _signature(stakeholder, today)


def _signature(stakeholder: Stakeholder, today: date) -> Iterator[Problem]:
    place, owner = in_plan(f"stakeholders[{stakeholder.role}]"), stakeholder.owner
    if stakeholder.signed_off_by is None or stakeholder.signed_off_on is None:
        why = "no release without all four"
        yield Problem(place, "no sign-off", f"signed_off_by {owner} and signed_off_on", why)
        return
    if stakeholder.signed_off_by != owner:
        why = "nobody signs for another"
        yield Problem(f"{place}.signed_off_by", stakeholder.signed_off_by, owner, why)
    if stakeholder.signed_off_on > today:
        wanted = f"a day up to {today}"
        yield Problem(f"{place}.signed_off_on", str(stakeholder.signed_off_on), wanted)
