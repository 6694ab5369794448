"""Broken contracts, aggregates and what features make of them: one defect, one review comment."""

from __future__ import annotations

import pytest

from tests.unit.contracts.edits import (
    IN_LOAD,
    IN_PAIR,
    LOAD,
    PAIR,
    Edit,
    Wrong,
    contract,
    problems_after,
    without,
)

VARIANTS: dict[str, tuple[Edit, Wrong]] = {
    "label in a where": (
        contract(f"{LOAD}/aggregates/big_7d/where", "parcels >= 5 and is_late"),
        Wrong(
            "label_leak",
            f"{IN_LOAD}.aggregates[big_7d].where",
            "the label is_late in an aggregate dated by event",
            "dated: label",
        ),
    ),
    "sum of the label": (
        contract(
            f"{LOAD}/aggregates/late_7d",
            {"name": "late_7d", "function": "sum", "of": "is_late", "window": "P7D"},
        ),
        Wrong(
            "label_leak",
            f"{IN_LOAD}.aggregates[late_7d].of",
            "the label is_late",
            "count with dated: label",
        ),
    ),
    "sum of doubles": (
        contract(f"{LOAD}/aggregates/fees_24h_minor/of", "distance_km"),
        Wrong(
            "column_not_summable",
            f"{IN_LOAD}.aggregates[fees_24h_minor].of",
            "float64 column distance_km",
            "money, int64 or bool; or `scale`, the decimals that are summed",
        ),
    ),
    "scale of whole numbers": (
        contract(f"{LOAD}/aggregates/fees_24h_minor/scale", 2),
        Wrong(
            "aggregate_scale_mismatch",
            f"{IN_LOAD}.aggregates[fees_24h_minor].of",
            "scale 2 for sum of money fee",
            "a scale only where doubles are summed",
        ),
    ),
    "share of nothing": (
        contract(
            f"{LOAD}/aggregates/late_7d",
            {"name": "late_7d", "function": "share", "window": "P7D"},
        ),
        Wrong(
            "aggregate_where_missing",
            f"{IN_LOAD}.aggregates[late_7d]",
            "share without where",
            "the condition that it measures",
        ),
    ),
    "arithmetic on a mean": (
        contract(
            f"{LOAD}/aggregates/fees_24h_minor",
            {"name": "fees_24h_minor", "function": "mean", "of": "fee", "window": "PT24H"},
        ),
        Wrong(
            "sql_not_allowed",
            f"{IN_LOAD}.features[fees_24h].sql",
            "arithmetic on `fees_24h_minor`",
            "exact integers up to at most one division, which ends the arithmetic",
        ),
    ),
    "sum of nothing known": (
        contract(f"{LOAD}/aggregates/fees_24h_minor/of", "weight"),
        Wrong(
            "column_unknown",
            f"{IN_LOAD}.aggregates[fees_24h_minor].of",
            "weight",
            "one of distance_km, fee, parcels",
        ),
    ),
    "sum without column": (
        without(f"{LOAD}/aggregates/fees_24h_minor/of"),
        Wrong(
            "aggregate_column_mismatch",
            f"{IN_LOAD}.aggregates[fees_24h_minor]",
            "sum of None",
            "a column for sums and none for count",
        ),
    ),
    "where that is no condition": (
        contract(f"{LOAD}/aggregates/big_7d/where", "parcels"),
        Wrong(
            "sql_not_allowed",
            f"{IN_LOAD}.aggregates[big_7d].where",
            "`parcels`",
            "a condition, true or false",
        ),
    ),
    "where over an unknown column": (
        contract(f"{LOAD}/aggregates/big_7d/where", "weight > 3"),
        Wrong(
            "sql_not_allowed",
            f"{IN_LOAD}.aggregates[big_7d].where",
            "column weight",
            "one of distance_km, fee, is_late, parcels",
        ),
    ),
    "feature without a source": (
        without(f"{LOAD}/features/fees_24h/sql"),
        Wrong(
            "sql_missing",
            f"{IN_LOAD}.features[fees_24h].sql",
            "no sql and no aggregate of that name",
            "sql or one of all_7d, big_7d, deliveries_24h, fees_24h_minor, judged_7d, late_7d",
        ),
    ),
    "feature of another type": (
        contract(f"{PAIR}/features/late_share_30d/dtype", "int64"),
        Wrong(
            "sql_type_mismatch",
            f"{IN_PAIR}.features[late_share_30d].sql",
            "`late_30d / nullif(visits_30d, 0)`, which is float64",
            "int64, the feature's dtype",
        ),
    ),
    "two divisions": (
        contract(f"{LOAD}/features/big_share_7d/sql", "big_7d / nullif(all_7d, 0) / 100"),
        Wrong(
            "sql_not_allowed",
            f"{IN_LOAD}.features[big_share_7d].sql",
            "arithmetic on `big_7d / NULLIF(all_7d, 0)`",
            "exact integers up to at most one division, which ends the arithmetic",
        ),
    ),
    "function in sql": (
        contract(f"{LOAD}/features/big_share_7d/sql", "ln(big_7d)"),
        Wrong(
            "sql_not_allowed",
            f"{IN_LOAD}.features[big_share_7d].sql",
            "`LN(big_7d)`",
            "+ - * /, comparisons, in, and/or/not, is null, case, coalesce, nullif, abs, "
            "sqrt, greatest, least, cast to double or bigint, numbers, strings, true, false, null",
        ),
    ),
    "subquery in sql": (
        contract(f"{LOAD}/features/big_share_7d/sql", "(select max(x) from secrets)"),
        Wrong(
            "sql_not_allowed",
            f"{IN_LOAD}.features[big_share_7d].sql",
            "`(SELECT MAX(x) FROM secrets)`",
            "+ - * /, comparisons, in, and/or/not, is null, case, coalesce, nullif, abs, "
            "sqrt, greatest, least, cast to double or bigint, numbers, strings, true, false, null",
        ),
    ),
    "default of another type": (
        contract(f"{PAIR}/features/visits_30d/default/value", 0.5),
        Wrong(
            "default_type_mismatch",
            f"{IN_PAIR}.features[visits_30d].default.value",
            "0.5",
            "a whole number",
        ),
    ),
    "default beyond the model's type": (
        contract(f"{LOAD}/features/fees_24h/default/value", -3.5e38),
        Wrong(
            "default_out_of_range",
            f"{IN_LOAD}.features[fees_24h].default.value",
            "-3.5e+38",
            "less than 3.4e38",
        ),
    ),
}


@pytest.mark.parametrize("name", VARIANTS)
def test_one_defect_is_one_review_comment(name: str) -> None:
    edit, expected = VARIANTS[name]
    assert problems_after(edit) == [expected]
