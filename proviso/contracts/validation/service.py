"""First check, what a model consumes: features, request features, derived features."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import date

from feature_runtime.core.functions import DERIVED_FUNCTIONS
from feature_runtime.core.request_features import SCORING_TS
from feature_runtime.core.service import FeatureRef, feature_ref
from proviso.contracts.base import Problem
from proviso.contracts.contract import Contract, Deprecation, Feature, FeatureView
from proviso.contracts.feature_service import DerivedFeature, FeatureService
from proviso.contracts.paths import listed, of_service, repeated
from proviso.contracts.validation.elements import element_problems


def service_problems(contract: Contract, service: FeatureService, today: date) -> Iterator[Problem]:
    """Everything between a service and the views that it names."""
    why = "the vector has one place for each"
    yield from repeated(of_service(service, "features"), service.features, why)
    for name in dict.fromkeys(service.features):
        yield from _consumed(contract, service, name, today)
    yield from _entities(contract, service)
    wrong = [*_fields(contract, service)]
    yield from wrong
    if not wrong and all(find_feature(contract, feature_ref(n)) for n in service.features):
        yield from element_problems(contract, service)
    yield from _vector_names(service)
    for feature in service.derived_features:
        yield from _derived(service, feature)


def _entities(contract: Contract, service: FeatureService) -> Iterator[Problem]:
    """Every view that a service reads needs the keys of what is asked."""
    observations = contract.observations_of(service)
    for name in dict.fromkeys(feature_ref(one).view for one in service.features):
        view = contract.view_by_name.get(name)
        for entity in view.entities if view else ():
            if entity not in observations.entities:
                place = of_service(service, "features")
                found = f"{name}, whose rows are those of {entity}"
                wanted = f"views of {listed(observations.entities)}"
                why = f"{observations.rows.name} has no key of it"
                yield Problem(place, found, wanted, why, "service_entity_missing")


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
    observations = contract.observations_of(service)
    columns = {n: c for n, c in observations.columns.items() if not c.late}
    keys = [e.join_key for e in contract.entities if e.name in observations.entities]
    for name in service.fields:
        if name in observations.rows.late_columns:
            yield _early(service, name, observations.label.column)
        elif name not in columns and name not in keys:
            why = "training reads the field from the observations"
            place, wanted = of_service(service, "fields"), f"one of {listed(columns)}"
            yield Problem(place, name, wanted, why, "field_unknown")
    for feature in service.request_features:
        key = "field" if feature.field is not None else "inputs"
        for name in feature.columns:
            if name not in service.fields and (key == "field" or name != SCORING_TS):
                place = of_service(service, f"request_features[{feature.name}].{key}")
                wanted = f"one of the fields {listed(service.fields)}"
                yield Problem(place, name, wanted, code="field_unknown")


def _early(service: FeatureService, name: str, label: str) -> Problem:
    """A field whose value is not known yet when the request is made."""
    place, wanted = of_service(service, "fields"), "what is known when a request is made"
    if name == label:
        why = "leakage: a request cannot know what is predicted"
        return Problem(place, f"the label {name}", wanted, why, "label_leak")
    return Problem(place, f"{name}, which is known later", wanted, "leakage", "value_known_later")


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
    registered = DERIVED_FUNCTIONS.get(feature.function)
    arity = len(feature.inputs) if registered is None else registered.arity
    if len(feature.inputs) != arity:
        found, wanted = f"{len(feature.inputs)} inputs", f"{arity} for {feature.function}"
        yield Problem(place, found, wanted, code="input_count")
    known = {f.name for f in service.request_features} | set(service.features)
    for name in feature.inputs:
        if name not in known:
            why = "the encoder computes it from the other features of the vector"
            wanted = "a request feature's name or a view:feature that the service consumes"
            yield Problem(place, name, wanted, why, "input_unknown")
