"""An aggregate given by its name: in its column's own terms as a double, in units as an integer."""

from __future__ import annotations

from typing import Any

import pytest

from proviso.contracts.contract import Contract
from proviso.contracts.definitions import feature_scalar
from proviso.contracts.documents import read_document
from proviso.contracts.loading import CONTRACT_FILE, parse_contract
from proviso.contracts.migration import migrated
from tests.parcel_project import project_text
from tests.unit.contracts.flights_case import contract_of, flights, put

VIEW = "feature_views/carrier_daily"
SUM = {"name": "fares", "function": "sum", "of": "fare", "window": "P7D"}


def sql_of(contract: Contract, name: str) -> tuple[str, str]:
    """Dtype and SQL of a feature of the contract's first view."""
    view = contract.feature_views[0]
    feature = next(f for f in view.features if f.name == name)
    return feature.dtype, feature_scalar(contract, view, feature).tree.sql("duckdb")


def named(feature: Any, aggregate: dict[str, Any]) -> Contract:
    data = put(flights(), f"{VIEW}/aggregates", [aggregate])
    data = put(data, "feature_services/late_service_v1/features", ["carrier_daily:fares"])
    return contract_of(put(data, f"{VIEW}/features", [feature]))


@pytest.mark.parametrize(
    ("feature", "function", "said"),
    [
        ("fares", "sum", ("float64", "fares / 100")),
        ({"name": "fares", "dtype": "float64"}, "sum", ("float64", "fares / 100")),
        ({"name": "fares", "dtype": "int64"}, "sum", ("int64", "fares")),
        ({"name": "fares", "sql": "fares", "description": "-"}, "sum", ("int64", "fares")),
        ("fares", "sum_of_squares", ("float64", "fares / 10000")),
        ("fares", "max", ("float64", "fares / 100")),
        ("fares", "mean", ("float64", "fares")),
        ("fares", "count_distinct", ("int64", "fares")),
    ],
)
def test_a_sum_of_money(feature: Any, function: str, said: tuple[str, str]) -> None:
    dtype, sql = sql_of(named(feature, {**SUM, "function": function}), "fares")
    assert (dtype, sql.replace('"', "")) == said


def test_doubles_with_a_scale() -> None:
    summed = {**SUM, "of": "distance", "scale": 3}
    assert sql_of(named("fares", summed), "fares")[1].endswith("/ 1000")
    squared = {**summed, "function": "sum_of_squares"}
    assert sql_of(named("fares", squared), "fares")[1].endswith("/ 1000000")


def in_version_1(feature: str) -> str:
    """The parcels' contract of version 1, in which the sum of fees is a feature by its name."""
    text = project_text(CONTRACT_FILE)
    text = text.replace("      - name: fees_24h\n", f"      - name: {feature}\n", 1)
    text = text.replace("        sql: fees_24h_minor / 100\n", "", 1)
    return text.replace("courier_load_6h:fees_24h", f"courier_load_6h:{feature}", 1)


def test_version_1_keeps_minor_units_and_their_schema() -> None:
    data = read_document(CONTRACT_FILE, in_version_1("fees_24h_minor")).data
    contract, _ = parse_contract(CONTRACT_FILE, data)
    assert sql_of(contract, "fees_24h_minor") == ("float64", "fees_24h_minor")


def test_a_migration_keeps_them_as_well() -> None:
    text = in_version_1("fees_24h_minor")
    made = migrated(CONTRACT_FILE, text)
    assert made is not None
    before, _ = parse_contract(CONTRACT_FILE, read_document(CONTRACT_FILE, text).data)
    after, _ = parse_contract(CONTRACT_FILE, read_document(CONTRACT_FILE, made.text).data)
    assert before == after


def test_a_copy_has_no_properties_of_what_it_was_copied_from() -> None:
    contract = contract_of(flights())
    assert "carrier_daily" in contract.view_by_name
    [view, *rest] = contract.feature_views
    renamed = view.model_copy(update={"name": "carrier_weekly"})
    copied = contract.model_copy(update={"feature_views": [renamed, *rest]})
    assert next(iter(copied.view_by_name)) == "carrier_weekly"
    assert "carrier_daily" in contract.view_by_name
    assert contract.model_copy() == contract
