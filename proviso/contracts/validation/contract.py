"""First check, the contract as a whole: names, the order of the checks, and quality gates."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from proviso.contracts.base import Problem
from proviso.contracts.contract import Contract
from proviso.contracts.metrics import METRICS
from proviso.contracts.paths import in_contract, repeated
from proviso.contracts.validation import features as checks_features
from proviso.contracts.validation import functions as checks_functions
from proviso.contracts.validation import service as checks_service
from proviso.contracts.validation import sources as checks_sources
from proviso.contracts.validation import views as checks_views
from proviso.contracts.validation.columns import column_problems
from proviso.contracts.validation.monitoring import metric_unknown


def contract_problems(contract: Contract, today: date) -> Iterator[Problem]:
    """Everything that the contract's parts must be to each other.

    Views and services are judged only where every name stands for something.
    """
    yield from _names(contract)
    unresolved = list(checks_sources.unresolved(contract))
    yield from unresolved or _parts(contract, today)
    yield from _gates(contract)


def _parts(contract: Contract, today: date) -> Iterator[Problem]:
    repeated_columns = list(checks_sources.columns_repeated(contract))
    yield from repeated_columns or column_problems(contract)
    yield from checks_sources.source_problems(contract)
    for view in contract.feature_views:
        yield from checks_views.view_problems(contract, view)
        yield from checks_features.feature_problems(contract, view, today)
    for service in contract.feature_services:
        yield from checks_service.service_problems(contract, service, today)
    yield from checks_functions.function_problems(contract)


def _names(contract: Contract) -> Iterator[Problem]:
    lists = {
        "entities": [entity.name for entity in contract.entities],
        "feature_views": [view.name for view in contract.feature_views],
        "feature_services": [service.name for service in contract.feature_services],
        "quality_gates": [gate.name for gate in contract.quality_gates],
    }
    for place, names in lists.items():
        yield from repeated(in_contract(place), names, "one name would stand for two things")
    models = [service.model for service in contract.feature_services]
    why = "one feature service per model version"
    yield from repeated(in_contract("feature_services"), models, why)


def _gates(contract: Contract) -> Iterator[Problem]:
    for gate in contract.quality_gates:
        place = in_contract(f"quality_gates[{gate.name}]")
        metric = METRICS.get(gate.metric)
        if metric is None:
            yield metric_unknown(place, gate.metric)
        elif metric.unit == "share" and not 0 <= gate.bound.limit <= 1:
            end = "max" if gate.max is not None else "min"
            why = "a rate is a share, not percent"
            found = gate.bound.number
            yield Problem(f"{place}.{end}", found, "0 to 1", why, "share_out_of_range")
