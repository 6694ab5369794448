"""First check, functions: which there are, what they are given, how the project's own behave."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from feature_runtime.core.functions import CLOCK_FUNCTIONS, DERIVED_FUNCTIONS
from feature_runtime.core.project_functions import FUNCTIONS_FILE, FunctionsError
from feature_runtime.core.project_source import function_parameters
from feature_runtime.core.request_features import SCORING_TS
from proviso.contracts.base import Problem
from proviso.contracts.contract import Contract
from proviso.contracts.feature_service import DerivedFeature, FeatureService, RequestFeature
from proviso.contracts.own_functions import OwnFunction
from proviso.contracts.paths import in_contract, listed, of_service, repeated
from proviso.contracts.validation.elements import element_dtypes, field_dtypes
from proviso.contracts.validation.function_trials import behaviour_problems

_REGISTERED = {"field", *CLOCK_FUNCTIONS, *DERIVED_FUNCTIONS}
_NUMBERS = ("int64", "float64", "bool")


def unusable_functions(contract: Contract) -> Iterator[Problem]:
    """What no command can compute with: functions that are not there, a file that is refused."""
    yield from _names(contract)
    for service in contract.feature_services:
        yield from _unknown(contract, service)
    try:
        assert contract.library is not None
    except FunctionsError as error:
        for fault in error.faults:
            place = (fault.line, fault.column)
            yield Problem(FUNCTIONS_FILE, fault.found, fault.wanted, "", fault.code, "", *place)


def function_problems(contract: Contract) -> Iterator[Problem]:
    """Everything about functions: names, file, inputs and types, and behaviour on made-up rows."""
    unusable = list(unusable_functions(contract))
    yield from unusable
    if any(problem.path == FUNCTIONS_FILE for problem in unusable):
        return
    yield from _parameters(contract)
    for service in contract.feature_services:
        yield from _inputs(contract, service)
    for function in contract.functions:
        if function.name in contract.library:
            place = in_contract(f"functions[{function.name}]")
            yield from behaviour_problems(place, contract.library[function.name])


def _names(contract: Contract) -> Iterator[Problem]:
    names = [function.name for function in contract.functions]
    yield from repeated(in_contract("functions"), names, "one name would stand for two functions")
    for name in names:
        if name in _REGISTERED:
            place, why = in_contract(f"functions[{name}].name"), "it is a function of the runtime"
            yield Problem(place, name, "another name", why, "name_taken")


def _unknown(contract: Contract, service: FeatureService) -> Iterator[Problem]:
    own = {function.name for function in contract.functions}
    for feature in service.request_features:
        if feature.function not in {"field", *CLOCK_FUNCTIONS, *own}:
            place = of_service(service, f"request_features[{feature.name}].function")
            yield _no_function(place, feature.function, {"field", *CLOCK_FUNCTIONS, *own})
    for derived in service.derived_features:
        if derived.function not in {*DERIVED_FUNCTIONS, *own}:
            place = of_service(service, f"derived_features[{derived.name}].function")
            yield _no_function(place, derived.function, {*DERIVED_FUNCTIONS, *own})


def _no_function(place: str, found: str, known: set[str]) -> Problem:
    return Problem(place, repr(found), f"one of {listed(known)}", code="invalid_value")


def _parameters(contract: Contract) -> Iterator[Problem]:
    """The declared inputs are the function's parameters, by name and in order."""
    text = (contract.functions_source or b"").decode()
    defined = function_parameters(text) if contract.functions else {}
    for function in contract.functions:
        found = defined.get(function.name)
        if found != list(function.inputs):
            place = in_contract(f"functions[{function.name}].inputs")
            said = "other than plain parameters" if found is None else f"parameters {found}"
            why = f"of {function.name} in {FUNCTIONS_FILE}"
            yield Problem(place, f"{list(function.inputs)}", said, why, "function_inputs_mismatch")


def _inputs(contract: Contract, service: FeatureService) -> Iterator[Problem]:
    fields = field_dtypes(contract, service)
    known = {**fields, SCORING_TS: "timestamp"}
    own = {function.name: function for function in contract.functions}
    for feature in service.request_features:
        place = of_service(service, f"request_features[{feature.name}]")
        if feature.function in CLOCK_FUNCTIONS and feature.field is not None:
            yield from _dated(place, feature, fields)
        elif feature.function in own:
            yield from _fitting(place, own[feature.function], feature, known)
    elements = element_dtypes(contract, service)
    for derived in service.derived_features:
        if derived.function in own:
            place = of_service(service, f"derived_features[{derived.name}]")
            yield from _fitting(place, own[derived.function], derived, elements)


def _dated(place: str, feature: RequestFeature, fields: Mapping[str, str]) -> Iterator[Problem]:
    dtype = fields.get(str(feature.field), "timestamp")  # an unknown field is told elsewhere
    if dtype != "timestamp":
        found, wanted = f"{feature.function} of a {dtype} field", "a timestamp field, or none"
        yield Problem(f"{place}.field", found, wanted, code="request_field_mismatch")


def _fitting(
    place: str,
    function: OwnFunction,
    feature: RequestFeature | DerivedFeature,
    known: Mapping[str, str],
) -> Iterator[Problem]:
    """Whether a feature gives a function of the project as many inputs as it takes, typed so."""
    if len(feature.inputs) != len(function.inputs):
        found, wanted = f"{len(feature.inputs)} inputs", f"{len(function.inputs)}"
        yield Problem(f"{place}.inputs", found, f"{wanted} for {function.name}", code="input_count")
        return
    for name, (parameter, wanted) in zip(feature.inputs, function.inputs.items(), strict=True):
        dtype = known.get(name)
        kind = "float64" if dtype in _NUMBERS else dtype
        if kind is not None and kind != wanted:
            found = f"{name} of {dtype}"
            said = f"{wanted}, the type of {parameter} in {function.name}"
            yield Problem(f"{place}.inputs", found, said, code="function_input_type_mismatch")
