"""The paths that problems of contract files start with, and lists of names in their texts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from proviso.contracts.base import Problem
from proviso.contracts.contract import Feature, FeatureView
from proviso.contracts.feature_service import FeatureService

CONTRACT_FILE = "feature_store_contract.yml"
PLAN_FILE = "serving_release_plan.yml"


def in_contract(path: str) -> str:
    return f"{CONTRACT_FILE}: {path}"


def in_plan(path: str) -> str:
    return f"{PLAN_FILE}: {path}"


def of_view(view: FeatureView, key: str) -> str:
    return in_contract(f"feature_views[{view.name}].{key}")


def of_feature(view: FeatureView, feature: Feature, key: str) -> str:
    return of_view(view, f"features[{feature.name}].{key}")


def of_service(service: FeatureService, key: str) -> str:
    return in_contract(f"feature_services[{service.name}].{key}")


def repeated(place: str, names: Iterable[str], why: str = "") -> Iterator[Problem]:
    """One problem for each name that stands there more than once."""
    for name, count in Counter(names).items():
        if count > 1:
            found = f"{name} {count} times"
            yield Problem(place, found, "every name once", why, "name_repeated")


def listed(names: Iterable[str]) -> str:
    """Names in alphabetical order, at most twenty of them."""
    known = sorted(set(names))
    return ", ".join(known[:20]) + (", ..." if len(known) > 20 else "")
