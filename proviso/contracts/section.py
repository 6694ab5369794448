"""The `service` section of release.yml, derived from contract and plan; the pod reads it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from feature_runtime.core.encodings import Category
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
from proviso.contracts.contract import Contract, Feature, FeatureView
from proviso.contracts.feature_service import FeatureService, ServiceEncoding
from proviso.contracts.paths import PLAN_FILE
from proviso.contracts.plan import Plan

Vocabularies = Mapping[str, Sequence[Category]]
"""Learnt vocabularies by element of the vector."""

NOT_LEARNT: Vocabularies = {}


def service_section(
    contract: Contract, plan: Plan, learnt: Vocabularies = NOT_LEARNT
) -> dict[str, Any]:
    """The `service` section of release.yml: plain data, in the form `parse_service` reads.

    learnt: the vocabularies that the contract does not give. Without one, the section has null in
    its place, with which nothing can be encoded.
    """
    service = service_of(contract, plan)
    views = consumed_views(contract, service)
    names = {name for view in views for name in view.entities}
    section = {
        "name": service.name,
        "entities": [
            {"name": e.name, "join_key": e.join_key, "dtype": e.dtype}
            for e in contract.entities
            if e.name in names or e.join_key in service.fields
        ],
        "fields": [_field(contract, service, name) for name in service.fields],
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
    if service.encodings:
        section["encodings"] = [
            {"element": element, "kind": one.kind, "vocabulary": _vocabulary(element, one, learnt)}
            for element, one in service.encodings.items()
        ]
    return section


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


def runtime_service(contract: Contract, plan: Plan, learnt: Vocabularies = NOT_LEARNT) -> Service:
    """The same service that the pod will parse out of the release."""
    return parse_service(service_section(contract, plan, learnt))


def frozen_vocabularies(service: Service) -> Vocabularies:
    """The vocabularies of a release's service by element; those that are given are among them."""
    return {e.element: e.vocabulary for e in service.encodings if e.vocabulary is not None}


def _vocabulary(
    element: str, encoding: ServiceEncoding, learnt: Vocabularies
) -> list[Category] | None:
    found = encoding.vocabulary if encoding.vocabulary is not None else learnt.get(element)
    return None if found is None else list(found)


def _field(contract: Contract, service: FeatureService, name: str) -> str | dict[str, Any]:
    """A field; a number that is always there by its name alone."""
    dtype, nullable = field_type(contract, service, name)
    if dtype == "float64" and not nullable:
        return name
    return {"name": name, "dtype": dtype, "nullable": nullable}


def field_type(contract: Contract, service: FeatureService, name: str) -> tuple[str, bool]:
    """A field's type in a request, and whether it may be missing."""
    columns = contract.observations_of(service).columns
    if name not in columns:
        return next(e.dtype for e in contract.entities if e.join_key == name), False
    column = columns[name]
    double = service.numbers == "double" and column.dtype in ("int64", "bool")
    if column.dtype == "money" or double:
        return "float64", column.nullable
    return column.dtype, column.nullable


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
        "value": default.value if isinstance(default.value, str | None) else float(default.value),
        "approved_by": default.approved_by,
        "reason": default.reason,
        "expires": None if default.expires is None else f"{default.expires}T00:00:00Z",
    }
    return {
        "name": feature.name,
        "dtype": feature.dtype,
        "policy": policy if consumed else None,
    }
