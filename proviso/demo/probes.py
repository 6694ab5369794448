"""Three requests of the demonstration, and the answer that each must get.

A missing critical feature is refused in the plan's fallback way; a missing feature with an
approved default is answered and flagged; a moment far from the pod's clock is refused before
the store is read. The entities are chosen by the policies of the contract.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from feature_runtime.core.service import Entity, Service
from proviso.clients.endpoint import Answer, EndpointRequest
from proviso.contracts.base import InputError

_SHOWN = 4


@dataclass(frozen=True)
class Probe:
    """A request, what it shows, and what the answer must be."""

    title: str
    request: EndpointRequest
    wanted: str


def probes(service: Service, known: Sequence[EndpointRequest]) -> tuple[Probe, Probe, Probe]:
    """Made from requests whose features are all OK. Raises InputError when no policy fits."""
    example = known[0]
    critical = _unseen(service, example, "reject")
    approved = _unseen(service, example, "default", "nan")
    return (
        Probe(
            "a critical feature is missing",
            replace(critical, request_id="probe-critical"),
            f"the fallback {service.decision.fallback}, with its reason",
        ),
        Probe(
            "a feature with an approved default is missing",
            replace(approved, request_id="probe-default"),
            "a probability, and the default named",
        ),
        Probe(
            "a moment far from the pod's clock",
            replace(example, request_id="probe-clock"),
            "400, before the store is read",
        ),
    )


def refused(service: Service, answer: Answer) -> bool:
    """Whether a rejected transaction got the plan's fallback and a reason."""
    if service.decision.fallback_http == 503:
        return answer.code in {"503", "StatusCode.UNAVAILABLE"}
    status = answer.status or {}
    return (
        answer.answered
        and answer.probability is None
        and answer.decision == service.decision.fallback
        and bool(status.get("reason"))
    )


def flagged(answer: Answer) -> bool:
    """Whether an answer was given with a default, and says which."""
    return answer.probability is not None and bool((answer.status or {}).get("defaults"))


def reason_of(answer: Answer) -> str:
    """The reason that the answer itself gives."""
    if not answer.answered:
        return str(answer.error)
    status = answer.status or {}
    defaults = status.get("defaults") or {}
    used = ", ".join(
        f"{name} = {'missing' if value is None else f'{value:g}'}"
        for name, value in list(defaults.items())[:_SHOWN]
    )
    more = f" and {len(defaults) - _SHOWN} more" if len(defaults) > _SHOWN else ""
    return str(status.get("reason") or f"approved defaults used: {used}{more}")


def _unseen(service: Service, example: EndpointRequest, *kinds: str) -> EndpointRequest:
    """The example with an unknown id of one entity.

    The entity is the first whose absence leads to one of `kinds`, in their order.
    """
    fitting = [e for kind in kinds for e in service.entities if _leads_to(e, service, kind)]
    if not fitting:
        raise InputError.of(
            f"feature service {service.name}",
            f"no entity whose absence leads to {' or '.join(kinds)} alone",
            "at least one such entity, for the demonstration's request",
            code="no_entity_for_policy",
        )
    unseen = 2**52 if fitting[0].dtype == "int64" else "unknown-entity"
    return replace(example, ids={**example.ids, fitting[0].join_key: unseen})


def _leads_to(entity: Entity, service: Service, kind: str) -> bool:
    """Whether an unseen entity meets that policy, and no reject unless asked for."""
    touched = [view for view in service.views if entity.name in view.entities]
    kinds = {f.policy.kind for v in touched for f in v.features if f.policy is not None}
    return kind in kinds and (kind == "reject" or "reject" not in kinds)
