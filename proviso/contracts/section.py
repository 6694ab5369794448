"""The `service` section of release.yml, derived from contract and plan; the pod reads it."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from feature_runtime.core.identity import digest
from feature_runtime.core.moments import format_duration
from feature_runtime.core.service import (
    FeatureRef,
    Service,
    TimeZone,
    feature_ref,
    parse_service,
)
from feature_runtime.core.zones import UTC_NAME, zone
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
            {"name": f.name, "function": f.function, "inputs": list(f.columns)}
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
        **_time_zone(contract),
        **_own_functions(contract, service),
    }


def time_zone_of(contract: Contract) -> TimeZone | None:
    """The zone of calendar functions with the digest of its rules; UTC is None."""
    name = contract.time_zone
    return None if name == UTC_NAME else TimeZone(name, zone(name).digest)


def _time_zone(contract: Contract) -> dict[str, Any]:
    """UTC is not stated."""
    stated = time_zone_of(contract)
    return {} if stated is None else {"time_zone": asdict(stated)}


def _own_functions(contract: Contract, service: FeatureService) -> dict[str, Any]:
    """The project's functions that the service uses, and the digest of their file."""
    used = {f.function for f in service.request_features}
    used |= {f.function for f in service.derived_features}
    declared = [asdict(one) for one in contract.declarations if one.name in used]
    if not declared or contract.functions_source is None:
        return {}
    listed = [{**one, "inputs": list(one["inputs"])} for one in declared]
    return {"functions": {"digest": digest(contract.functions_source), "declared": listed}}


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
