"""Broken encodings and fields of a service: one defect, one review comment."""

from __future__ import annotations

from typing import Any

import pytest

from proviso.contracts.contract import Contract
from proviso.contracts.loading import CONTRACT_FILE, PLAN_FILE, parse_contract, parse_model
from proviso.contracts.plan import Plan
from proviso.contracts.section import runtime_service, service_section
from tests.unit.contracts import flights_case
from tests.unit.contracts.edits import IN_SERVICE, SERVICE, contract, good, problems_after

KEY = {"name": "courier", "function": "field", "field": "courier_id", "description": "-"}
VISITS = "courier_zone_daily:visits_30d"


def with_key(**encodings: Any) -> Any:
    """The contract whose service has a join key as a field, with some encodings."""

    def edit(lab: Any) -> Any:
        [service] = lab.contract["feature_services"]
        fields = [*service["fields"], "courier_id"]
        features = [*service["request_features"], KEY]
        lab = contract(f"{SERVICE}/fields", fields)(lab)
        lab = contract(f"{SERVICE}/request_features", features)(lab)
        return contract(f"{SERVICE}/encodings", encodings)(lab)

    return edit


def found(edit: Any) -> set[tuple[str, str]]:
    return {(p.code, p.path.removeprefix(f"{IN_SERVICE}.")) for p in problems_after(edit)}


GOOD: list[dict[str, Any]] = [
    {},
    {"courier": {"kind": "ordinal", "vocabulary": [7, 8]}},
    {"courier": {"kind": "one_hot", "max_size": 20}},
    {VISITS: {"kind": "ordinal", "max_size": 3}},
]


@pytest.mark.parametrize("encodings", GOOD)
def test_integers_may_be_encoded(encodings: dict[str, Any]) -> None:
    assert found(with_key(**encodings)) == set()


PLACE = "encodings[courier]"
BROKEN: dict[str, tuple[dict[str, Any], str, str]] = {
    "another element": ({"zone": {"kind": "ordinal", "max_size": 3}}, "encoding_unknown", "[zone]"),
    "a number": (
        {"distance_km": {"kind": "ordinal", "max_size": 3}},
        "encoding_type_mismatch",
        "[distance_km]",
    ),
    "values of another type": (
        {"courier": {"kind": "ordinal", "vocabulary": ["7"]}},
        "vocabulary_type_mismatch",
        "[courier].vocabulary",
    ),
    "truth values": (
        {"courier": {"kind": "ordinal", "vocabulary": [True]}},
        "vocabulary_type_mismatch",
        "[courier].vocabulary",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_encoding_is_named(name: str) -> None:
    encodings, code, place = BROKEN[name]
    assert found(with_key(**encodings)) == {(code, f"encodings{place}")}


FORMS: dict[str, tuple[dict[str, Any], str]] = {
    "neither": ({"kind": "ordinal"}, "vocabulary_ambiguous"),
    "both": ({"kind": "ordinal", "vocabulary": [1], "max_size": 3}, "vocabulary_ambiguous"),
    "a value twice": ({"kind": "ordinal", "vocabulary": [1, 1]}, "vocabulary_invalid"),
    "two types": ({"kind": "ordinal", "vocabulary": [1, "1"]}, "vocabulary_invalid"),
    "a long string": ({"kind": "ordinal", "vocabulary": ["x" * 1025]}, "vocabulary_invalid"),
    "too many columns": ({"kind": "one_hot", "max_size": 501}, "vocabulary_invalid"),
    "a large integer": ({"kind": "ordinal", "vocabulary": [2**53]}, "vocabulary_invalid"),
}


@pytest.mark.parametrize("name", FORMS)
def test_a_vocabulary_of_another_form_is_named(name: str) -> None:
    encoding, code = FORMS[name]
    assert code in {p.code for p in problems_after(with_key(courier=encoding))}


def loaded(edit: Any) -> tuple[Contract, Plan]:
    lab = edit(good())
    stated, _ = parse_contract(CONTRACT_FILE, lab.contract)
    return stated, parse_model(PLAN_FILE, lab.plan, Plan)


def test_a_section_freezes_what_is_learnt_and_nothing_else() -> None:
    stated, plan = loaded(with_key(courier={"kind": "ordinal", "max_size": 20}))
    section = service_section(stated, plan)
    [encoding] = section["encodings"]
    assert encoding == {"element": "courier", "kind": "ordinal", "vocabulary": None}
    frozen = runtime_service(stated, plan, {"courier": (7, 9)})
    assert frozen.encoding_of["courier"].vocabulary == (7, 9)
    assert {"name": "courier_id", "dtype": "int64", "nullable": False} in section["fields"]
    assert "courier_id" not in {field.name for field in frozen.sent_fields}


def test_a_given_vocabulary_is_the_contracts() -> None:
    stated, plan = loaded(with_key(courier={"kind": "ordinal", "vocabulary": [7, 8]}))
    frozen = runtime_service(stated, plan, {"courier": (1, 2)})
    assert frozen.encoding_of["courier"].vocabulary == (7, 8)


def test_fields_of_version_1_are_doubles() -> None:
    stated, plan = loaded(lambda lab: lab)
    assert all(isinstance(field, str) for field in service_section(stated, plan)["fields"])
    assert "encodings" not in service_section(stated, plan)


FLIGHTS = "feature_services/late_service_v1"
ALLIANCE = "carrier_ratings:alliance"
CODED = {ALLIANCE: {"kind": "one_hot", "max_size": 5}}


def of_flights(**changes: Any) -> set[str]:
    """Codes of the flights' contract with other keys of its service."""
    data = flights_case.flights()
    for key, value in changes.items():
        data = flights_case.put(data, f"{FLIGHTS}/{key}", value)
    return {wrong.code for wrong in flights_case.found(data)}


def test_a_string_feature_needs_an_encoding_and_is_no_input_of_arithmetic() -> None:
    derived = {"name": "share", "function": "ratio", "description": "-"}
    inputs = [ALLIANCE, "carrier_daily:flights_1d"]
    features = ["carrier_daily:flights_1d", ALLIANCE]
    assert of_flights(features=features) == {"encoding_missing"}
    assert of_flights(features=features, encodings=CODED) == set()
    share = [{**derived, "inputs": inputs}]
    found = of_flights(features=features, encodings=CODED, derived_features=share)
    assert found == {"input_not_numeric"}


def test_a_moment_is_no_number_but_has_an_hour() -> None:
    copied = {"name": "at", "function": "field", "field": "planned", "description": "-"}
    assert of_flights(request_features=[copied]) == {"timestamp_in_vector"}
    assert of_flights(request_features=[{**copied, "function": "hour_of_day"}]) == set()
