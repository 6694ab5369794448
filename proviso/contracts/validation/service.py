"""First check, what a model consumes: features, request features, derived features."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import date

from feature_runtime.core.functions import DERIVED_FUNCTIONS
from feature_runtime.core.service import FeatureRef, feature_ref
from proviso.contracts.base import Problem
from proviso.contracts.contract import (
    Contract,
    Deprecation,
    DerivedFeature,
    Feature,
    FeatureService,
    FeatureView,
)
from proviso.contracts.paths import listed, of_service, repeated


def service_problems(contract: Contract, service: FeatureService, today: date) -> Iterator[Problem]:
    """Everything between a service and the views that it names."""
    why = "the vector has one place for each"
    yield from repeated(of_service(service, "features"), service.features, why)
    for name in dict.fromkeys(service.features):
        yield from _consumed(contract, service, name, today)
    yield from _fields(contract, service)
    yield from _vector_names(service)
    for feature in service.derived_features:
        yield from _derived(service, feature)


def find_feature(contract: Contract, ref: FeatureRef) -> tuple[FeatureView, Feature] | None:
    """The view and the feature that a reference names."""
    view = contract.view_by_name.get(ref.view)
    feature = next((f for f in view.features if f.name == ref.feature), None) if view else None
    return (view, feature) if view and feature else None


def _consumed(
    contract: Contract, service: FeatureService, name: str, today: date
) -> Iterator[Problem]:
    place = of_service(service, f"features[{name}]")
    found = find_feature(contract, feature_ref(name))
    if found is None:
        view = contract.view_by_name.get(feature_ref(name).view)
        known = [str(FeatureRef(view.name, f.name)) for f in view.features] if view else []
        wanted = known or [str(FeatureRef(v, "<feature>")) for v in contract.view_by_name]
        of = f"one of {listed(wanted)}"
        yield Problem(place, "no such feature", of, code="feature_unknown")
        return
    yield from _alive(place, found[0].deprecation_of(found[1]), today)


def _alive(place: str, deprecation: Deprecation, today: date) -> Iterator[Problem]:
    if not deprecation.ended(today):
        return
    instead = f", {deprecation.replacement} in its place" if deprecation.replacement else ""
    dated = deprecation.retire_on is not None and deprecation.retire_on <= today
    found = f"a feature retired since {deprecation.retire_on}" if dated else "a retired feature"
    why = "a retired feature is not maintained"
    yield Problem(place, found, f"an active one{instead}", why, "feature_retired")


def _fields(contract: Contract, service: FeatureService) -> Iterator[Problem]:
    yield from repeated(of_service(service, "fields"), service.fields)
    columns = contract.observations_of(service).columns
    for name in service.fields:
        if name not in columns:
            why = "training reads the field from the observations"
            place, wanted = of_service(service, "fields"), f"one of {listed(columns)}"
            yield Problem(place, name, wanted, why, "field_unknown")
    for feature in service.request_features:
        if feature.field is not None and feature.field not in service.fields:
            place = of_service(service, f"request_features[{feature.name}].field")
            wanted = f"one of the fields {listed(service.fields)}"
            yield Problem(place, feature.field, wanted, code="field_unknown")


def _vector_names(service: FeatureService) -> Iterator[Problem]:
    """The vector's names are unique."""
    names = [
        *(feature.name for feature in service.request_features),
        *(feature_ref(name).column for name in dict.fromkeys(service.features)),
        *(feature.name for feature in service.derived_features),
    ]
    place = of_service(service, "request_features and derived_features")
    for name, count in Counter(names).items():
        if count > 1:
            why = "the vector has one place for each"
            found = f"{name} {count} times"
            yield Problem(place, found, "every name once", why, "name_repeated")


def _derived(service: FeatureService, feature: DerivedFeature) -> Iterator[Problem]:
    place = of_service(service, f"derived_features[{feature.name}].inputs")
    arity = DERIVED_FUNCTIONS[feature.function].arity
    if len(feature.inputs) != arity:
        found, wanted = f"{len(feature.inputs)} inputs", f"{arity} for {feature.function}"
        yield Problem(place, found, wanted, code="input_count")
    known = {f.name for f in service.request_features} | set(service.features)
    for name in feature.inputs:
        if name not in known:
            why = "the encoder computes it from the other features of the vector"
            wanted = "a request feature's name or a view:feature that the service consumes"
            yield Problem(place, name, wanted, why, "input_unknown")
