"""First check, the elements of a service's vector: their types, and the encodings of those that are
no numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from feature_runtime.core.functions import DERIVED_FUNCTIONS
from feature_runtime.core.service import FeatureRef
from proviso.contracts.base import Problem
from proviso.contracts.contract import Contract
from proviso.contracts.feature_service import FeatureService, ServiceEncoding
from proviso.contracts.paths import listed, of_service
from proviso.contracts.section import field_type

_CATEGORIES: Mapping[str, type] = {"string": str, "int64": int, "bool": bool}
"""Types that may be encoded, and those of a vocabulary's values."""


def element_problems(contract: Contract, service: FeatureService) -> Iterator[Problem]:
    """What of the vector no encoder could make, for a service whose fields and features exist."""
    dtypes = element_dtypes(contract, service)
    for element, encoding in service.encodings.items():
        yield from _encoding(service, element, encoding, dtypes.get(element))
    for element, dtype in dtypes.items():
        if dtype == "string" and element not in service.encodings:
            place = of_service(service, f"encodings[{element}]")
            why = "the model's vector holds numbers"
            wanted = f"ordinal or one_hot for the string {element}"
            yield Problem(place, "nothing", wanted, why, "encoding_missing")
        if dtype == "timestamp":
            place = of_service(service, f"request_features[{element}]")
            why = "float32 cannot tell moments apart; functions may use the field"
            yield Problem(place, "a timestamp", "a number", why, "timestamp_in_vector")
    for feature in service.derived_features:
        for name in feature.inputs if feature.function in DERIVED_FUNCTIONS else ():
            if dtypes.get(name) == "string":
                place = of_service(service, f"derived_features[{feature.name}].inputs")
                wanted = f"numbers for {feature.function}"
                yield Problem(place, f"the string {name}", wanted, code="input_not_numeric")


def element_dtypes(contract: Contract, service: FeatureService) -> dict[str, str]:
    """The type of every element that is known, before it is encoded."""
    fields = field_dtypes(contract, service)
    outputs = {function.name: function.output for function in contract.functions}
    requested = {
        f.name: fields.get(str(f.field), "float64")
        if f.function == "field"
        else outputs.get(f.function, "float64")
        for f in service.request_features
    }
    features = {
        str(FeatureRef(view.name, feature.name)): feature.dtype
        for view in contract.feature_views
        for feature in view.features
    }
    stored = {name: features[name] for name in service.features if name in features}
    derived = {f.name: outputs.get(f.function, "float64") for f in service.derived_features}
    return {**requested, **stored, **derived}


def field_dtypes(contract: Contract, service: FeatureService) -> dict[str, str]:
    """The type in a request of every field that is known."""
    observations = contract.observations_of(service)
    keys = {e.join_key for e in contract.entities if e.name in observations.entities}
    known = (name for name in service.fields if name in observations.columns or name in keys)
    return {name: field_type(contract, service, name)[0] for name in known}


def _encoding(
    service: FeatureService, element: str, encoding: ServiceEncoding, dtype: str | None
) -> Iterator[Problem]:
    place = of_service(service, f"encodings[{element}]")
    category = _CATEGORIES.get(dtype or "")
    if dtype is None:
        wanted = "a request or derived feature, or a view:feature that the service consumes"
        yield Problem(place, element, wanted, code="encoding_unknown")
    elif category is None:
        wanted = f"one of {listed(_CATEGORIES)}"
        yield Problem(place, f"a {dtype}", wanted, code="encoding_type_mismatch")
    elif any(type(value) is not category for value in encoding.vocabulary or ()):
        why = f"{element} is {dtype}"
        found = "values of another type"
        wanted = f"values of {dtype}"
        yield Problem(f"{place}.vocabulary", found, wanted, why, "vocabulary_type_mismatch")
