"""The named functions: by name, over arrays, with missing values; one more is one registration."""

from __future__ import annotations

import numpy as np
import pytest

from feature_runtime.core import functions
from feature_runtime.core.encode import Encoder
from feature_runtime.core.functions import CLOCK_FUNCTIONS, DERIVED_FUNCTIONS, Floats, derived
from feature_runtime.core.moments import parse_moment
from feature_runtime.core.service import parse_service
from tests.local.pod_stack import T, section

SATURDAY_NIGHT = "2026-05-30T03:59:59.999999Z"


@pytest.mark.parametrize(
    ("name", "moment", "value"),
    [
        ("hour_of_day", SATURDAY_NIGHT, 3),
        ("day_of_week", SATURDAY_NIGHT, 5),
        ("is_weekend", SATURDAY_NIGHT, 1),
        ("is_weekend", "2026-05-29T23:59:59Z", 0),
        ("is_night", "2026-05-30T05:59:59Z", 1),
        ("is_night", "2026-05-30T06:00:00Z", 0),
    ],
)
def test_clock_functions(name: str, moment: str, value: float) -> None:
    assert CLOCK_FUNCTIONS[name](np.array([parse_moment(moment)])).tolist() == [value]


@pytest.mark.parametrize(
    ("name", "inputs", "value"),
    [
        ("ratio", (6.0, 4.0), 1.5),
        ("ratio", (6.0, 0.0), None),
        ("ratio", (np.nan, 4.0), None),
        ("difference", (6.0, 4.0), 2.0),
        ("zscore", (6.0, 4.0, 0.5), 4.0),
        ("zscore", (6.0, 4.0, 0.0), None),
    ],
)
def test_derived_functions(name: str, inputs: tuple[float, ...], value: float | None) -> None:
    function = DERIVED_FUNCTIONS[name]
    assert function.arity == len(inputs)
    [found] = function.call(*(np.array([one]) for one in inputs)).tolist()
    assert found == value or (value is None and np.isnan(found))


def test_a_function_is_added_by_its_registration(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(functions, "_DERIVED", dict(DERIVED_FUNCTIONS))

    @derived
    def product(left: Floats, right: Floats) -> Floats:
        return left * right

    monkeypatch.setattr("feature_runtime.core.encode.DERIVED_FUNCTIONS", functions._DERIVED)  # noqa: SLF001
    feature = {"name": "both", "function": "product", "inputs": ["amount", "hour_of_day"]}
    service = parse_service(section(derived_features=[feature]))
    status = np.zeros((1, len(service.consumed)), dtype=np.int8)
    encoded = Encoder(service).encode(
        {"amount": np.array([2.0])}, np.array([T]), np.ones(status.shape), status
    )
    assert encoded.vector[0, -1] == 2.0 * 12
