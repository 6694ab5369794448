"""Fourth check: the plan fits the contract, and its parts fit each other."""

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
from proviso.contracts.sources import observed
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
        wanted = f"one of {listed(services)}"
        yield Problem(in_plan("service"), plan.service, wanted, why, "service_unknown")
    elif service.model != plan.model:
        why = f"the contract's {service.name} belongs to that model version"
        yield Problem(in_plan("model"), plan.model, service.model, why, "model_mismatch")


def _retention(contract: Contract, plan: Plan) -> Iterator[Problem]:
    services = {service.name: service for service in contract.feature_services}
    stated = services[plan.service].observations if plan.service in services else None
    predicted, kept = observed(contract.sources, stated), plan.prediction_log.retention
    delay = predicted.label.delay if predicted else 0
    if kept <= delay:
        why = "a prediction must still be recorded when its label is known"
        wanted = f"more than the label's delay {format_duration(delay)}"
        place = in_plan("prediction_log.retention")
        yield Problem(place, format_duration(kept), wanted, why, "retention_too_short")


def _canary(plan: Plan) -> Iterator[Problem]:
    steps, place = plan.canary.steps, in_plan("canary.steps")
    if steps[0] <= 0 or any(later <= sooner for sooner, later in pairwise(steps)):
        why = "each step gives the candidate more traffic than the one before"
        wanted = "strictly rising from above 0"
        yield Problem(place, str(list(steps)), wanted, why, "canary_not_rising")
    if steps[-1] != 100:
        why = "after the last step the candidate has all traffic"
        found = f"{steps[-1]} at the end"
        yield Problem(place, found, "100 at the end", why, "canary_incomplete")


def _runtime(plan: Plan) -> Iterator[Problem]:
    images = set(plan.runtime.base_images)
    if images != {"predictor", "transformer"}:
        place, why = in_plan("runtime.base_images"), "a release's identity holds both"
        found = listed(images) or "nothing"
        yield Problem(place, found, "predictor, transformer", why, "base_images_mismatch")
    if plan.runtime.mode == "knative" and plan.topology != "collocated":
        why = "Knative would split traffic of transformer and predictor independently"
        wanted = "collocated in mode knative"
        yield Problem(in_plan("topology"), plan.topology, wanted, why, "topology_mismatch")


def _budget(plan: Plan) -> Iterator[Problem]:
    slo, batching = plan.latency_slo, plan.batching
    if slo.deadline_ms < slo.p99_ms:
        why = "a request that times out sooner cannot meet the objective"
        wanted = f"at least p99_ms {slo.p99_ms}"
        place = in_plan("latency_slo.deadline_ms")
        yield Problem(place, str(slo.deadline_ms), wanted, why, "deadline_too_short")
    if batching.max_batch_size < plan.limits.max_batch:
        why = "the model must accept the largest request as one batch"
        wanted = f"at least limits.max_batch {plan.limits.max_batch}"
        place, found = in_plan("batching.max_batch_size"), str(batching.max_batch_size)
        yield Problem(place, found, wanted, why, "batch_too_small")
    place = in_plan("batching.max_queue_delay_us")
    most = int(QUEUE_SHARE * slo.p95_ms * 1_000)
    if batching.max_queue_delay_us > most:
        why = f"a request would spend more than half of p95_ms {slo.p95_ms} waiting"
        found = str(batching.max_queue_delay_us)
        yield Problem(place, found, f"at most {most}", why, "queue_delay_too_long")
    if batching.max_queue_delay_us and not batching.dynamic:
        found = f"{batching.max_queue_delay_us} with dynamic: false"
        why = "requests wait only to be batched"
        yield Problem(place, found, "0", why, "queue_delay_without_batching")
    if plan.max_client_skew < plan.clock_margin:
        why = "clients' clocks are no better than ours"
        wanted = f"at least clock_margin {format_duration(plan.clock_margin)}"
        found = format_duration(plan.max_client_skew)
        yield Problem(in_plan("max_client_skew"), found, wanted, why, "client_skew_too_small")


def _decisions(plan: Plan) -> Iterator[Problem]:
    known = {plan.decision.at_or_above, plan.decision.below}
    if len(known) == 1:
        wanted = f"another decision than {plan.decision.at_or_above}"
        why = "every score would lead to the same decision"
        found = plan.decision.below
        yield Problem(in_plan("decision.below"), found, wanted, why, "decisions_equal")
    if plan.fallback.decision not in known:
        why = "clients handle only these decisions"
        found, wanted = plan.fallback.decision, f"one of {listed(known)}"
        yield Problem(in_plan("fallback.decision"), found, wanted, why, "fallback_unknown")


def _stakeholders(plan: Plan, today: date) -> Iterator[Problem]:
    roles = Counter(stakeholder.role for stakeholder in plan.stakeholders)
    for role in get_args(Stakeholder.model_fields["role"].annotation):
        if roles[role] != 1:
            found = f"{roles[role]} of {role}"
            why = "a release needs each of the four once"
            place = in_plan("stakeholders")
            yield Problem(place, found, "exactly one", why, "stakeholder_count")
    for stakeholder in plan.stakeholders:
        yield from _signature(stakeholder, today)


def signatures_missing(plan: Plan) -> Iterator[Problem]:
    """The sign-offs that are still to come: a draft lacks them, a release must not."""
    return (_unsigned(stakeholder) for stakeholder in plan.stakeholders if stakeholder.unsigned)


def _unsigned(stakeholder: Stakeholder) -> Problem:
    place = in_plan(f"stakeholders[{stakeholder.role}]")
    why = "a release needs the sign-off of all four roles"
    wanted = f"signed_off_by {stakeholder.owner} and signed_off_on"
    return Problem(place, "no sign-off", wanted, why, "owner_signature_missing")


def _signature(stakeholder: Stakeholder, today: date) -> Iterator[Problem]:
    place, owner = in_plan(f"stakeholders[{stakeholder.role}]"), stakeholder.owner
    if stakeholder.unsigned:
        return
    if stakeholder.signed_off_by is None or stakeholder.signed_off_on is None:
        yield _unsigned(stakeholder)
        return
    if stakeholder.signed_off_by != owner:
        why = "a role is signed by its owner"
        signer = stakeholder.signed_off_by
        yield Problem(f"{place}.signed_off_by", signer, owner, why, "signer_not_owner")
    if stakeholder.signed_off_on > today:
        found, wanted = str(stakeholder.signed_off_on), f"a day up to {today}"
        yield Problem(f"{place}.signed_off_on", found, wanted, code="signature_in_future")
