"""The `service` section of release.yml, derived from contract and plan; the pod reads it."""

from __future__ import annotations

from typing import Any

from feature_runtime.core.moments import format_duration
from feature_runtime.core.service import FeatureRef, Service, feature_ref, parse_service
from proviso.contracts.base import ContractError, Problem
from proviso.contracts.contract import Contract, Feature, FeatureService, FeatureView
from proviso.contracts.loading import PLAN_FILE
from proviso.contracts.plan import Plan


def service_section(contract: Contract, plan: Plan) -> dict[str, Any]:
    """The `service` section of release.yml: plain data, in the form `parse_service` reads."""
    service = service_of(contract, plan)
    views = consumed_views(contract, service)
    names = {name for view in views for name in view.entities}
    return {
        "name": service.name,
        "entities": [
            {"name": e.name, "join_key": e.join_key, "dtype": e.dtype}
            for e in contract.entities
            if e.name in names
        ],
        "fields": list(service.fields),
        "views": [_view(contract, service, view) for view in views],
        "features": list(service.features),
        "request_features": [
            {"name": f.name, "function": f.function, "inputs": [f.field] if f.field else []}
            for f in service.request_features
        ],
        "derived_features": [
            {"name": f.name, "function": f.function, "inputs": list(f.inputs)}
            for f in service.derived_features
        ],
        "decision": {
            "threshold": plan.decision.threshold,
            "at_or_above": plan.decision.at_or_above,
            "below": plan.decision.below,
            "fallback": plan.fallback.decision,
            "fallback_http": plan.fallback.http,
        },
        "limits": {
            "max_batch": plan.limits.max_batch,
            "max_body_bytes": plan.limits.max_body_bytes,
            "deadline_ms": plan.latency_slo.deadline_ms,
            "clock_margin": format_duration(plan.clock_margin),
            "max_client_skew": format_duration(plan.max_client_skew),
        },
        "hash_entity_keys": plan.prediction_log.hash_entity_keys,
    }


def runtime_service(contract: Contract, plan: Plan) -> Service:
    """The same service that the pod will parse out of the release."""
    return parse_service(service_section(contract, plan))


def service_of(contract: Contract, plan: Plan) -> FeatureService:
    """The feature service that the plan releases. Raises ContractError when there is none."""
    known = {service.name: service for service in contract.feature_services}
    if plan.service not in known:
        wanted = f"one of {', '.join(known)}"
        found = plan.service
        raise ContractError(
            [Problem(f"{PLAN_FILE}: service", found, wanted, code="service_unknown")]
        )
    return known[plan.service]


def consumed_views(contract: Contract, service: FeatureService) -> list[FeatureView]:
    """The views that the service reads, in the contract's order."""
    used = {feature_ref(name).view for name in service.features}
    return [view for view in contract.feature_views if view.name in used]


def _view(contract: Contract, service: FeatureService, view: FeatureView) -> dict[str, Any]:
    return {
        "name": view.name,
        "entities": list(view.entities),
        "schema": contract.schema_of(view),
        "source_delay": format_duration(view.source_delay),
        "temporal_join_lookback": format_duration(view.temporal_join_lookback),
        "online_ttl": format_duration(view.online_ttl),
        "features": [_feature(service, view, feature) for feature in view.features],
    }


def _feature(service: FeatureService, view: FeatureView, feature: Feature) -> dict[str, Any]:
    consumed = str(FeatureRef(view.name, feature.name)) in service.features
    default = feature.default
    policy = {
        "kind": default.policy,
        "value": default.value,
        "approved_by": default.approved_by,
        "reason": default.reason,
        "expires": None if default.expires is None else f"{default.expires}T00:00:00Z",
    }
    return {
        "name": feature.name,
        "dtype": feature.dtype,
        "policy": policy if consumed else None,
    }
